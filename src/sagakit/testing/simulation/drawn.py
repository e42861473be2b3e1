"""What an engine stands on, drawn from a seed: ids and chance, the clock, threads, and a store with faults."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor, Future
from random import Random
from typing import Any, TypeVar

from sagakit.core.commit import Commit
from sagakit.engine.time.clock import SystemClock
from sagakit.ports import Cluster, Store
from sagakit.testing.faults import Fault, FaultyStore
from sagakit.testing.simulation.loop import SeededLoop

T = TypeVar("T")

START = 1_767_225_600_000_000
"""The simulated time at the beginning (2026)."""


class SeededChance:
    """Ids and numbers from a seed."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance

    def new_id(self) -> str:
        """32 hexadecimal digits."""
        return f"{self._chance.getrandbits(128):032x}"

    def share(self) -> float:
        """A number in [0, 1)."""
        return self._chance.random()


class Wall:
    """The clock on the machine's wall: it may be set, and it may stand still."""

    def __init__(self, loop: SeededLoop) -> None:
        self._loop = loop
        self._offset = START
        self._frozen: int | None = None

    def read(self) -> int:
        """Microseconds since 1970, as the machine believes."""
        return self._loop.micros() + self._offset if self._frozen is None else self._frozen

    def set(self, by: int) -> None:
        """Somebody sets it by so many microseconds."""
        self._offset += by
        if self._frozen is not None:
            self._frozen += by

    def freeze(self) -> None:
        """It stands still."""
        self._frozen = self.read()

    def thaw(self) -> None:
        """It goes on from where it stands."""
        if self._frozen is not None:
            self._offset = self._frozen - self._loop.micros()
            self._frozen = None


class WallClock(SystemClock):
    """The system's clock, on a wall that may be set."""

    def __init__(self, wall: Wall) -> None:
        super().__init__()
        self._wall = wall

    def now(self) -> int:
        """Microseconds since 1970."""
        now = self._wall.read()
        if now < self._highest:
            return self._highest
        self._highest = now
        return now


class LoopExecutor(Executor):
    """Threads without threads: what is submitted runs on the loop, after a time that is drawn. It cannot be stopped."""

    def __init__(self, loop: SeededLoop, longest: Callable[[], float]) -> None:
        self._loop = loop
        self._longest = longest

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Run this a little later."""
        future: Future[T] = Future()

        def begin() -> None:
            if future.set_running_or_notify_cancel():
                self._loop.call_later(self._longest(), run)

        def run() -> None:
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        self._loop.call_later(self._longest() / 10, begin)
        return future


class DrawnStore(FaultyStore):
    """A store that answers after a while, and on which faults strike as they are drawn."""

    def __init__(
        self,
        store: Store,
        draw: Callable[[str], Fault | None],
        wait: Callable[[], Awaitable[None]],
        crash: Callable[[str], Awaitable[None]],
        note: Callable[[str], None],
    ) -> None:
        super().__init__(store)
        self._draw = draw
        self._wait = wait
        self._on_crash = crash
        self._note = note
        self.inside = store
        """What it stands before."""
        self.commits = 0
        self.shared: Cluster | None = None
        """What it shares with other stores, with faults of its own."""

    @property
    def cluster(self) -> Cluster | None:
        """None: it has the data alone."""
        return self.shared

    async def do(self, operation: str, call: Callable[[], Awaitable[T]]) -> T:
        """One more operation on which faults strike."""
        return await self._do(operation, call)

    async def commit(self, commits: Sequence[Commit]) -> Any:
        """Write, and keep count."""
        self.commits += 1
        answers = await super().commit(commits)
        await self._wait()
        return answers

    def _next(self, operation: str) -> Fault | None:
        fault = self._draw(operation)
        if operation == "read_arrivals" and fault is Fault.ANSWER_LOST:  # what is read is remembered where it is read
            fault = Fault.FAILED
        self._note(operation if fault is None else f"{operation} {fault.name}")
        return fault

    async def _before(self, fault: Fault | None, lost: str = "", kept: Sequence[Commit] = ()) -> None:
        await self._wait()
        await super()._before(fault, lost, kept)

    async def _crash(self) -> None:
        self.crashed.set()
        await self._store.close(clean=False)
        await self._on_crash("fault")
