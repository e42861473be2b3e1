"""What is under way in a partition that goes to another worker: nothing of it changes a row under its new owner."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from dataclasses import dataclass

import pytest
from tests.engine.stage import Ask, Stage, asking_app, until
from tests.engine.workers.crew import Crew, crew

from sagakit import App, Context, Retry
from sagakit.core.streams import lane_name, partition
from sagakit.engine.lanes.lane import Lane
from sagakit.engine.limits import Limits
from sagakit.engine.workers.owning import handover
from sagakit.engine.workers.owning.assignment import shared_out
from sagakit.engine.workers.owning.ownership import Home
from sagakit.stores.memory import MemoryStore
from sagakit.testing.manual import ManualEngine

SOON = Limits(stop_within=1.0, hand_over_within=0.01)
MOVES = shared_out(("a", "b"))["b"]
"""What `a` gives when `b` joins."""


def moving(consumer: str, count: int) -> list[str]:
    """Keys whose lanes go from `a` to `b`."""
    keys = (f"k{number}" for number in range(1000))
    return [key for key in keys if partition(lane_name(consumer, key)) in MOVES][:count]


class Held(MemoryStore):
    """Writes nothing while the test holds it."""

    def __init__(self, made: Crew) -> None:
        super().__init__(made.data, shared=True)
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.holds = asyncio.Event()

    async def commit(self, commits: object) -> object:  # type: ignore[override]
        if not self.goes_on.is_set():
            self.holds.set()
            await self.goes_on.wait()
        return await super().commit(commits)  # type: ignore[arg-type]


async def test_a_failure_that_is_being_written_is_waited_for() -> None:
    stage, retry = Stage(), Retry(3, first=1.0, jitter=0.0)
    async with crew(asking_app(retry=retry), provide={Stage: stage}, limits=SOON) as made:
        store = Held(made)
        await made.join("a", store=store)
        failing, running = (Ask(key) for key in moving("t.ask", 2))
        stage.will(failing, ConnectionError("broken"))
        stage.closes(failing, running)
        for ask in (failing, running):
            await made.engines["a"].send(ask)
        await made.rest()
        store.goes_on.clear()
        stage.opens(failing)
        await store.holds.wait()
        await made.join("b")
        await until(lambda: stage.began.count(running) == 2)  # it was cancelled, and runs at `b`
        assert stage.began.count(failing) == 1
        store.goes_on.set()
        stage.opens(running)
        await made.finish()
        attempts = [one.attempt for one, ask in zip(stage.contexts, stage.began, strict=True) if ask == failing]
        assert attempts == [1, 2]


@dataclass(frozen=True)
class Dig:
    hole: str


@dataclass(frozen=True)
class Dug:
    hole: str


async def test_who_answers_although_he_was_cancelled_has_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "GRACE", 0.0)
    app, begun = App("d"), list[str]()

    @app.handles(key="hole")
    async def dig(command: Dig) -> Dug:
        begun.append(command.hole)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return Dug(command.hole)

    async with crew(app, limits=SOON) as made:
        store = Held(made)
        engine = await made.join("a", store=store)
        (hole,) = moving("d.dig", 1)
        interrupts = _counted(engine)
        await engine.send(Dig(hole))
        await made.rest()
        store.goes_on.clear()
        await made.join("b")
        await until(lambda: len(interrupts) == 2)  # it is still there when its time is over once more
        assert partition(lane_name("d.dig", hole)) not in made.owned("b")["d.dig"]
        store.goes_on.set()
        await made.settle()
        assert begun == [hole]
        assert partition(lane_name("d.dig", hole)) in made.owned("b")["d.dig"]
        assert not made.data.deliveries


def _counted(engine: ManualEngine) -> list[int]:
    """How many lanes were left, each time that what runs was interrupted."""
    assert engine.team is not None
    given, counts = engine.team.handover, list[int]()
    interrupt = given._interrupt

    async def counted(lanes: dict[Lane, Home]) -> None:
        await interrupt(lanes)
        counts.append(len(lanes))

    given._interrupt = counted  # type: ignore[method-assign]
    return counts


async def test_a_thread_that_does_not_end_keeps_no_partition() -> None:
    """Its next attempt waits for it, at this worker. The next owner does not: it may still run, as after a crash."""
    app, ends, attempts = App("d"), threading.Event(), list[tuple[int, int]]()

    @app.handles(key="hole", timeout=1.0, retry=Retry(5, first=1.0, jitter=0.0))
    def dig(command: Dig, context: Context) -> Dug:
        attempts.append((context.attempt, threading.get_ident()))
        if len(attempts) == 1:
            ends.wait(30)
        return Dug(command.hole)

    try:
        async with crew(app, "a", limits=SOON) as made:
            (hole,) = moving("d.dig", 1)
            await made.engines["a"].send(Dig(hole))
            await until(lambda: attempts)
            await made.advance(5)  # its time is over, and the next attempt is due
            await made.join("b")
            await until(lambda: len(attempts) == 2)
            await until(lambda: not made.data.deliveries)
            assert [attempt for attempt, _ in attempts] == [1, 3]  # the retry, and what is charged to a crash
            ends.set()
    finally:
        ends.set()


async def test_a_stop_is_over_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Although something has a lane that never lets it go."""
    monkeypatch.setattr("sagakit.engine.workers.team.GRACE", 0.05)
    limits = Limits(stop_within=0.05, hand_over_within=0.01)
    async with crew(asking_app(), "a", "b", provide={Stage: Stage()}, limits=limits) as made:
        key = made.key_at("a", "t.ask", lambda key: lane_name("t.ask", key))
        lane = lane_name("t.ask", key)
        await made.engines["a"]._lanes.claim(lane)
        async with asyncio.timeout(15):
            await made.leave("a")
        await made.beat()
        await made.settle()
        assert len(made.owned("b")["t.ask"]) == 256
        leases = made.data.leases
        assert not leases["t.ask", partition(lane)].clean
        assert sum(not lease.clean for lease in leases.values()) == 1
