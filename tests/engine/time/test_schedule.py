"""What is sent for later: durable, never early, in order, and in the store alone until it is due."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.each_store import ON_EACH_STORE, Around, Stores, new_store, only_on
from tests.engine.stage import Ask, Stage, Told, asking_app, numbers, until

from sagakit import App, KeyReused, Saga, StoreFailed, UnknownMessage
from sagakit.core.cluster.members import Owned
from sagakit.core.commit import Commit, Delivery
from sagakit.core.queries import DeliveryQuery
from sagakit.engine.draft import Draft
from sagakit.engine.limits import Limits
from sagakit.engine.time.firing import Firing
from sagakit.errors import StoreUnusable
from sagakit.ports import Store
from sagakit.testing.faults import At, Fault, FaultyStore
from sagakit.testing.manual import START, ManualClock, ManualEngine, engine

pytestmark = ON_EACH_STORE

NewStore = Callable[[], Store]


@dataclass(frozen=True)
class Renamed:
    key: str = "a"


@pytest.fixture
def again(each_store: Stores) -> NewStore:
    """Makes stores, all on the same data."""
    return each_store.new().again


async def scheduled(store: Store) -> list[Delivery]:
    return await store.find_deliveries(DeliveryQuery(state="scheduled", limit=10_000))


async def logged(store: Store) -> list[str]:
    return [message.type for message in await store.read_messages()]


@asynccontextmanager
async def doomed(app: App, store: Store, stage: Stage, clock: ManualClock) -> AsyncIterator[ManualEngine]:
    """An engine whose process is killed at the end of the block."""
    before = asyncio.all_tasks()
    running = ManualEngine(app.topology(provide=[Stage]), store, provide={Stage: stage}, clock=clock)
    await running.start()
    yield running
    for task in (own := asyncio.all_tasks() - before):
        task.cancel()
    await asyncio.gather(*own, return_exceptions=True)
    await store.close(clean=False)


# ---------------------------------------------------------------------- when


async def test_a_command_for_later_is_handled_when_it_is_due_and_not_before(again: NewStore) -> None:
    stage = Stage()
    async with engine(asking_app(), store=again(), provide={Stage: stage}) as running:
        receipt = await running.send(Ask(), after=10)
        await running.settle()
        assert await logged(running.store) == []
        await running.advance(seconds=9.999_999)
        assert stage.began == []
        await running.advance(seconds=0.000_001)
        assert stage.began == [Ask()]
        command, told = await running.store.read_messages()
        assert (command.id, command.correlation_id) == (receipt.message_id, receipt.correlation_id)
        assert command.recorded_at == int((START + timedelta(seconds=10)).timestamp() * 1_000_000)
        assert told.causation_id == receipt.message_id
        assert await scheduled(running.store) == []


async def test_a_command_for_a_time(again: NewStore) -> None:
    stage = Stage()
    async with engine(asking_app(), store=again(), provide={Stage: stage}) as running:
        await running.send(Ask(number=1), at=START + timedelta(days=30))
        await running.send(Ask(number=2), at=START - timedelta(days=30))
        await running.settle()
        assert numbers(stage.began) == [2]
        await running.advance(days=29.99)
        assert numbers(stage.began) == [2]
        await running.advance(days=0.01)
        assert numbers(stage.began) == [2, 1]


async def test_a_time_without_a_zone_is_refused_and_nothing_is_sent() -> None:
    async with engine(asking_app(), provide={Stage: Stage()}) as running:
        with pytest.raises(ValueError, match="no time zone"):
            await running.send(Ask(), at=datetime(2030, 1, 1))  # noqa: DTZ001
        assert running.next_due is None


async def test_next_due_is_the_next_one_and_none_when_nothing_is_left() -> None:
    async with engine(asking_app(), provide={Stage: Stage()}) as running:
        await running.send(Ask(), after=20)
        await running.send(Ask(), after=10)
        await running.settle()
        assert running.next_due == running.hand.now() + 10_000_000
        assert running.idle
        await running.advance(seconds=15)
        assert running.next_due == running.hand.now() + 5_000_000
        await running.advance(seconds=5)
        assert running.next_due is None


async def test_what_is_due_at_once_keeps_its_order_in_a_lane(again: NewStore) -> None:
    stage = Stage()
    async with engine(asking_app(), store=again(), provide={Stage: stage}) as running:
        for number in range(30):
            await running.send(Ask("a", number), after=5 if number % 2 else 5 + number)
        await running.advance(seconds=60)
        assert numbers(stage.began) == [0, *range(1, 30, 2), *range(2, 30, 2)]


# ---------------------------------------------------------------------- the door


async def test_the_same_key_gives_the_first_receipt_and_sends_once(again: NewStore) -> None:
    stage = Stage()
    async with engine(asking_app(), store=again(), provide={Stage: stage}) as running:
        first = await running.send(Ask(), after=10, idempotency_key="k")
        repeat = await running.send(Ask(), after=10, idempotency_key="k")
        assert repeat == first._replace(repeated=True)
        with pytest.raises(KeyReused):
            await running.send(Ask(number=9), after=10, idempotency_key="k")
        await running.advance(seconds=10)
        late = await running.send(Ask(), after=10, idempotency_key="k")
        assert late.repeated
        await running.advance(seconds=60)
        assert stage.began == [Ask()]


async def test_nobody_handles_it_is_said_at_the_door() -> None:
    async with engine(asking_app(), provide={Stage: Stage()}) as running:
        with pytest.raises(UnknownMessage):
            await running.send(Renamed(), after=10)


async def test_a_command_for_later_can_start_a_process(again: NewStore) -> None:
    stage, app = Stage(), asking_app()

    @app.saga(key="key")
    async def ordered(command: Renamed, saga: Saga) -> None:
        await saga.do(Ask(command.key), then=Told)

    async with engine(app, store=again(), provide={Stage: stage}) as running:
        await running.send(Renamed("b"), after=3600)
        await running.advance(hours=1)
        await running.settle()
        assert stage.began == [Ask("b")]
        assert await running.status(ordered, "b") == "completed"


# ---------------------------------------------------------------------- restarts


async def test_it_survives_a_restart(again: NewStore) -> None:
    stage, clock = Stage(), ManualClock()
    async with engine(asking_app(), store=again(), provide={Stage: stage}, clock=clock) as running:
        await running.send(Ask(number=1), after=10)
        await running.send(Ask(number=2), after=20)
    clock.set(clock.now() + 15_000_000)
    async with engine(asking_app(), store=again(), provide={Stage: stage}, clock=clock) as running:
        await running.settle()
        assert numbers(stage.began) == [1]
        await running.advance(seconds=5)
        assert numbers(stage.began) == [1, 2]


async def test_it_survives_a_crash_and_sleepers_are_no_suspects(again: NewStore) -> None:
    stage, clock = Stage(), ManualClock()
    async with doomed(asking_app(), again(), stage, clock) as running:
        for number in range(10):
            await running.send(Ask(str(number), number), after=10 + number)
    clock.set(clock.now() + 12_000_000)
    async with engine(asking_app(), store=again(), provide={Stage: stage}, clock=clock) as running:
        await running.settle()
        assert sorted(numbers(stage.began)) == [0, 1, 2]
        assert {context.attempt for context in stage.contexts} == {1}
        assert not running._recovery.suspects
        await running.advance(seconds=60)
        assert sorted(numbers(stage.began)) == list(range(10))


@only_on("memory", because="it counts turns of the event loop")
@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("number", [2, 3])
async def test_a_store_that_fails_while_it_fires(number: int, fault: Fault) -> None:
    """Commit 1 schedules it, 2 fires it, 3 handles it."""
    stage, inner, clock = Stage(), new_store(), ManualClock()
    store = FaultyStore(inner, At(number, fault, "commit"))
    before = asyncio.all_tasks()
    running = ManualEngine(asking_app().topology(provide=[Stage]), store, provide={Stage: stage}, clock=clock)
    await running.start()
    await running.send(Ask(), after=10)
    clock.set(clock.now() + 10_000_000)
    for _ in range(100):
        await asyncio.sleep(0)
    if store.crashed.is_set():
        for task in (own := asyncio.all_tasks() - before):
            task.cancel()
        await asyncio.gather(*own, return_exceptions=True)
        running = ManualEngine(
            asking_app().topology(provide=[Stage]), inner.again(), provide={Stage: stage}, clock=clock
        )
        await running.start()
    for _ in range(10):
        clock.set(clock.now() + 10_000_000)
        for _ in range(100):
            await asyncio.sleep(0)
    await running.settle()
    assert await logged(running.store) == ["t.Ask", "t.Told"]
    assert await scheduled(running.store) == []
    await running.stop()


# ---------------------------------------------------------------------- the store keeps the rest


class Counting(Around):
    """Counts what is read of the schedule, and can fail at it."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.reads = 0
        self.fails = 0
        self.failure: Exception = StoreFailed("not now")
        self.commits: list[list[Commit]] = []

    async def read_scheduled(
        self, *, after: tuple[int, int] = (0, 0), limit: int = 1000, of: Owned | None = None
    ) -> list[Delivery]:
        self.reads += 1
        if self.fails:
            self.fails -= 1
            raise self.failure
        return await self.inner.read_scheduled(after=after, limit=limit, of=of)

    async def commit(self, commits):  # type: ignore[no-untyped-def]
        self.commits.append(list(commits))
        return await self.inner.commit(commits)


