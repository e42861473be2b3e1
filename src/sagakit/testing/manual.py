"""An engine for tests: in memory, with a clock that is moved by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from sagakit.app import App
from sagakit.engine.engine import Engine
from sagakit.engine.limits import Limits
from sagakit.engine.topology import Topology
from sagakit.observer import Observer
from sagakit.ports import Store
from sagakit.stores.memory import MemoryStore
from sagakit.testing.under_way import UnderWay

START = datetime(2026, 1, 1, tzinfo=UTC)
PATIENCE = 10.0
"""Seconds of real time after which a test that does not settle fails."""
SOON = 100
"""Turns of the event loop after which what is not done is done elsewhere."""
A_WORD = 0.01
"""Seconds in which a word that a server has sent to a worker arrives: nothing shows that one is on its way."""


class ManualClock:
    """A clock that stands still until it is moved."""

    def __init__(self, start: datetime = START) -> None:
        self._now = int(start.timestamp() * 1_000_000)
        self._sleepers: list[tuple[int, asyncio.Future[None]]] = []

    def now(self) -> int:
        """Microseconds since 1970 (UTC)."""
        return self._now

    def set(self, now: int) -> None:
        """Move forward to this time; a step back changes nothing."""
        self._now = max(self._now, now)
        for due, sleeper in self._sleepers:
            if due <= self._now and not sleeper.done():
                sleeper.set_result(None)
        self._sleepers = [one for one in self._sleepers if not one[1].done()]

    def has_been(self, seen: int) -> None:
        """Move forward to a time that a store has seen."""
        self.set(seen)

    async def sleep_until(self, due: int) -> None:
        """Return once the clock was moved to `due`."""
        if due > self._now:
            sleeper: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._sleepers.append((due, sleeper))
            await sleeper

    async def pause(self, microseconds: int) -> None:
        """Return once the clock was moved on by so much: in a test no time passes by itself."""
        await self.sleep_until(self._now + microseconds)


class ManualEngine(Engine):
    """An engine whose time is moved by the test."""

    def __init__(
        self,
        topology: Topology,
        store: Store,
        *,
        clock: ManualClock | None = None,
        provide: Mapping[Any, object] | None = None,
        limits: Limits | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.hand = clock or ManualClock()
        self._asked = UnderWay(store)
        counted = cast("Store", self._asked)
        super().__init__(topology, counted, clock=self.hand, provide=provide, limits=limits, observer=observer)
        self.store = store
        if self.team is not None:
            # no time passes: who lives is said by `team.beat`, and what no notice has told is not looked for
            self.team.beats_by_itself = False

    @property
    def now(self) -> datetime:
        """The engine's time."""
        return datetime.fromtimestamp(self.hand.now() / 1_000_000, UTC)

    @property
    def _is_due(self) -> bool:
        due = self.next_due
        return due is not None and due <= self.hand.now()

    @property
    def _begins(self) -> bool:
        """What memory has no room for is read later."""
        team = self.team
        if team is None:
            return False
        reading = team.takeovers.busy and not team.takeovers.waiting
        return reading or team.membership.busy or team.arrivals.busy

    async def begun(self) -> None:
        """Wait until it owns what is its own, where several engines may share the store."""
        loop, rounds = asyncio.get_running_loop(), 0
        limit = loop.time() + PATIENCE
        while self._begins and self.fatal is None:
            if loop.time() > limit:
                raise AssertionError(f"it has not read what is outstanding within {PATIENCE:g} s")
            rounds += 1
            await _turn(rounds)

    async def settle(self) -> None:
        """Wait until nothing can go on without time passing or a message from outside."""
        loop = asyncio.get_running_loop()
        limit = loop.time() + PATIENCE
        calm = rounds = 0
        listened = False
        while calm < 3:
            calm = calm + 1 if self.idle and not self._asked.count and not self._is_due else 0
            if self.fatal is not None:
                raise self.fatal
            if loop.time() > limit:
                raise AssertionError(f"not settled within {PATIENCE:g} s: a handler still runs, or the engine is busy")
            rounds += 1
            await _turn(rounds)
            listened = listened and calm > 0
            if calm == 3 and self.team is not None and not listened:
                listened, calm = True, 1
                await asyncio.sleep(A_WORD)

    async def advance(self, *, days: float = 0, hours: float = 0, seconds: float = 0) -> None:
        """Move the time, stopping at everything that is due on the way."""
        passed = timedelta(days=days, hours=hours, seconds=seconds)
        target = self.hand.now() + int(passed.total_seconds() * 1_000_000)
        await self._breathe()
        while (due := self.next_due) is not None and due <= target:
            self.hand.set(due)
            await self._breathe()
        self.hand.set(target)
        await self._breathe()

    async def _breathe(self) -> None:
        """Let everything run that can; handlers that wait for the test or for time stay where they are."""
        loop = asyncio.get_running_loop()
        limit = loop.time() + PATIENCE
        calm = rounds = 0
        listened = False
        while calm < 5:
            if loop.time() > limit:
                raise AssertionError(f"the engine is still busy after {PATIENCE:g} s: its store may not answer")
            calm = calm + 1 if self.quiet and not self._asked.count and not self._is_due else 0
            rounds += 1
            await _turn(rounds)
            listened = listened and calm > 0
            if calm == 5 and self.team is not None and not listened:
                listened, calm = True, 1
                await asyncio.sleep(A_WORD)


async def _turn(number: int) -> None:
    """Let the others go on. Whoever waits for long waits for a thread or a server, which need the processor too."""
    await asyncio.sleep(0 if number < SOON else 0.001)


@asynccontextmanager
async def engine(
    app: App,
    *,
    provide: Mapping[Any, object] | None = None,
    store: Store | None = None,
    clock: ManualClock | None = None,
    limits: Limits | None = None,
    observer: Observer | None = None,
) -> AsyncGenerator[ManualEngine]:
    """Run an app in memory (or on `store`), with a clock moved by hand, until the block ends."""
    topology = app.topology(provide=provide or ())
    manual = ManualEngine(
        topology, store or MemoryStore(), clock=clock, provide=provide, limits=limits, observer=observer
    )
    await manual.start()
    try:
        await manual.begun()
        yield manual
    finally:
        await manual.stop()
