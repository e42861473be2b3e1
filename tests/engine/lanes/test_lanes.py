"""Lanes: in order per key, side by side across keys, and never lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from itertools import pairwise

import pytest
from tests.each_store import ON_EACH_STORE, only_on
from tests.engine.stage import Ask, Stage, asking_app, numbers, until

from sagakit.core.commit import Delivery, Envelope
from sagakit.engine.lanes.lane import Lane, Moved
from sagakit.engine.lanes.lanes import NEAR, Lanes
from sagakit.engine.limits import Limits
from sagakit.errors import Stopping
from sagakit.testing.manual import engine

pytestmark = ON_EACH_STORE


def delivery(lane: str, number: int = 0, state: str = "ready") -> Delivery:
    envelope = Envelope(f"{lane}-{number}", "command", "t.Ask", b"{}", "c", 0)
    return Delivery(envelope, "t.ask", lane, id=number + 1, state=state)  # type: ignore[arg-type]


class Handling:
    """Handles lanes by removing their head, when a test lets it."""

    def __init__(self) -> None:
        self.lanes: Lanes
        self.handled: list[str] = []
        self.inside: set[str] = set()
        self.open = asyncio.Event()
        self.open.set()
        self.errors: list[BaseException] = []

    async def __call__(self, lane: Lane) -> None:
        assert lane.key not in self.inside, "a lane is handled twice at the same time"
        self.inside.add(lane.key)
        await self.open.wait()
        self.inside.discard(lane.key)
        self.handled.append(lane.queue[0].envelope.id)
        self.lanes.remove(lane, 1)
        self.lanes.release(lane)


@asynccontextmanager
async def running(
    handle: Callable[[Lane], Awaitable[None]] | None = None, *, workers: int = 10, cached: int = 10
) -> AsyncIterator[tuple[Lanes, Handling]]:
    handling = Handling()
    lanes = handling.lanes = Lanes(handle or handling, handling.errors.append, workers=workers, cached=cached)
    lanes.start()
    yield lanes, handling
    handling.open.set()
    await lanes.stop(1.0)


# ---------------------------------------------------------------------- order


async def test_one_lane_is_handled_in_order_one_at_a_time() -> None:
    async with running() as (lanes, handling):
        for number in range(5):
            lanes.put(delivery("a", number))
        await until(lambda: lanes.idle)
        assert handling.handled == [f"a-{number}" for number in range(5)]


async def test_lanes_run_side_by_side() -> None:
    async with running() as (lanes, handling):
        handling.open.clear()
        for key in "abc":
            lanes.put(delivery(key))
        await until(lambda: handling.inside == set("abc"))


async def test_no_more_workers_than_the_bound() -> None:
    async with running(workers=2) as (lanes, handling):
        handling.open.clear()
        for key in "abcde":
            lanes.put(delivery(key))
        await until(lambda: len(handling.inside) == 2)
        assert (lanes.working, lanes.waiting) == (2, 3)
        handling.open.set()
        await until(lambda: lanes.idle)
        assert sorted(handling.handled) == [f"{key}-0" for key in "abcde"]


@only_on("memory", because="it counts turns of the event loop")
async def test_nothing_is_handled_before_the_start() -> None:
    handling = Handling()
    lanes = handling.lanes = Lanes(handling, handling.errors.append, workers=2, cached=2)
    lanes.put(delivery("a"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not handling.handled
    lanes.start()
    await until(lambda: handling.handled == ["a-0"])
    await lanes.stop(1.0)


@pytest.mark.parametrize("state", ["retrying", "parked"])
async def test_a_head_that_waits_holds_its_lane(state: str) -> None:
    async with running() as (lanes, handling):
        lanes.put(delivery("a", 0, state))
        lanes.put(delivery("a", 1))
        lanes.put(delivery("b", 2))
        await until(lambda: lanes.idle and handling.handled)
        assert handling.handled == ["b-2"]


# ---------------------------------------------------------------------- counting


async def test_counts_what_is_unfinished_without_what_is_parked() -> None:
    async with running() as (lanes, handling):
        handling.open.clear()
        lanes.put(delivery("a", 0))
        lanes.put(delivery("a", 1))
        lanes.put(delivery("b", 2, "parked"))
        lanes.put(delivery("c", 3, "retrying"))
        assert lanes.unfinished == 3
        waiting = lanes.get("c").queue[0]
        lanes.park(waiting, "given up")
        assert (lanes.unfinished, waiting.state, waiting.error) == (2, "parked", "given up")
        lanes.take_out(lanes.get("b"), "b-2")
        assert lanes.unfinished == 2
        handling.open.set()
        await until(lambda: lanes.idle)
        assert lanes.unfinished == 0


# ---------------------------------------------------------------------- giving up


@pytest.mark.parametrize("state", ["retrying", "parked"])
async def test_a_waiting_head_that_is_taken_out_lets_the_lane_go_on(state: str) -> None:
    async with running() as (lanes, handling):
        lanes.put(delivery("a", 0, state))
        lanes.put(delivery("a", 1))
        lanes.take_out(lanes.get("a"), "a-0")
        await until(lambda: handling.handled)
        assert handling.handled == ["a-1"]
        await until(lambda: lanes.idle)
        assert lanes.find("a") is None


async def test_what_is_taken_out_behind_the_head_is_not_handled() -> None:
    async with running() as (lanes, handling):
        handling.open.clear()
        for number in range(3):
            lanes.put(delivery("a", number))
        lanes.take_out(lanes.get("a"), "a-1")
        handling.open.set()
        await until(lambda: lanes.idle)
        assert handling.handled == ["a-0", "a-2"]
        assert lanes.unfinished == 0


async def test_finds_the_lanes_that_hold_a_message() -> None:
    async with running() as (lanes, handling):
        handling.open.clear()
        lanes.put(delivery("a", 0))
        lanes.put(delivery("a", 1))
        lanes.put(delivery("b", 2))
        assert [lane.key for lane in lanes.holding("a-1")] == ["a"]
        assert [lane.key for lane in lanes.holding("b")] == ["b"]  # a lane of the message's own
        assert lanes.holding("c-3") == []


# ---------------------------------------------------------------------- memory


async def test_an_idle_lane_without_a_cache_leaves_the_memory() -> None:
    async with running() as (lanes, _):
        lanes.put(delivery("a"))
        await until(lambda: lanes.idle)
        assert lanes.find("a") is None


async def test_the_longest_idle_of_too_many_is_evicted() -> None:
    async with running(cached=2) as (lanes, _):
        evicted: list[str] = []
        lanes.on_evict = evicted.append
        for key in "abc":
            lane = lanes.get(key)
            lane.busy, lane.cache = True, f"cache of {key}"
            lanes.release(lane)
        assert evicted == ["cache of a"]
        assert lanes.find("a") is None
        assert lanes.get("b").cache == "cache of b"


async def test_a_busy_lane_is_never_evicted() -> None:
    async with running(cached=1) as (lanes, handling):
        evicted: list[str] = []
        lanes.on_evict = evicted.append
        lane = lanes.get("a")
        lane.busy, lane.cache = True, "cache of a"
        lanes.release(lane)
        handling.open.clear()
        lanes.put(delivery("a"))  # busy again
        for key in "bc":
            other = lanes.get(key)
            other.busy, other.cache = True, f"cache of {key}"
            lanes.release(other)
        assert evicted == ["cache of b"]
        assert lanes.get("a").cache == "cache of a"


# ---------------------------------------------------------------------- the end


async def test_a_stop_waits_for_what_runs_and_takes_nothing_new() -> None:
    async with running() as (lanes, handling):
        handling.open.clear()
        lanes.put(delivery("a", 0))
        lanes.put(delivery("a", 1))
        await until(lambda: handling.inside)
        stopping = asyncio.create_task(lanes.stop(10.0))
        await until(lambda: not lanes.running)
        handling.open.set()
        assert await stopping
        assert handling.handled == ["a-0"]


async def test_a_stop_cancels_what_runs_on_after_the_limit() -> None:
    async with running() as (lanes, handling):
        handling.open.clear()
        lanes.put(delivery("a"))
        await until(lambda: handling.inside)
        assert await lanes.stop(0.0)
        assert handling.handled == []


async def test_a_stop_tells_of_what_cannot_be_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sagakit.engine.lanes.lanes.GRACE", 0.01)
    released = asyncio.Event()

    async def stubborn(lane: Lane) -> None:
        while not released.is_set():
            with suppress(asyncio.CancelledError):
                await released.wait()

    async with running(stubborn) as (lanes, _):
        lanes.put(delivery("a"))
        await until(lambda: lanes.working)
        assert not await lanes.stop(0.0)
        released.set()


async def test_a_worker_that_dies_is_fatal() -> None:
    class Dead(BaseException):
        pass

    async def dies(lane: Lane) -> None:
        raise Dead

    async with running(dies) as (lanes, handling):
        lanes.put(delivery("a"))
        await until(lambda: handling.errors)
        assert [type(error) for error in handling.errors] == [Dead]


# ---------------------------------------------------------------------- with an engine


async def test_commands_of_one_key_run_in_the_order_in_which_they_were_sent() -> None:
    stage = Stage()
    async with engine(asking_app(), provide={Stage: stage}) as running_engine:
        for number in range(20):
            await running_engine.send(Ask("a", number))
            await running_engine.send(Ask("b", number))
        await running_engine.settle()
    assert numbers(stage.began, "a") == numbers(stage.began, "b") == list(range(20))
    assert stage.most <= 2


async def test_commands_of_other_keys_run_while_one_waits() -> None:
    stage = Stage()
    stage.closes(Ask("a", 0))
    async with engine(asking_app(), provide={Stage: stage}) as running_engine:
        await running_engine.send(Ask("a", 0))
        await running_engine.send(Ask("a", 1))
        for key in "bcd":
            await running_engine.send(Ask(key, 2))
        await running_engine.advance(seconds=0)
        assert {ask.key for ask in stage.ended} == set("bcd")
        assert stage.now == {Ask("a", 0)}
        assert numbers(stage.began, "a") == [0]
        stage.opens(Ask("a", 0))
        await running_engine.settle()
    assert numbers(stage.began, "a") == [0, 1]


async def test_commands_without_a_key_run_side_by_side() -> None:
    stage = Stage()
    commands = [Ask("a", number) for number in range(5)]
    stage.closes(*commands)
    async with engine(asking_app(key=None), provide={Stage: stage}) as running_engine:
        for command in commands:
            await running_engine.send(command)
        await until(lambda: len(stage.now) == 5)
        stage.opens(*commands)
        await running_engine.settle()


@pytest.mark.parametrize("error", [ConnectionError("down"), KeyError("bug")])
async def test_one_poisoned_lane_holds_no_other(error: Exception) -> None:
    stage = Stage()
    stage.will(Ask("a", 0), error, error, error)
    async with engine(asking_app(), provide={Stage: stage}, limits=Limits(at_once=1)) as running_engine:
        await running_engine.send(Ask("a", 0))
        await running_engine.send(Ask("a", 1))
        for number in range(10):
            await running_engine.send(Ask("b", number))
        await running_engine.advance(seconds=10)
        assert numbers(stage.began, "b") == list(range(10))
        assert numbers(stage.began, "a") == [0, 0, 0]  # parked now: what is behind it waits


# ---------------------------------------------------------------------- claimed by an operator's action


async def test_a_lane_that_rests_is_claimed_at_once() -> None:
    async with running() as (lanes, handling):
        for state in ("parked", "retrying"):
            lanes.put(delivery(state, state=state))
            lane = await asyncio.wait_for(lanes.claim(state), 1)
            lanes.put(delivery(state, 1))
            lanes.wake(lane)
            await asyncio.sleep(0)
            assert handling.handled == [], "nothing is handled in it meanwhile"
            lanes.drop(lane, lane.queue[0])
            lanes.release(lane)
            await until(lambda state=state: handling.handled == [f"{state}-1"])
            handling.handled.clear()
        assert lanes.unfinished == 0


async def test_a_lane_that_nobody_knows_is_claimed_and_forgotten() -> None:
    async with running() as (lanes, _):
        lane = await lanes.claim("new")
        assert lane.busy
        lanes.release(lane)
        assert lanes.find("new") is None


async def test_a_claim_waits_for_what_runs_and_goes_before_what_waits() -> None:
    async with running() as (lanes, handling):
        handling.open.clear()
        lanes.put(delivery("a", 0))
        lanes.put(delivery("a", 1))
        await until(lambda: "a" in handling.inside)
        claims = [asyncio.ensure_future(lanes.claim("a")) for _ in range(2)]
        await asyncio.sleep(0)
        assert not any(claim.done() for claim in claims)
        handling.open.set()
        first = await claims[0]
        assert handling.handled == ["a-0"]
        assert not claims[1].done()
        lanes.release(first)
        lanes.release(await claims[1])
        await until(lambda: handling.handled == ["a-0", "a-1"])


async def test_a_claim_of_a_lane_that_goes_to_another_engine_is_refused() -> None:
    inside, leave = asyncio.Event(), asyncio.Event()

    async def handle(lane: Lane) -> None:
        inside.set()
        await leave.wait()
        lanes.release(lane)

    async with running(handle) as (lanes, handling):
        lanes.put(delivery("a"))
        await inside.wait()
        waiting = [asyncio.create_task(lanes.claim("a")) for _ in range(2)]
        await asyncio.sleep(0)
        lanes.forget(lanes.get("a"))
        for claim in waiting:
            with pytest.raises(Moved, match="try again in a moment"):
                await asyncio.wait_for(claim, 10)
        leave.set()
        assert (await lanes.claim("a")).key == "a"
        assert not handling.errors


async def test_a_claim_that_is_not_wanted_any_more_holds_nobody_up() -> None:
    async with running() as (lanes, handling):
        handling.open.clear()
        lanes.put(delivery("a", 0))
        await until(lambda: "a" in handling.inside)
        first, second = (asyncio.ensure_future(lanes.claim("a")) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        handling.open.set()
        lanes.release(await second)
        lanes.put(delivery("a", 1))
        await until(lambda: handling.handled == ["a-0", "a-1"])


async def test_a_stop_tells_those_who_wait_for_a_lane() -> None:
    async with running() as (lanes, handling):
        handling.open.clear()
        lanes.put(delivery("a", 0))
        await until(lambda: "a" in handling.inside)
        claim = asyncio.ensure_future(lanes.claim("a"))
        await asyncio.sleep(0)
        stopping = asyncio.ensure_future(lanes.stop(1.0))
        with pytest.raises(Stopping):
            await claim
        handling.open.set()
        await stopping


@pytest.mark.parametrize("cache", [None, "what is known"])
async def test_one_that_became_another_engines_while_it_was_in_hand(cache: object) -> None:
    """What is settled of it later finds it empty, and it does not come back into memory."""
    async with running(cached=1) as (lanes, handling):
        evicted: list[object] = []
        lanes.on_evict = evicted.append
        handling.open.clear()
        lanes.put(delivery("a"))
        await until(lambda: "a" in handling.inside)
        lane = lanes.get("a")
        lanes.forget(lane)
        lane.cache = cache
        lanes.put(delivery("a", 1))
        lanes.remove(lane, 1)
        lanes.release(lane)
        assert evicted == ([cache] if cache else [])
        assert lanes.find("a") is not lane
        assert lanes.unfinished == 1
        for other in ("b", "c"):
            lanes.release(lanes.get(other))
        lanes.forget(lanes.get("a"))
        assert lanes.unfinished == 0
        assert not handling.errors


# ---------------------------------------------------------------------- turns


def of(type_: str, number: int) -> Delivery:
    """A step of a process of this type."""
    envelope = Envelope(f"{type_}-{number}", "command", "t.Ask", b"{}", "c", 0, sender=f"{type_}/{number}")
    return Delivery(envelope, "t.ask", f"{type_}-{number}", id=number + 1)


async def test_a_burst_of_one_type_delays_another_by_a_round_at_most() -> None:
    async with running(workers=1) as (lanes, handling):
        for number in range(5_000):
            lanes.put(of("noisy", number))
        for number in range(20):
            lanes.put(of("quiet", number))
        await until(lambda: lanes.idle)
    places = [place for place, id in enumerate(handling.handled) if id.startswith("quiet")]
    assert len(handling.handled) == 5_020
    assert places[0] <= NEAR + 2
    assert places[-1] <= 2 * NEAR  # by turns with the noisy one
    noisy = [id for id in handling.handled if id.startswith("noisy")]
    assert noisy == [f"noisy-{number}" for number in range(5_000)]


async def test_what_comes_later_does_not_overtake_those_that_have_no_turn_yet() -> None:
    async with running(workers=1) as (lanes, handling):
        lanes.running = False
        for number in range(2 * NEAR):
            lanes.put(of("a", number))
        lanes.start()
        await until(lambda: len(handling.handled) > 10)
        lanes.put(of("a", 9_999))
        await until(lambda: lanes.idle)
    assert handling.handled == [f"a-{number}" for number in (*range(2 * NEAR), 9_999)]


async def test_between_two_rounds_the_loop_has_a_turn() -> None:
    seen: list[int] = []
    async with running(workers=1) as (lanes, handling):
        for number in range(10 * NEAR):
            lanes.put(of("a", number))
        while not lanes.idle:
            seen.append(len(handling.handled))
            await asyncio.sleep(0)
    assert max(later - earlier for earlier, later in pairwise(seen)) <= 2 * NEAR


async def test_what_is_cancelled_between_two_rounds_takes_no_lane_with_it() -> None:
    async with running(workers=2) as (lanes, handling):
        for number in range(5 * NEAR):
            lanes.put(of("a", number))
        while len(handling.handled) < NEAR:
            await asyncio.sleep(0)
        lanes.interrupt(lanes.all())  # none of them is being handled
        await until(lambda: lanes.idle)
    assert len(handling.handled) == 5 * NEAR