async def send_many(store: Store, count: int) -> ManualClock:
    async with engine(asking_app(key=None), store=store, provide={Stage: Stage()}) as running:
        for start in range(0, count, 500):
            await asyncio.gather(*(running.send(Ask(str(n), n), after=100 + n % 50) for n in range(start, start + 500)))
        return running.hand


async def test_thousands_that_are_due_at_once_are_all_handled_and_few_are_in_memory(again: NewStore) -> None:
    stage = Stage()
    clock = await send_many(again(), 3_000)
    async with engine(asking_app(key=None), store=again(), provide={Stage: stage}, clock=clock) as running:
        await running.settle()
        assert len(running._schedule._window) == 1_000
        await running.advance(seconds=200)
        await running.settle()
        assert sorted(numbers(stage.began)) == list(range(3_000))
        assert await scheduled(running.store) == []


@only_on("memory", "sqlite", because="where several engines may be, it is read for each partition that is claimed")
async def test_an_idle_engine_reads_the_schedule_once_and_writes_in_groups() -> None:
    stage, store = Stage(), Counting()
    clock = await send_many(store, 500)
    store = Counting(store.again())
    async with engine(asking_app(key=None), store=store, provide={Stage: stage}, clock=clock) as running:
        await running.advance(seconds=99)
        assert store.reads == 1
        await running.advance(hours=1)
        await running.settle()
        assert len(stage.began) == 500
        firings = [group for group in store.commits if any(commit.messages and commit.done for commit in group)]
        assert len(firings) < 500


