"""Lanes: deliveries of one lane are handled one at a time, in order; lanes run side by side on a pool of workers."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from typing import Any

from sagakit.core.commit import Delivery


class Lane:
    """The deliveries of one key at one consumer, and what is known of that key while it is in memory."""

    __slots__ = ("alone", "busy", "cache", "key", "queue")

    def __init__(self, key: str) -> None:
        self.key = key
        self.queue: deque[Delivery] = deque()
        self.busy = False
        """Something of this lane runs, waits for its Commit, waits to be tried again, or is parked."""
        self.cache: Any = None
        """The aggregate or the process instance, as committed."""
        self.alone = False
        """Handle the next delivery by itself: a run of several has failed."""


class Lanes:
    """Which lane has work, and who does it."""

    def __init__(self, handle: Callable[[Lane], Awaitable[None]], *, workers: int, cached: int) -> None:
        self._handle = handle
        self._most_workers = workers
        self._most_cached = cached
        self._lanes: dict[str, Lane] = {}
        self._idle: OrderedDict[str, Lane] = OrderedDict()
        self._ready: deque[Lane] = deque()
        self._workers: set[asyncio.Task[None]] = set()
        self._resting: list[asyncio.Future[None]] = []
        self._waking = False
        self.working = 0
        """Workers inside a handling."""
        self.stopped = False
        self.on_evict: Callable[[Any], None] = lambda cache: None

    def get(self, key: str) -> Lane:
        """The lane of this key, made if it is not in memory."""
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(key)
        elif not lane.busy:
            self._idle.pop(key, None)
        return lane

    def find(self, key: str) -> Lane | None:
        """The lane of this key, if it is in memory."""
        return self._lanes.get(key)

    def put(self, delivery: Delivery) -> None:
        """Queue a delivery in its lane."""
        lane = self.get(delivery.lane)
        lane.queue.append(delivery)
        if not lane.busy:
            lane.busy = True
            if delivery.state == "ready":
                self.wake(lane)

    def wake(self, lane: Lane) -> None:
        """A busy lane can go on: handle its head."""
        self._ready.append(lane)
        self._wake_worker()

    def release(self, lane: Lane) -> None:
        """What ran in this lane is settled: go on with its queue, or let it rest."""
        if lane.queue:
            lane.busy = True
            if lane.queue[0].state == "ready":  # a parked head holds its lane
                self.wake(lane)
            return
        lane.busy = False
        if lane.cache is None:
            self._lanes.pop(lane.key, None)
            return
        self._idle[lane.key] = lane
        if len(self._idle) > self._most_cached:
            key, oldest = self._idle.popitem(last=False)
            del self._lanes[key]
            self.on_evict(oldest.cache)

    @property
    def waiting(self) -> int:
        """Lanes that can go on as soon as a worker is free."""
        return len(self._ready)

    @property
    def idle(self) -> bool:
        """Whether no lane can go on, and no worker handles one."""
        return not self._ready and not self.working

    def holding(self, message_id: str) -> list[Lane]:
        """The lanes that hold a delivery of this message: one of its own, else found by looking through all."""
        own = self._lanes.get(message_id)
        if own is not None:
            return [own]
        return [lane for lane in self._lanes.values() if any(one.envelope.id == message_id for one in lane.queue)]

    async def stop(self, within: float) -> None:
        """Take nothing new; wait for what runs, then cancel it."""
        self.stopped = True
        running = [worker for worker in self._workers if not worker.done()]
        for resting in self._resting:
            if not resting.done():
                resting.cancel()
        if running:
            await asyncio.wait(running, timeout=within)
        for worker in running:
            worker.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _wake_worker(self) -> None:
        """See that one more worker looks at the ready lanes; each wakes the next one if there is more to do."""
        if self._waking or self.stopped:
            return
        while self._resting:
            resting = self._resting.pop()
            if not resting.done():
                self._waking = True
                resting.set_result(None)
                return
        if len(self._workers) < self._most_workers:
            self._waking = True
            worker = asyncio.create_task(self._work(), name="sagakit worker")
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)

    async def _work(self) -> None:
        while not self.stopped:
            self._waking = False
            while self._ready and not self.stopped:
                lane = self._ready.popleft()
                if self._ready:
                    self._wake_worker()
                self.working += 1
                try:
                    await self._handle(lane)
                finally:
                    self.working -= 1
            if self.stopped:
                return
            self._waking = False
            resting = asyncio.get_running_loop().create_future()
            self._resting.append(resting)
            await resting
