"""One run of a test: a client, the engine of the moment, and time that passes when nothing else can be done."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextvars import copy_context
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar

from sagakit.core.decider import Decider, Loaded
from sagakit.core.messages import Message
from sagakit.engine.engine import Engine
from sagakit.engine.inbox import Receipt
from sagakit.engine.limits import Limits
from sagakit.engine.topology import Topology
from sagakit.stores.memory import MemoryData, MemoryStore
from sagakit.testing.faults import Fault
from sagakit.testing.simulation.drawn import DrawnStore, LoopExecutor, SeededChance, Wall, WallClock
from sagakit.testing.simulation.engines.lives import PATIENCE, Reign, either
from sagakit.testing.simulation.loop import LIFE, SeededLoop

T = TypeVar("T")
A = TypeVar("A", bound=Decider)

LONGEST = 366.0


@dataclass(frozen=True)
class Plan:
    """How one run differs from the plain one."""

    what: str
    commit: int = 0
    """The number of the commit at which a fault strikes; 0: at none."""
    fault: Fault | None = None
    engine: type[Engine] = Engine
    twice: bool = False
    """Clients ask for everything twice."""
    reach: int = 1
    """Among how many of the callbacks that are ready the next one is drawn."""
    seed: int = 0


class Trial:
    """What a test is given. A test is a client: it lives on when the engine is killed, and asks the next one."""

    def __init__(
        self,
        loop: SeededLoop,
        topology: Topology,
        provided: Mapping[Any, object],
        plan: Plan,
        limits: Limits | None,
    ) -> None:
        self.provided = provided
        """The world outside: what `provide` gave for this run."""
        self.data = MemoryData()
        """What the store holds. It outlives every engine."""
        self.commits = 0
        """Transactions so far."""
        self.plan = plan
        self._loop = loop
        self._topology = topology
        self._limits = limits
        self._wall = Wall(loop)
        self._chance = Random(plan.seed)  # noqa: S311  (the same each time)
        self._lives = 0
        self._asked = 0
        self._reign: Reign | None = None
        self._changed = asyncio.Event()

    # ------------------------------------------------------------------ what a test does

    async def send(self, command: Message, *, idempotency_key: str | None = None) -> Receipt:
        """Send a command, until it is acknowledged."""
        key = self._key(idempotency_key)
        return await self._ask_often(lambda engine: engine.send(command, idempotency_key=key))

    async def publish(self, event: Message, *, idempotency_key: str | None = None) -> Receipt:
        """Publish an event, until it is acknowledged."""
        key = self._key(idempotency_key)
        return await self._ask_often(lambda engine: engine.publish(event, idempotency_key=key))

    async def cancel(self, process: Any, key: object, *, reason: str) -> bool:
        """Cancel an instance."""
        return await self.ask(lambda engine: engine.cancel(process, key, reason=reason))

    async def status(self, process: Any, key: object) -> str:
        """The status of an instance."""
        return await self.ask(lambda engine: engine.status(process, key))

    async def load(self, aggregate: type[A], key: object) -> Loaded[A]:
        """An aggregate."""
        return await self.ask(lambda engine: engine.load(aggregate, key))

    async def ask(self, what: Callable[[Engine], Awaitable[T]]) -> T:
        """Ask the engine of the moment, and the next one if that dies, until there is an answer."""
        while True:
            reign, engine = await self._reigning()
            asking = self._loop.create_task(_called(what, engine), context=reign.context)
            await either(asyncio.wait([asking]), reign.over.wait())
            if asking.done() and not asking.cancelled():
                error = asking.exception()
                if error is None:
                    return asking.result()
                if not isinstance(error, PATIENCE):
                    raise error
            await asyncio.sleep(0.01)

    async def finish(self, *, days: float = LONGEST) -> None:
        """Let everything run to its end, retries and timers included; AssertionError if that takes longer."""
        until = self._loop.time() + days * 86_400
        pause, calm = 0.001, 0
        while calm < 3:
            _, engine = await self._reigning()
            if engine.fatal is not None:
                raise engine.fatal
            due = engine.next_due
            if not engine.idle:
                calm, pause = 0, min(pause * 1.5, 3_600.0)
            elif due is not None:
                calm, pause = 0, max((due - engine.clock.now()) / 1_000_000, 0.001)
            else:
                calm, pause = calm + 1, 0.001
            if self._loop.time() + pause > until:
                raise AssertionError(f"not at its end after {days:g} days ({self.plan.what})")
            await asyncio.sleep(pause)

    # ------------------------------------------------------------------ its engines

    async def start(self) -> None:
        """The first engine, and the next one whenever one is killed."""
        self._loop.create_task(self._succeed())
        await self._reigning()

    async def stop(self) -> None:
        """The last engine stops in order."""
        reign, engine = await self._reigning()
        stopping = self._loop.create_task(engine.stop(), context=reign.context)
        await either(asyncio.wait([stopping]), reign.over.wait())

    async def _succeed(self) -> None:
        while True:
            reign = await self._begin()
            if reign.engine is not None:
                self._reign = reign
                self._changed.set()  # whoever waits now goes on; who comes later looks first
                self._changed.clear()
                await reign.over.wait()
                self._reign = None

    async def _begin(self) -> Reign:
        self._lives += 1
        reign = Reign(self._lives, copy_context())
        reign.context.run(LIFE.set, reign.life)
        starting = self._loop.create_task(self._start(reign), context=reign.context)
        await either(asyncio.wait([starting]), reign.over.wait())
        if not reign.over.is_set() and (error := starting.exception()) and not isinstance(error, PATIENCE):
            raise error
        return reign

    async def _start(self, reign: Reign) -> None:
        async def crash(_: str) -> None:
            self._loop.end(reign.life)
            reign.engine = None
            reign.over.set()
            await self._loop.create_future()

        store = DrawnStore(MemoryStore(self.data), self._draw, _at_once, crash, lambda _: None)
        engine = self.plan.engine(
            self._topology,
            store,
            clock=_Clock(self._wall),
            provide=self.provided,
            limits=self._limits,
            chance=SeededChance(self._chance),
            threads=LoopExecutor(self._loop, lambda: 0.0),
        )
        await engine.start()
        reign.engine = engine

    async def _reigning(self) -> tuple[Reign, Engine]:
        while self._reign is None or self._reign.engine is None:
            await self._changed.wait()
        return self._reign, self._reign.engine

    def _draw(self, operation: str) -> Fault | None:
        if operation != "commit":
            return None
        self.commits += 1
        return self.plan.fault if self.commits == self.plan.commit else None

    def _key(self, key: str | None) -> str:
        self._asked += 1
        return key or f"request {self._asked} of the test"

    async def _ask_often(self, what: Callable[[Engine], Awaitable[T]]) -> T:
        if self.plan.twice:
            await self.ask(what)
        return await self.ask(what)


class _Clock(WallClock):
    """Nobody sets it: whoever sleeps wakes once, when it is time."""

    async def sleep_until(self, due: int) -> None:
        await asyncio.sleep(max(due - self.now(), 0) / 1_000_000)


async def _called(what: Callable[[Engine], Awaitable[T]], engine: Engine) -> T:
    return await what(engine)


async def _at_once() -> None:
    """This store answers at once."""
