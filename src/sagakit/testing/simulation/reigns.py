"""Engines that own the store one after another: killed, stopped, or taken over from while they still run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from typing import TypeVar

from sagakit.engine.engine import Engine
from sagakit.errors import Busy, KeyInFlight, Stopping, StoreFailed, StoreUnusable
from sagakit.stores.memory import MemoryStore
from sagakit.testing.faults import Fault
from sagakit.testing.simulation.drawn import DrawnStore, LoopExecutor, SeededChance, WallClock
from sagakit.testing.simulation.loop import LIFE
from sagakit.testing.simulation.stage import Stage, Subject

T = TypeVar("T")

PATIENCE = (StoreFailed, Stopping, Busy, KeyInFlight, StoreUnusable)
"""What a client tries again after."""


class Reign:
    """One engine, from its start to its end."""

    def __init__(self, life: int, context: Context) -> None:
        self.life = life
        self.context = context
        self.engine: Engine | None = None
        self.over = asyncio.Event()
        """It was killed, has stopped, or could not start."""


class Reigns:
    """Whose turn it is."""

    def __init__(self, stage: Stage, subject: Subject) -> None:
        self._stage = stage
        self._subject = subject
        self._chance = stage.chance("reigns")
        self._faults = stage.chance("faults")
        self._latency = stage.chance("latency")
        self._ids = stage.chance("ids")
        self._count = 0
        self._old: list[Reign] = []
        self._topology = subject.app().topology(provide=list(subject.provide(stage)))
        self.faulty = True
        self.current: Reign | None = None
        self._changed = asyncio.Event()

    # ------------------------------------------------------------------ coming and going

    async def rule(self) -> None:
        """One engine after another, as the profile says."""
        profile, chance = self._stage.profile, self._chance
        for _ in range(profile.reigns):
            reign = await self.begin()
            if reign is None:
                continue
            skews = asyncio.create_task(self._skew())
            await either(reign.over.wait(), self._stage.pause(chance.uniform(0.2, profile.longest)))
            skews.cancel()
            self._stage.wall.thaw()
            await self._end(reign)

    async def _end(self, reign: Reign) -> None:
        share, profile = self._chance.random(), self._stage.profile
        if reign.over.is_set():
            return
        if share < profile.zombies:
            self._stage.note(f"{reign.life} is taken over from")
            self._old.append(reign)
        elif share < profile.zombies + profile.orderly:
            self._stage.note(f"{reign.life} is stopped")
            await self.stop(reign)
        else:
            self.kill(reign)
        self.current = None

    async def begin(self) -> Reign | None:
        """The next engine opens the store. None if it could not start."""
        self._count += 1
        reign = Reign(self._count, copy_context())
        reign.context.run(LIFE.set, reign.life)
        self._stage.note(f"{reign.life} begins")
        starting = asyncio.get_running_loop().create_task(self._start(reign), context=reign.context)
        await either(asyncio.wait([starting]), reign.over.wait())
        if reign.over.is_set() or reign.engine is None:
            if starting.done() and not starting.cancelled() and (error := starting.exception()):
                if not isinstance(error, StoreFailed):
                    raise error
                self._stage.note(f"{reign.life} could not start: {error}")
            reign.over.set()
            return None
        self.current = reign
        self._changed.set()
        self._changed.clear()
        return reign

    async def _start(self, reign: Reign) -> None:
        stage = self._stage
        clock = WallClock(stage.wall)
        stage.clocks[reign.life] = clock.now

        async def crash(why: str) -> None:
            self.kill(reign)
            await asyncio.get_running_loop().create_future()

        store = DrawnStore(MemoryStore(stage.data), self._draw, self._wait, crash, stage.note)
        engine = Engine(
            self._topology,
            store,
            clock=clock,
            provide=self._subject.provide(stage),
            limits=stage.profile.limits,
            chance=SeededChance(self._ids),
            threads=LoopExecutor(stage.loop, lambda: self._latency.uniform(0.0, 3.0) if self.faulty else 0.01),
        )
        await engine.start()
        reign.engine = engine

    def kill(self, reign: Reign) -> None:
        """As kill -9 does it: nothing of it runs any more."""
        self._stage.note(f"{reign.life} is killed")
        self._stage.crashes += 1
        self._stage.loop.end(reign.life)
        if self.current is reign:
            self.current = None
        reign.over.set()

    async def stop(self, reign: Reign) -> None:
        """In order; a fault may strike then too."""
        assert reign.engine is not None
        self.current = None
        stopping = asyncio.get_running_loop().create_task(reign.engine.stop(), context=reign.context)
        await either(asyncio.wait([stopping]), reign.over.wait())
        if stopping.done() and (error := stopping.exception()) and not isinstance(error, StoreFailed):
            raise error
        reign.over.set()

    # ------------------------------------------------------------------ what is drawn

    def _draw(self, operation: str) -> Fault | None:
        if not self.faulty:
            return None
        share = self._faults.random()
        for fault, part in self._stage.profile.faults.items():
            if share < part:
                return fault
            share -= part
        return None

    async def _wait(self) -> None:
        latency = self._stage.profile.latency
        if latency and self.faulty:
            await asyncio.sleep(self._latency.uniform(0.0, latency))

    async def _skew(self) -> None:
        chance, wall = self._chance, self._stage.wall
        while True:
            await asyncio.sleep(chance.uniform(0.5, 10.0))
            if chance.random() >= self._stage.profile.skews:
                continue
            match chance.choice(("forward", "back", "freeze", "thaw")):
                case "forward":
                    wall.set(chance.randrange(60_000_000))
                case "back":
                    wall.set(-chance.randrange(60_000_000))
                case "freeze":
                    wall.freeze()
                case _:
                    wall.thaw()
            self._stage.note("the wall's clock is set")

    # ------------------------------------------------------------------ clients

    async def ask(self, what: Callable[[Engine], Awaitable[T]]) -> T:
        """Ask until there is an answer. Some clients still know an engine that was taken over from."""
        while True:
            reign = self._whom()
            if reign is None or reign.engine is None:
                await self._changed.wait()
                continue
            engine = reign.engine
            asking = asyncio.get_running_loop().create_task(_called(what, engine), context=reign.context)
            await either(asyncio.wait([asking]), reign.over.wait())
            if asking.done() and not asking.cancelled():
                error = asking.exception()
                if error is None:
                    return asking.result()
                if not isinstance(error, PATIENCE):
                    raise error
            await asyncio.sleep(self._chance.uniform(0.01, 0.5))

    def _whom(self) -> Reign | None:
        if self._old and self.faulty and self._chance.random() < 0.1:
            return self._chance.choice(self._old)
        return self.current


async def _called(what: Callable[[Engine], Awaitable[T]], engine: Engine) -> T:
    return await what(engine)


async def either(*waits: Awaitable[object]) -> None:
    """Wait for the first of these; the others are given up."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
