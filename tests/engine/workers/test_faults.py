"""What goes wrong while several engines share a store: nothing is lost, done twice or out of order for it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import pytest
from tests.acceptance.orders.processes import PROCESS, order_app
from tests.acceptance.orders.world import World
from tests.engine.stage import Ask, Stage, asking_app, until
from tests.engine.workers.crew import PATIENT, crew
from tests.engine.workers.test_orders import ORDERS, ends, place

from sagakit import App, Saga
from sagakit.core.commit import Commit, Rejected
from sagakit.core.streams import instance_id, lane_name
from sagakit.engine.limits import Limits
from sagakit.errors import LeaseLost, Stopping, StoreFailed
from sagakit.stores.memory import MemoryStore

HELD = ["stock", "money", "parcel", "confirmation"]


class Freezing(MemoryStore):
    """A store whose Commits come through only while it is not frozen."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.thawed = asyncio.Event()
        self.thawed.set()

    async def commit(self, commits: Sequence[Commit]) -> list[Rejected | None]:
        await self.thawed.wait()
        return await super().commit(commits)


def done_once(world: World) -> None:
    for number in range(ORDERS):
        assert world.held[f"o{number}"] == HELD
    assert len(world.applied) == 4 * ORDERS


async def test_a_zombie_writes_nothing_after_it_was_expelled() -> None:
    world = World()
    async with crew(order_app("code"), "a", "b", provide={World: world}) as made:
        store = Freezing(made.data, shared=True)
        zombie = await made.join("z", store=store)
        await made.settle()
        store.thawed.clear()
        names = ["a", "b"]
        for number in range(ORDERS):
            await made.engines[names[number % 2]].send(made_order(number), idempotency_key=f"o{number}")
        for _ in range(200):
            await asyncio.sleep(0)
        assert len(world.applied) < 4 * ORDERS
        made.engines.pop("z")
        await made.expire(zombie)
        await made.settle()
        done_once(world)
        store.thawed.set()
        await zombie.stopped()
        assert isinstance(zombie.fatal, LeaseLost)
        await zombie.stop()
        await made.settle()
        done_once(world)
        assert set((await ends(made)).values()) == {"completed"}
        with pytest.raises(Stopping):
            await zombie.send(made_order(99))


def made_order(number: int) -> Any:
    from tests.acceptance.orders.messages import PlaceOrder

    return PlaceOrder(f"o{number}")


async def test_a_crash_while_what_crashed_before_is_taken_over() -> None:
    world, gate = World(), asyncio.Event()
    world.waits["ship"] = gate.wait
    limits = Limits(page=3, stop_within=1.0, hand_over_within=1.0)
    async with crew(order_app("code"), "a", "b", "c", provide={World: world}, limits=limits) as made:
        await place(made)
        await made.rest()
        await made.crash("b", noticed=False)
        team = made.engines["c"].team
        assert team is not None
        made.data.expire(made.gone["b"])
        await team.beat()
        await until(lambda: team.takeovers.busy)
        await made.crash("c")
        gate.set()
        await made.settle()
        assert set((await ends(made)).values()) == {"completed"}
        done_once(world)


async def test_one_joins_while_another_leaves() -> None:
    world, gate = World(), asyncio.Event()
    world.waits["ship"] = gate.wait
    async with crew(order_app("code"), "a", "b", provide={World: world}, limits=PATIENT) as made:
        await place(made)
        await made.rest()
        leaving = asyncio.create_task(made.leave("b"))
        await asyncio.sleep(0)
        await made.join("c")
        await asyncio.sleep(0)
        gate.set()
        await leaving
        await made.settle()
        assert set((await ends(made)).values()) == {"completed"}
        done_once(world)
        assert max(world.calls.values()) == 1


async def test_two_leave_at_once() -> None:
    world, gate = World(), asyncio.Event()
    world.waits["ship"] = gate.wait
    async with crew(order_app("code"), "a", "b", "c", provide={World: world}, limits=PATIENT) as made:
        await place(made)
        await made.rest()
        leaving = [asyncio.create_task(made.leave(name)) for name in ("b", "c")]
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(*leaving)
        await made.settle()
        assert set((await ends(made)).values()) == {"completed"}
        done_once(world)
        assert max(world.calls.values()) == 1


async def test_what_runs_too_long_for_a_handover_is_cancelled_and_that_is_no_attempt() -> None:
    stage, asks = Stage(), [Ask(f"k{number}") for number in range(20)]
    async with crew(asking_app(), "a", provide={Stage: stage}) as made:
        stage.closes(*asks)
        for ask in asks:
            await made.engines["a"].send(ask)
        await made.rest()
        await made.join("b")
        await until(lambda: len(stage.began) > len(asks))  # b runs what a had to give
        stage.opens(*asks)
        await made.settle()
        assert not made.data.deliveries
        assert {context.attempt for context in stage.contexts} == {1}
        moved = len(stage.began) - len(asks)
        assert 0 < moved < len(asks)


