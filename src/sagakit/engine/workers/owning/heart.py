"""Keeps a worker's lease alive from a thread of its own, so that an event loop that is blocked does not lose it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from time import time

import structlog

from sagakit.core.cluster.members import Worker
from sagakit.errors import LeaseLost, StoreFailed
from sagakit.ports import Cluster

_log = structlog.get_logger("sagakit.workers")


class Pulse:
    """One beat: renews the lease, and expels those whose lease has expired."""

    def __init__(self, cluster: Cluster, beats: int, every: float, now: Callable[[], float] = time) -> None:
        self._cluster = cluster
        self._beats = beats
        """So many beats without a fault make a lease's time."""
        self._late = (beats - 1) * every
        """Seconds after which a beat is so late that a lease may have run out."""
        self._now = now
        """Seconds, which pass also while this machine sleeps."""
        self._last: float | None = None
        self._steady = 0

    async def beat(self) -> tuple[Sequence[Worker], Sequence[str]]:
        """Who lives, and who was expelled.

        While the store was away nobody could renew, and while a machine stood still nobody there: so whoever could
        not either, or not in time, gives the others time.
        """
        began = self._last
        try:
            members = await self._cluster.renew()
            self._last = self._now()
            if began is not None and self._last - began >= self._late:
                self._steady = 0
            expelled: Sequence[str] = ()
            if self._steady >= self._beats:
                expelled = await self._cluster.expel_expired()
        except StoreFailed:
            self._steady = 0
            raise
        self._steady += 1
        return members, expelled


class Heart:
    """The thread."""

    def __init__(
        self,
        pulse: Pulse,
        every: float,
        saw: Callable[[Sequence[Worker], Sequence[str]], None],
        on_error: Callable[[BaseException], None],
    ) -> None:
        self._pulse = pulse
        self._every = every
        self._saw = saw
        self._on_error = on_error
        self._engine = asyncio.get_running_loop()
        self._stop = threading.Event()
        self._wake: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._live, name="sagakit heart", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    async def stop(self) -> None:
        """Beat no more."""
        self._stop.set()
        self._wake()
        await asyncio.to_thread(self._thread.join)

    def _live(self) -> None:
        asyncio.run(self._beat_on())

    async def _beat_on(self) -> None:
        loop, woken = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(woken.set)

        self._wake = wake
        while not self._stop.is_set():
            try:
                seen = await self._pulse.beat()
            except LeaseLost as lost:
                self._tell(self._on_error, lost)
                return
            except StoreFailed as failure:
                _log.warning("the lease could not be renewed; trying again", error=str(failure))
            except Exception as error:
                self._tell(self._on_error, error)
                return
            else:
                self._tell(self._saw, *seen)
            try:
                await asyncio.wait_for(woken.wait(), self._every)
            except TimeoutError:
                continue

    def _tell(self, call: Callable[..., None], *given: object) -> None:
        if not self._engine.is_closed():
            self._engine.call_soon_threadsafe(call, *given)
