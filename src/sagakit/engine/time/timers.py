"""What is due later, in memory: one heap, one sleeper, no polling."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from typing import Any, TypeAlias

import structlog

from sagakit.ports import Clock

Call: TypeAlias = Callable[[], None]

_log = structlog.get_logger("sagakit.timers")


class Timer:
    """One call that is due at a time; `cancel` makes it nothing."""

    __slots__ = ("call", "timers")

    def __init__(self, timers: Timers, call: Call) -> None:
        self.timers = timers
        self.call: Call | None = call

    def cancel(self) -> None:
        """Do nothing when it is due."""
        if self.call is not None:
            self.call = None
            self.timers.cancelled += 1


class Timers:
    """Calls back when the clock has reached a time: never early, and late only by what the loop is busy with."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._heap: list[tuple[int, int, Timer]] = []
        self._count = 0
        self.cancelled = 0
        """Cancelled timers that are still in the heap, about."""
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch the clock."""
        self._task = asyncio.create_task(self._watch(), name="sagakit timers")

    async def stop(self) -> None:
        """Stop watching; what is due later stays undone."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def at(self, due: int, call: Call) -> Timer:
        """Call `call` once the clock has reached `due`."""
        timer = Timer(self, call)
        if self.cancelled > 1000 and self.cancelled > len(self._heap) // 2:
            self._sweep()
        self._count += 1
        heapq.heappush(self._heap, (due, self._count, timer))
        if self._heap[0][2] is timer:
            self._changed.set()
        return timer

    def _sweep(self) -> None:
        self._heap = [entry for entry in self._heap if entry[2].call is not None]
        heapq.heapify(self._heap)
        self.cancelled = 0

    def next_due(self) -> int | None:
        """When the next call is due."""
        while self._heap and self._heap[0][2].call is None:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    async def _watch(self) -> None:
        while True:
            self._changed.clear()
            self._fire()
            due = self.next_due()
            waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._changed.wait())]
            if due is not None:
                waits.append(asyncio.ensure_future(self.clock.sleep_until(due)))
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()

    def _fire(self) -> None:
        now = self.clock.now()
        while (due := self.next_due()) is not None and due <= now:
            call = heapq.heappop(self._heap)[2].call
            if call is not None:
                try:
                    call()
                except Exception:  # one that fails must not keep the others from firing
                    _log.exception("what was due has failed")
