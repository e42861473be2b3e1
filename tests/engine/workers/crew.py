"""Several engines on one store in memory, with one clock that is moved by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from sagakit import App
from sagakit.engine.limits import Limits
from sagakit.ports import Store
from sagakit.stores.memory import MemoryData, MemoryStore
from sagakit.testing.manual import ManualClock, ManualEngine

PATIENCE = 60.0
"""Seconds of real time after which a test that does not settle fails."""
PATIENT = Limits(stop_within=30.0, hand_over_within=30.0)
"""Handlers that a test lets end are waited for so long: none is cancelled, however slow the machine."""


class Killed(Exception):
    """The process of an engine was killed."""


class Crew:
    """The engines, by name."""

    def __init__(self, app: App, provide: Mapping[Any, object] | None = None, limits: Limits | None = None) -> None:
        self.app = app
        self.provide = dict(provide or {})
        self.limits = limits or Limits(stop_within=5.0, hand_over_within=1.0)
        self.data = MemoryData()
        self.clock = ManualClock()
        self.engines: dict[str, ManualEngine] = {}
        self.gone: dict[str, str] = {}
        """The ids of those that have crashed, by their names."""

    async def join(
        self, name: str, *, app: App | None = None, works: bool = True, store: Store | None = None
    ) -> ManualEngine:
        """One more engine."""
        app = app or self.app
        engine = ManualEngine(
            app.topology(provide=self.provide),
            store or MemoryStore(self.data, shared=True),
            clock=self.clock,
            provide=self.provide,
            limits=self.limits,
        )
        assert engine.team is not None
        engine.team.me.name, engine.team.works = name, works
        await engine.start()
        self.engines[name] = engine
        return engine

    async def leave(self, name: str) -> None:
        """It ends in order."""
        await self.engines.pop(name).stop()

    async def crash(self, name: str, *, noticed: bool = True) -> None:
        """It is gone at once; `noticed`: its lease has expired, too."""
        engine = self.engines.pop(name)
        assert engine.team is not None
        self.gone[name] = engine.team.me.id
        await self._kill(engine)
        if noticed:
            await self.expire(engine)

    async def expire(self, engine: ManualEngine) -> None:
        """Its lease expires, and the others notice."""
        assert engine.team is not None
        self.data.expire(engine.team.me.id)
        await self.beat(engine)

    async def beat(self, but: ManualEngine | None = None) -> None:
        """Each gives a sign of life, and sees who else does."""
        for engine in list(self.engines.values()):
            if engine is not but and engine.team is not None:
                await engine.team.beat()

    @contextmanager
    def unnoticed(self) -> Generator[None]:
        """Nobody hears of what happens elsewhere; in the end all look at what has come, and hear again."""
        heard = dict(self.data.listeners)
        self.data.listeners.clear()
        try:
            yield
        finally:
            self.data.listeners.update(heard)
            self.look()

    def look(self) -> None:
        """Each looks at what has come, though it may have heard nothing of it."""
        for engine in self.engines.values():
            assert engine.team is not None
            engine.team.arrivals.look()

    async def _kill(self, engine: ManualEngine) -> None:
        """Nothing of it goes on, and nothing that it had not committed yet ever will be."""
        team = engine.team
        assert team is not None
        self.data.listeners.pop(team.me.id, None)
        engine.fatal = Killed(team.me.name)
        engine._committer._ended = engine.fatal
        engine._lanes.running = False
        others = (team.arrivals, team.notices, team.rerouting, team.withdrawing._is_under_way)
        for part in (engine._committer, engine._timers, engine._schedule, *others):
            task = getattr(part, "_task", None) or getattr(part, "_reader", None)
            if task is not None:
                task.cancel()
        tasks = (*engine._lanes._workers, *engine._schedule._tasks, *team.takeovers._tasks, *team.membership._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def settle(self) -> None:
        """Wait until nothing can go on anywhere without time passing or a message from outside."""
        loop = asyncio.get_running_loop()
        limit, calm = loop.time() + PATIENCE, 0
        while calm < 5:
            for engine in self.engines.values():
                if engine.fatal is not None:
                    raise engine.fatal
            due = [engine.next_due for engine in self.engines.values()]
            late = any(one is not None and one <= self.clock.now() for one in due)
            calm = calm + 1 if not late and all(engine.idle for engine in self.engines.values()) else 0
            if loop.time() > limit:
                raise AssertionError(f"not settled within {PATIENCE:g} s")
            await asyncio.sleep(0)

    async def rest(self) -> None:
        """Let everything run that can; handlers that wait for the test stay where they are."""
        loop = asyncio.get_running_loop()
        limit, calm = loop.time() + PATIENCE, 0
        while calm < 10:
            calm = calm + 1 if all(engine.quiet for engine in self.engines.values()) else 0
            if loop.time() > limit:
                raise AssertionError(f"still busy after {PATIENCE:g} s")
            await asyncio.sleep(0)

    async def advance(self, seconds: float) -> None:
        """Move the time, stopping at everything that is due on the way."""
        target = self.clock.now() + int(seconds * 1_000_000)
        await self.rest()
        while (due := self._next_due()) is not None and due <= target:
            self.clock.set(due)
            await self.rest()
        self.clock.set(target)
        await self.rest()

    async def finish(self) -> None:
        """Let everything run to its end, retries and timers included."""
        await self.settle()
        while (due := self._next_due()) is not None:
            self.clock.set(due)
            await self.settle()

    def _next_due(self) -> int | None:
        due = [one for engine in self.engines.values() if (one := engine.next_due) is not None]
        return min(due) if due else None

    def owned(self, name: str) -> dict[str, set[int]]:
        """What an engine owns."""
        team = self.engines[name].team
        assert team is not None
        return team.ownership.held()

    def owner(self, consumer: str, lane: str) -> str:
        """Who owns a lane that has a key."""
        for name, engine in self.engines.items():
            assert engine.team is not None
            if not engine.team.ownership.is_elsewhere(consumer, lane):
                return name
        raise AssertionError(f"nobody owns {lane}")

    def key_at(self, name: str, consumer: str, lane_of: Callable[[str], str]) -> str:
        """A key whose lane this engine owns."""
        return next(key for number in range(1000) if self.owner(consumer, lane_of(key := f"k{number}")) == name)


@asynccontextmanager
async def crew(
    app: App, *names: str, provide: Mapping[Any, object] | None = None, limits: Limits | None = None
) -> AsyncGenerator[Crew]:
    """Engines of these names, until the block ends."""
    made = Crew(app, provide, limits)
    try:
        for name in names:
            await made.join(name)
            await made.settle()
        yield made
    finally:
        for name in list(made.engines):
            if made.engines[name].fatal is None:
                await made.leave(name)
