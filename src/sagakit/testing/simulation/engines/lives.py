"""The lives of engines, each from its start to its end: what they stand on, and how clients reach them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from typing import TypeVar

from sagakit.engine.engine import Engine
from sagakit.engine.topology import Topology
from sagakit.errors import Busy, KeyInFlight, LeaseLost, Stopping, StoreFailed, StoreUnusable
from sagakit.ports import Store
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
        self.away = asyncio.Event()
        """It is over, or gives no answer for too long: its clients turn to another one."""

    def end(self) -> None:
        """Nobody comes back to it."""
        self.over.set()
        self.away.set()


class Lives:
    """Begins them and ends them; which one, and when, is for those who know how many there may be."""

    def __init__(self, stage: Stage, subject: Subject) -> None:
        self._stage = stage
        self._subject = subject
        self._chance = stage.chance("reigns")
        self._faults = stage.chance("faults")
        self._latency = stage.chance("latency")
        self._ids = stage.chance("ids")
        self._count = 0
        self._topology = subject.app().topology(provide=list(subject.provide(stage)))
        self.faulty = True
        self._changed = asyncio.Event()

    async def rule(self) -> None:
        """Engines come and go, as the profile says."""
        raise NotImplementedError

    async def stay(self) -> list[Engine]:
        """Nothing fails any more: the engines that stay to the end."""
        raise NotImplementedError

    async def close(self) -> None:
        """All is over: they are stopped."""
        raise NotImplementedError

    def _whom(self) -> Reign | None:
        raise NotImplementedError

    def _left(self, reign: Reign) -> None:
        """It is not to be asked any more."""
        raise NotImplementedError

    # ------------------------------------------------------------------ coming and going

    async def begin(self, topology: Topology | None = None, name: str = "") -> Reign | None:
        """The next engine opens the store. None if it could not start."""
        self._count += 1
        reign = Reign(self._count, copy_context())
        reign.context.run(LIFE.set, reign.life)
        self._stage.note(f"{reign.life} begins")
        start = self._start(reign, topology or self._topology, name)
        starting = asyncio.get_running_loop().create_task(start, context=reign.context)
        await either(asyncio.wait([starting]), reign.over.wait())
        if reign.over.is_set() or reign.engine is None:
            if starting.done() and not starting.cancelled() and (error := starting.exception()):
                if not isinstance(error, StoreFailed):
                    raise error
                self._stage.note(f"{reign.life} could not start: {error}")
            reign.end()
            return None
        self._came(reign)
        self._changed.set()
        self._changed.clear()
        return reign

    def _came(self, reign: Reign) -> None:
        """It may be asked."""

    async def _start(self, reign: Reign, topology: Topology, name: str) -> None:
        stage = self._stage
        clock = WallClock(stage.wall)
        stage.clocks[reign.life] = clock.now

        async def crash(why: str) -> None:
            self.kill(reign)
            await asyncio.get_running_loop().create_future()

        engine = Engine(
            topology,
            self._open(reign, DrawnStore(self._inside(reign), self._draw, self._wait, crash, stage.note)),
            clock=clock,
            provide=self._subject.provide(stage),
            limits=stage.profile.limits,
            chance=SeededChance(self._ids),
            threads=LoopExecutor(stage.loop, lambda: self._latency.uniform(0.0, 3.0) if self.faulty else 0.01),
        )
        self._name(engine, reign, name)
        await engine.start()
        reign.engine = engine

    def _inside(self, reign: Reign) -> Store:
        return MemoryStore(self._stage.data)

    def _open(self, reign: Reign, store: DrawnStore) -> DrawnStore:
        return store

    def _name(self, engine: Engine, reign: Reign, name: str) -> None:
        """What the others know it by."""

    def kill(self, reign: Reign) -> None:
        """As kill -9 does it: nothing of it runs any more."""
        self._stage.note(f"{reign.life} is killed")
        self._stage.crashes += 1
        self._stage.loop.end(reign.life)
        self._stage.gone(reign.life)
        self._left(reign)
        reign.end()

    async def stop(self, reign: Reign) -> None:
        """In order; a fault may strike then too."""
        assert reign.engine is not None
        self._left(reign)
        stopping = asyncio.get_running_loop().create_task(reign.engine.stop(), context=reign.context)
        await either(asyncio.wait([stopping]), reign.over.wait())
        if stopping.done() and (error := stopping.exception()) and not isinstance(error, StoreFailed | LeaseLost):
            raise error
        reign.end()

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
            await either(asyncio.wait([asking]), reign.away.wait())
            if asking.done() and not asking.cancelled():
                error = asking.exception()
                if error is None:
                    return asking.result()
                if not isinstance(error, PATIENCE):
                    raise error
            await asyncio.sleep(self._chance.uniform(0.01, 0.5))


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
