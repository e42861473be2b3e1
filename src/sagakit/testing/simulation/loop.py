"""An event loop without a world: time is a number, and which of the ready callbacks runs next is drawn."""

from __future__ import annotations

import asyncio
import heapq
from asyncio import events
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, ContextVar, copy_context
from math import ceil
from random import Random
from typing import Any, TypeVar

T = TypeVar("T")

LIFE: ContextVar[int] = ContextVar("sagakit simulated life", default=0)
"""Whose code runs: 0 is the simulation itself, every engine has a number of its own."""


class Stuck(AssertionError):
    """Nothing can go on, or nothing comes to an end."""


class _Ready(asyncio.Handle):
    """A callback, and whose it is."""

    __slots__ = ("call", "life")

    def __init__(
        self, callback: Callable[..., object], args: tuple[Any, ...], loop: SeededLoop, context: Context | None
    ) -> None:
        if context is None:  # an empty one is false
            context = copy_context()
        super().__init__(callback, args, loop, context)
        self.life: int = context.get(LIFE, 0)
        self.call = lambda: context.run(callback, *args)


class SeededLoop(asyncio.AbstractEventLoop):
    """Runs coroutines in an order that `chance` draws, on a time that passes only when nothing else can be done.

    `reach`: among how many of the callbacks that are ready the next one is drawn; 1 keeps their order. Code of a life
    that was ended never runs again, as if its process had been killed: no `finally`, no cancellation.
    """

    def __init__(self, chance: Random, *, reach: int = 1, most_steps: int = 60_000) -> None:
        self.steps = 0
        """Callbacks that were run."""
        self.errors: list[str] = []
        """What went wrong in a callback: nobody else would hear of it."""
        self._chance = chance
        self._reach = reach
        self._most_steps = most_steps
        self._now = 0
        self._count = 0
        self._ready: list[_Ready] = []
        self._due: list[tuple[int, int, asyncio.TimerHandle, _Ready]] = []
        self._ended: set[int] = set()
        self._frozen: dict[int, list[_Ready]] = {}
        self._dropped: list[_Ready] = []
        self._tasks: list[asyncio.Task[Any]] = []
        self._closed = False

    # ------------------------------------------------------------------ lives

    def end(self, life: int) -> None:
        """Nothing of this life runs any more."""
        self._ended.add(life)

    def freeze(self, life: int) -> None:
        """Nothing of this life runs until it is thawed, as if its process had got SIGSTOP."""
        self._frozen.setdefault(life, [])

    def thaw(self, life: int) -> None:
        """It goes on, with all that came meanwhile."""
        self._ready += self._frozen.pop(life, ())

    def bury(self) -> None:
        """Take apart what is left, now, and not when Python happens to find it; nothing that it does then counts."""
        self._closed = True
        errors = list(self.errors)
        events._set_running_loop(self)
        try:
            for task in self._tasks:
                with suppress(BaseException):  # it may not let itself be closed
                    task.get_coro().close()  # type: ignore[union-attr]
        finally:
            events._set_running_loop(None)
        self._tasks.clear()
        self._dropped.clear()
        self._frozen.clear()
        self._ready.clear()
        self._due.clear()
        self.errors = errors

    # ------------------------------------------------------------------ running

    def run_until_complete(self, future: Any) -> Any:
        """Run until this is done. Raises Stuck if that cannot be, or takes too many steps."""
        task = asyncio.ensure_future(future, loop=self)
        self._run(task.done)
        return task.result()

    def _run(self, done: Callable[[], bool]) -> None:
        events._set_running_loop(self)
        try:
            while not done():
                self._step()
        finally:
            events._set_running_loop(None)

    def _step(self) -> None:
        self.steps += 1
        if self.steps > self._most_steps:
            raise Stuck(f"no end after {self._most_steps} steps: something spins")
        while not self._ready:
            self._pass_time()
        among = min(self._reach, len(self._ready))
        handle = self._ready.pop(self._chance.randrange(among) if among > 1 else 0)
        if handle.cancelled():
            return
        if handle.life in self._ended:
            self._dropped.append(handle)
            return
        if handle.life in self._frozen:
            self._frozen[handle.life].append(handle)
            return
        try:
            handle.call()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self.errors.append(f"{type(error).__name__}: {error}")

    def _pass_time(self) -> None:
        while self._due:
            when, _, due, ready = heapq.heappop(self._due)
            if due.cancelled() or ready.life in self._ended:
                continue
            self._now = max(self._now, when)
            self._ready.append(ready)
            while self._due and self._due[0][0] <= self._now:
                _, _, due, ready = heapq.heappop(self._due)
                if not due.cancelled():
                    self._ready.append(ready)
            return
        raise Stuck("nothing can go on: everybody waits")

    # ------------------------------------------------------------------ what asyncio asks of a loop

    def time(self) -> float:
        """Seconds since the beginning."""
        return self._now / 1_000_000

    def micros(self) -> int:
        """Microseconds since the beginning."""
        return self._now

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> asyncio.Handle:
        """Run this when its turn is drawn."""
        handle = _Ready(callback, args, self, context)
        if not self._closed:
            self._ready.append(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """The same: there are no other threads."""
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run this after so many seconds."""
        # rounded up: who sleeps until a time must find it passed
        return self._at(self._now + max(ceil(delay * 1_000_000), 0), callback, args, context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run this at a time."""
        return self._at(ceil(when * 1_000_000 - 0.01), callback, args, context)

    def _at(
        self, when: int, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None
    ) -> asyncio.TimerHandle:
        self._count += 1
        due = asyncio.TimerHandle(when / 1_000_000, _nothing, (), self)
        heapq.heappush(self._due, (when, self._count, due, _Ready(callback, args, self, context)))
        return due

    def create_future(self) -> asyncio.Future[Any]:
        """A future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(
        self, coro: Any, *, name: str | None = None, context: Context | None = None, **_: Any
    ) -> asyncio.Task[Any]:
        """A task of this loop. It is kept: Python's collector must not take apart what a killed engine leaves."""
        if self._closed:
            coro.close()
            coro = _ended()
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks.append(task)
        if len(self._tasks) > 5_000:
            self._tasks = [task for task in self._tasks if not task.done()]
        return task

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        """What would run in a thread runs here, as one callback."""
        future: asyncio.Future[T] = asyncio.Future(loop=self)

        def run() -> None:
            if future.done():
                return
            try:
                result = func(*args)
            except Exception as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        self.call_soon(run)
        return future

    def get_debug(self) -> bool:
        """Never."""
        return False

    def is_running(self) -> bool:
        """Whether it runs now."""
        return events._get_running_loop() is self

    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """What nobody else takes up: kept, unless it only tells of a task that was left."""
        error = context.get("exception")
        if error is not None and context.get("task") is None and context.get("future") is None:
            self.errors.append(f"{context.get('message')}: {type(error).__name__}: {error}")

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """A cancelled one is passed over when its time comes."""


def _nothing() -> None:
    pass


async def _ended() -> None:
    pass