async def test_a_schedule_that_cannot_be_read_is_read_later() -> None:
    stage, store = Stage(), Counting()
    clock = await send_many(store, 1_500)
    store = Counting(store.again())
    async with engine(asking_app(key=None), store=store, provide={Stage: stage}, clock=clock) as running:
        store.fails = 3
        clock.set(clock.now() + 200_000_000)
        for _ in range(6):
            await until(lambda: clock._sleepers or len(stage.began) == 1_500)
            clock.set(clock.now() + 1_000_000)
        await until(lambda: len(stage.began) == 1_500)
        await running.settle()
    assert store.fails == 0


async def test_a_store_that_is_lost_while_the_schedule_is_read_ends_the_engine() -> None:
    store = Counting()
    clock = await send_many(store, 1_500)
    store = Counting(store.again())
    running = ManualEngine(asking_app(key=None).topology(provide=[Stage]), store, provide={Stage: Stage()}, clock=clock)
    await running.start()
    store.fails, store.failure = 1, StoreUnusable("the disk is gone")
    clock.set(clock.now() + 200_000_000)
    await running.stopped()
    assert running.ready() == "StoreUnusable: the disk is gone"
    await running.stop()


async def test_a_firing_that_fails_inside_the_engine_stays_and_keeps_no_other_from_firing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage, store, write = Stage(), new_store(), Firing.write

    async def fails(self: Firing, draft: Draft, delivery: Delivery, *, inline: bool) -> None:
        await write(self, draft, delivery, inline=inline)
        if b"broken" in delivery.envelope.payload:
            raise RuntimeError("a bug of the engine")

    monkeypatch.setattr(Firing, "write", fails)
    async with engine(asking_app(), store=store, provide={Stage: stage}) as running:
        await running.send(Ask("broken"), after=10)
        await running.send(Ask("a"), after=10)
        await running.advance(seconds=20)
        assert stage.began == [Ask("a")]
        assert running.idle
        clock = running.hand
        assert [one.envelope.payload for one in await scheduled(store)] == [b'{"key":"broken","number":0}']
    monkeypatch.setattr(Firing, "write", write)
    async with engine(asking_app(), store=store.again(), provide={Stage: stage}, clock=clock) as running:
        await running.settle()
        assert stage.began == [Ask("a"), Ask("broken")]


