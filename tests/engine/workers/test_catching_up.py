"""What one client sends one thing after another is handled in that order, whichever workers' doors took it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from tests.engine.stage import Ask, Stage, asking_app, numbers
from tests.engine.workers.crew import Crew, crew

from sagakit import App, Saga
from sagakit.core.cluster.members import Owned
from sagakit.core.commit import Delivery
from sagakit.core.streams import instance_id, lane_name
from sagakit.engine.limits import Limits
from sagakit.errors import Stopping, StoreFailed
from sagakit.stores.memory import MemoryStore


def hears_nothing(made: Crew, name: str) -> None:
    """No word of others reaches this engine."""
    team = made.engines[name].team
    assert team is not None
    made.data.listeners[team.me.id] = lambda notice: None


def reads_of(made: Crew, name: str) -> list[Owned]:
    """Every look of this engine for what others have written, from now on."""
    cluster = made.engines[name].store.cluster
    assert cluster is not None
    reads: list[Owned] = []
    read = cluster.read_arrivals

    async def counted(owned: Owned) -> list[Delivery]:
        reads.append(owned)
        return await read(owned)

    cluster.read_arrivals = counted  # type: ignore[method-assign]
    return reads


def asked_of(made: Crew, name: str) -> str:
    return made.key_at(name, "t.ask", lambda key: lane_name("t.ask", key))


async def test_one_that_knows_of_others_looks_first() -> None:
    stage = Stage()
    async with crew(asking_app(), "a", "b", provide={Stage: stage}) as made:
        hears_nothing(made, "a")
        key = asked_of(made, "a")
        for number in range(11):
            await made.engines["ab"[number % 2]].send(Ask(key, number))
        await made.settle()
        assert numbers(stage.ended) == list(range(11))


async def test_one_that_was_alone_learns_of_others_with_its_next_commit() -> None:
    stage = Stage()
    async with crew(asking_app(), "a", provide={Stage: stage}) as made:
        await made.engines["a"].send(Ask("k", 0))
        await made.settle()
        hears_nothing(made, "a")
        await made.join("b")
        await made.engines["b"].send(Ask("k", 1))
        await made.engines["a"].send(Ask("k", 2))
        await made.settle()
        assert numbers(stage.ended) == [0, 1, 2]


async def test_also_of_those_that_came_and_have_gone() -> None:
    stage = Stage()
    async with crew(asking_app(), "a", provide={Stage: stage}) as made:
        await made.engines["a"].send(Ask("k", 0))
        await made.settle()
        hears_nothing(made, "a")
        await made.join("b", works=False)
        await made.engines["b"].send(Ask("k", 1))
        await made.leave("b")
        await made.engines["a"].send(Ask("k", 2))
        await made.settle()
        assert numbers(stage.ended) == [0, 1, 2]


async def test_one_that_is_alone_does_not_look() -> None:
    async with crew(asking_app(), "a", provide={Stage: Stage()}) as made:
        await made.engines["a"].send(Ask("k", 0))
        reads = reads_of(made, "a")
        for number in range(5):
            await made.engines["a"].send(Ask("k", number))
        await made.settle()
        assert not reads


async def test_nobody_looks_for_what_is_for_others_lanes_or_for_one_of_its_own() -> None:
    async with crew(asking_app(), "a", "b", provide={Stage: Stage()}) as made:
        key, reads = asked_of(made, "b"), reads_of(made, "a")
        await made.engines["a"].send(Ask(key, 1))
        await made.settle()
        assert not reads
    async with crew(asking_app(key=None), "a", "b", provide={Stage: Stage()}) as made:
        reads = reads_of(made, "a")
        await made.engines["a"].send(Ask("k", 1))
        await made.settle()
        assert not reads


@dataclass(frozen=True)
class Begin:
    key: str


@dataclass(frozen=True)
class Signal:
    key: str
    number: int


@dataclass(frozen=True)
class Begun:
    key: str
    numbers: tuple[int, ...]


def signalled() -> App:
    app = App("s")

    @app.saga(key="key", receives=Signal)
    async def counting(begin: Begin, saga: Saga) -> Begun:
        told = [(await saga.receive(Signal)).number for _ in range(3)]
        return Begun(begin.key, tuple(told))

    return app


async def test_an_instance_reacts_to_nothing_at_once_that_others_have_something_older_for() -> None:
    """Also its start: what comes for it next, through another door, finds it."""
    async with crew(signalled(), "a", "b") as made:
        hears_nothing(made, "a")
        key = made.key_at("a", "s.counting", lambda key: lane_name("s.counting", instance_id("s.counting", key)))
        await made.engines["b"].send(Begin(key))
        for number in range(3):
            await made.engines["ab"[number % 2]].publish(Signal(key, number))
        await made.settle()
        (told,) = [one.payload for one in made.data.messages if one.type == "s.Begun"]
        assert told.endswith(b"[0,1,2]}")


class Slow(MemoryStore):
    """Draws the ids of deliveries when it begins to write, and writes when the test lets it."""

    def __init__(self, made: Crew) -> None:
        super().__init__(made.data, shared=True)
        self.writes = asyncio.Event()
        self.writes.set()
        self.drawn = asyncio.Event()

    async def commit(self, commits: object) -> object:  # type: ignore[override]
        if self.writes.is_set():
            return await super().commit(commits)  # type: ignore[arg-type]
        data, first = self.data, self.data.delivered
        data.delivered += 1
        self.drawn.set()
        await self.writes.wait()
        upto, data.delivered = data.delivered, first
        try:
            return await super().commit(commits)  # type: ignore[arg-type]
        finally:
            data.delivered = upto


async def test_a_page_does_not_overtake_what_was_committed_late_behind_an_earlier_one() -> None:
    """`a` takes over in pages what `z` had. `b` is late with its Commit; it acknowledges, and `c` takes the next."""
    stage, limits = Stage(), Limits(page=2, at_once=1, stop_within=1.0, hand_over_within=1.0)
    async with crew(asking_app(), "a", provide={Stage: stage}, limits=limits) as made:
        engine, slow = made.engines["a"], Slow(made)
        await made.join("b", works=False, store=slow)
        await made.join("c", works=False)
        team = engine.team
        assert team is not None
        await made.engines["b"].send(Ask("before"))  # it knows of `c` from then on
        await made.settle()
        homes = team.ownership.held()
        await team.handover.give(homes, 0.0)  # nobody takes it before `a` looks again
        slow.writes.clear()
        late = asyncio.create_task(made.engines["b"].send(Ask("k", 1)))
        await slow.drawn.wait()
        for number in range(2):
            await made.engines["c"].send(Ask("other", number))
        between = _after_first_page(engine.store, lambda: _send_late(made, slow, late))
        hears_nothing(made, "a")
        team.membership.look()
        await made.settle()
        assert between
        assert numbers(stage.ended, "k") == [1, 2]
        assert late.done()


async def _send_late(made: Crew, slow: Slow, late: asyncio.Task[object]) -> None:
    slow.writes.set()
    await late
    await made.engines["c"].send(Ask("k", 2))


def _after_first_page(store: object, then: Callable[[], object]) -> list[int]:
    read, pages = store.read_deliveries, []  # type: ignore[attr-defined, var-annotated]

    async def paged(*, after: int = 0, **more: object) -> object:
        if after and not pages:
            pages.append(after)
            await then()  # type: ignore[misc]
        return await read(after=after, **more)

    store.read_deliveries = paged  # type: ignore[attr-defined]
    return pages


# ---------------------------------------------------------------------- what cannot be looked for


async def test_a_door_says_so_where_the_store_cannot_be_read() -> None:
    stage = Stage()
    async with crew(asking_app(), "a", "b", provide={Stage: stage}) as made:
        engine, key = made.engines["a"], asked_of(made, "a")
        cluster = engine.store.cluster
        assert cluster is not None
        read = cluster.read_arrivals

        async def away(owned: Owned) -> list[Delivery]:
            raise StoreFailed("away")

        cluster.read_arrivals = away  # type: ignore[method-assign]
        for _ in range(2):  # at once, and while it is being tried again
            with pytest.raises(StoreFailed, match="away"):
                await engine.send(Ask(key, 1))
        cluster.read_arrivals = read  # type: ignore[method-assign]
        made.clock.set(made.clock.now() + 10_000_000)
        await made.rest()
        await engine.send(Ask(key, 2))
        await made.settle()
        assert numbers(stage.ended) == [2]


async def test_whoever_waits_at_a_door_is_told_of_the_end() -> None:
    async with crew(asking_app(), "a", "b", provide={Stage: Stage()}) as made:
        engine, key = made.engines["a"], asked_of(made, "a")
        cluster = engine.store.cluster
        assert cluster is not None
        reading = asyncio.Event()

        async def hangs(owned: Owned) -> list[Delivery]:
            reading.set()
            await asyncio.Event().wait()
            raise AssertionError

        cluster.read_arrivals = hangs  # type: ignore[method-assign]
        sending = asyncio.create_task(engine.send(Ask(key, 1)))
        await reading.wait()
        await made.leave("a")
        with pytest.raises(Stopping):
            await sending
        team = engine.team
        assert team is not None
        with pytest.raises(Stopping):
            await team.arrivals.through()