async def test_a_store_that_is_away_does_not_keep_a_worker_from_ending() -> None:
    limits = Limits(stop_within=1.0, hand_over_within=1.0)
    async with crew(asking_app(), "a", "b", provide={Stage: Stage()}, limits=limits) as made:
        engine = made.engines.pop("a")
        cluster = engine.store.cluster
        assert cluster is not None

        async def away(given: object, *, clean: bool) -> None:
            raise StoreFailed("away")

        cluster.release = away  # type: ignore[method-assign]
        async with asyncio.timeout(60):
            await engine.stop()
        await made.beat()
        await made.settle()
        assert len(made.owned("b")["t.ask"]) == 256


# ---------------------------------------------------------------------- order and timers


@dataclass(frozen=True)
class Add:
    list: str
    number: int


@dataclass(frozen=True)
class Added:
    list: str
    number: int


@dataclass(frozen=True)
class Numbers:
    added: tuple[int, ...] = ()

    def decide(self, command: Add) -> Added:
        return Added(command.list, command.number)

    def evolve(self, event: Added) -> Self:
        return replace(self, added=(*self.added, event.number))


@dataclass
class Seen:
    """What listeners were told, by list."""

    by: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))


def lists(*, listens: bool = False) -> App:
    app = App("lists")
    app.aggregate(key="list")(Numbers)

    if listens:

        @app.on(key="list")
        async def hear(event: Added, seen: Seen) -> None:
            seen.by[event.list].append(event.number)

    return app


async def test_what_clients_send_one_after_another_stays_in_order_through_several_doors() -> None:
    async with crew(lists(), "a", "b", "c") as made:
        for number in range(60):
            for name in ("x", "y", "z"):
                await made.engines["abc"[number % 3]].send(Add(name, number))
        await made.settle()
        for name in ("x", "y", "z"):
            loaded = await made.engines["a"].load(Numbers, name)
            assert list(loaded.state.added) == list(range(60))


async def test_also_where_words_between_workers_get_lost() -> None:
    async with crew(lists(), "a", "b") as made:
        key = made.key_at("a", "lists.Numbers", lambda key: f"lists.Numbers/{key}")
        made.data.listeners.clear()
        await made.engines["b"].send(Add(key, 0))
        await made.engines["a"].send(Add(key, 1))
        await made.settle()
        assert (await made.engines["a"].load(Numbers, key)).state.added == (0, 1)


@pytest.mark.parametrize("steps", range(3))
async def test_order_per_key_holds_while_workers_come_and_go(steps: int) -> None:
    async with crew(lists(), "a", "b") as made:
        sent = 0
        for name, comes in (("c", True), ("a", False), ("d", True), ("b", False)):
            for _ in range(10 + steps):
                door = list(made.engines.values())[sent % len(made.engines)]
                for key in ("x", "y", "z", "u", "v", "w"):
                    await door.send(Add(key, sent))
                sent += 1
            moving = asyncio.create_task(made.join(name) if comes else made.leave(name))
            for _ in range(5):
                door = next(engine for known, engine in made.engines.items() if known != name)
                for key in ("x", "y", "z", "u", "v", "w"):
                    await door.send(Add(key, sent))
                sent += 1
            await moving
        await made.settle()
        for key in ("x", "y", "z", "u", "v", "w"):
            loaded = await next(iter(made.engines.values())).load(Numbers, key)
            assert list(loaded.state.added) == list(range(sent))


@dataclass(frozen=True)
class Started:
    id: str


@dataclass(frozen=True)
class Nudged:
    id: str


@dataclass(frozen=True)
class Note:
    id: str
    what: str


@dataclass(frozen=True)
class Noted:
    id: str
    what: str


class Notes:
    def __init__(self) -> None:
        self.all: list[tuple[str, str]] = []


def waiting_app() -> App:
    app = App("waits")

    @app.handles(key="id")
    async def note(command: Note, notes: Notes) -> Noted:
        notes.all.append((command.id, command.what))
        return Noted(command.id, command.what)

    @app.saga(key="id", receives=Nudged)
    async def wait_a_bit(started: Started, saga: Saga) -> None:
        await saga.sleep(10)
        await saga.do(Note(started.id, "slept"), then=Noted)
        await saga.receive(Nudged)
        await saga.do(Note(started.id, "nudged"), then=Noted)

    return app


WAITS = "waits.wait_a_bit"