async def test_a_stop_while_something_fires_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stage, store, gate, write = Stage(), new_store(), asyncio.Event(), Firing.write
    monkeypatch.setattr("sagakit.engine.running.GRACE", 0.01)

    async def hangs(self: Firing, draft: Draft, delivery: Delivery, *, inline: bool) -> None:
        await gate.wait()

    monkeypatch.setattr(Firing, "write", hangs)
    running = ManualEngine(asking_app().topology(provide=[Stage]), store, provide={Stage: stage})
    await running.start()
    await running.send(Ask(), after=10)
    running.hand.set(running.hand.now() + 10_000_000)
    await until(lambda: not running._schedule.idle)
    await running.stop()
    reader = store.again()
    await reader.open(own=False)
    assert len(await scheduled(reader)) == 1
    await reader.close()
    monkeypatch.setattr(Firing, "write", write)
    async with engine(asking_app(), store=store.again(), provide={Stage: stage}, clock=running.hand) as running:
        await running.settle()
        assert stage.began == [Ask()]


async def test_what_is_due_waits_while_too_much_is_unfinished_but_not_for_ever() -> None:
    stage, store = Stage(), new_store()
    app = asking_app(key=None)
    clock = await send_many(store, 500)
    limits = Limits(unfinished=50)
    stage.closes(*(Ask(str(n), n) for n in range(500)))
    async with engine(app, store=store.again(), provide={Stage: stage}, clock=clock, limits=limits) as running:
        clock.set(clock.now() + 200_000_000)
        await running._breathe()
        first = len(stage.now)
        assert 50 <= first <= 200
        await running.advance(seconds=1)
        assert first < len(stage.now) <= first + 200
        stage.opens(*(Ask(str(n), n) for n in range(500)))
        await running.advance(seconds=10)
        await running.settle()
        assert len(stage.ended) == 500


# ---------------------------------------------------------------------- nobody claims it


async def test_what_nobody_claims_stays_and_is_told_of_and_the_rest_goes_on(again: NewStore) -> None:
    stage, clock, app = Stage(), ManualClock(), asking_app()

    @app.handles
    async def gone(command: Renamed) -> Told:
        return Told(command.key)

    async with engine(app, store=again(), provide={Stage: stage}, clock=clock) as running:
        await running.send(Renamed(), after=10)
        await running.send(Ask(), after=10)
    async with engine(asking_app(), store=again(), provide={Stage: stage}, clock=clock) as running:
        await until(running.ready)
        assert running.ready() == "nobody claims some messages: t.Renamed (version 1) for sagakit.door"
        await running.advance(seconds=20)
        assert stage.began == [Ask()]
        assert [one.envelope.type for one in await scheduled(running.store)] == ["t.Renamed"]
    async with engine(app, store=again(), provide={Stage: stage}, clock=clock) as running:
        await running.settle()
        assert running.ready() is None
        assert await scheduled(running.store) == []


@only_on("memory", because="its data are changed behind its back")
async def test_a_command_whose_shape_has_changed_meanwhile_parks_when_it_is_due() -> None:
    store, clock = new_store(), ManualClock()
    async with engine(asking_app(), store=store, provide={Stage: Stage()}, clock=clock) as running:
        await running.send(Ask(), after=10)
    (row,) = store.data.deliveries.values()
    row.envelope.payload = b'{"key":5}'
    async with engine(asking_app(), store=store.again(), provide={Stage: Stage()}, clock=clock) as running:
        await running.advance(seconds=10)
        (parked,) = await running.store.read_deliveries()
        assert parked.state == "parked"
        assert "key" in (parked.error or "")


# ---------------------------------------------------------------------- the clock


async def test_a_new_engine_does_not_go_back_behind_what_is_recorded(again: NewStore) -> None:
    stage, late = Stage(), ManualClock(datetime(2027, 1, 1, tzinfo=UTC))
    async with engine(asking_app(), store=again(), provide={Stage: stage}, clock=late) as running:
        await running.send(Ask())
        await running.settle()
    async with engine(asking_app(), store=again(), provide={Stage: stage}, clock=ManualClock()) as running:
        assert running.now == datetime(2027, 1, 1, tzinfo=UTC)
        await running.send(Ask(number=1), after=10)
        await running.advance(seconds=9)
        assert numbers(stage.began) == [0]
        await running.advance(seconds=1)
        assert numbers(stage.began) == [0, 1]


async def test_a_clock_that_stands_still_delays_timers_and_nothing_else(again: NewStore) -> None:
    stage = Stage()
    async with engine(asking_app(), store=again(), provide={Stage: stage}) as running:
        await running.send(Ask("later"), after=0.001)
        for number in range(10):
            await running.send_and_wait(Ask("now", number), until=Told)
        assert numbers(stage.began, "now") == list(range(10))
        assert numbers(stage.began, "later") == []
        await running.advance(seconds=0.001)
        assert numbers(stage.began, "later") == [0]