async def test_an_event_by_key_finds_an_instance_elsewhere() -> None:
    notes = Notes()
    async with crew(waiting_app(), "a", "b", provide={Notes: notes}) as made:
        id = made.key_at("b", WAITS, lambda key: lane_name(WAITS, instance_id(WAITS, key)))
        await made.engines["a"].publish(Started(id))
        await made.advance(11)
        assert notes.all == [(id, "slept")]
        await made.engines["a"].publish(Nudged(id))
        await made.settle()
        assert notes.all == [(id, "slept"), (id, "nudged")]
        assert await made.engines["a"].status(WAITS, id) == "completed"


async def test_timers_fire_once_wherever_they_have_come_to() -> None:
    notes, ids = Notes(), [f"i{number}" for number in range(40)]
    async with crew(waiting_app(), "a", provide={Notes: notes}) as made:
        for id in ids:
            await made.engines["a"].publish(Started(id))
        await made.settle()
        await made.join("b")
        await made.settle()
        joining = asyncio.create_task(made.join("c"))
        await asyncio.sleep(0)
        made.clock.set(made.clock.now() + 10_000_000)  # due while partitions are on the move
        await joining
        await made.settle()
        assert sorted(notes.all) == sorted((id, "slept") for id in ids)


async def test_a_send_for_later_is_made_by_whoever_lives_then() -> None:
    stage = Stage()
    async with crew(asking_app(), "a", "b", provide={Stage: stage}) as made:
        for number in range(20):
            await made.engines["a"].send(Ask(f"k{number}"), after=60)
        await made.settle()
        await made.crash("a")
        await made.advance(61)
        await made.settle()
        assert len(stage.ended) == 20


# ---------------------------------------------------------------------- doors, versions


async def test_one_that_only_sends_owns_nothing() -> None:
    world = World()
    async with crew(order_app("code"), "a", provide={World: world}) as made:
        await made.join("door", works=False)
        await made.settle()
        assert made.owned("door") == {}
        event = await made.engines["door"].send_and_wait(made_order(1), until=confirmed())
        assert event.order_id == "o1"


def confirmed() -> Any:
    from tests.acceptance.orders.messages import OrderConfirmed

    return OrderConfirmed


async def test_a_new_subscriber_misses_nothing_while_old_workers_commit() -> None:
    seen = Seen()
    async with crew(lists(), "a", "b", provide={Seen: seen}) as made:
        for number in range(10):
            await made.engines["a"].send(Add("x", number))
        await made.settle()
        await made.join("c", app=lists(listens=True))
        # the old ones are not told by any word: their next Commit is rejected, and made again
        for number in range(10, 60):
            for key in ("x", "y", "z"):
                await made.engines["ab"[number % 2]].send(Add(key, number))
            if number == 30:
                await made.join("d", app=lists(listens=True))
        await made.settle()
        for key in ("x", "y", "z"):
            assert seen.by[key] == list(range(10, 60))
        # and back: the new ones leave, what they would have taken waits
        await made.leave("c")
        await made.leave("d")
        await made.engines["a"].send(Add("x", 60))
        await made.settle()
        assert (await made.engines["a"].load(Numbers, "x")).state.added == tuple(range(61))
        await made.join("e", app=lists(listens=True))
        await made.settle()
        assert seen.by["x"] == list(range(10, 61))


class Holding(MemoryStore):
    """A store that holds up the Commits of events."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.let_go = asyncio.Event()
        self.held = 0

    async def commit(self, commits: Sequence[Commit]) -> list[Rejected | None]:
        if any(message.kind == "event" for commit in commits for message in commit.messages):
            self.held += 1
            await self.let_go.wait()
        return await super().commit(commits)


async def test_what_is_being_committed_when_somebody_subscribes_is_routed_anew() -> None:
    seen = Seen()
    async with crew(lists(), provide={Seen: seen}) as made:
        store = Holding(made.data, shared=True)
        await made.join("a", store=store)
        await made.engines["a"].send(Add("x", 1))
        await until(lambda: store.held)
        await made.join("c", app=lists(listens=True))
        store.let_go.set()
        await made.settle()
        assert seen.by["x"] == [1]


async def test_a_new_subscriber_is_told_of_each_event_by_itself() -> None:
    seen = Seen()
    async with crew(lists(), "a", "b", provide={Seen: seen}) as made:
        await made.join("c", app=lists(listens=True))
        await made.settle()
        for number in range(6):  # no other word, and no poll, has it look
            await made.engines["ab"[number % 2]].send(Add("xyz"[number % 3], number))
            await made.settle()
            assert seen.by["xyz"[number % 3]][-1] == number


async def test_those_who_know_most_of_a_consumer_own_it() -> None:
    world = World()
    async with crew(lists(), "a", provide={World: world, Seen: Seen()}) as made:
        await made.join("b", app=lists(listens=True))
        await made.settle()
        assert len(made.owned("b")["lists.hear"]) == 256
        assert "lists.hear" not in made.owned("a")
        assert len(made.owned("a")["lists.Numbers"]) == len(made.owned("b")["lists.Numbers"]) == 128
    assert PROCESS
