"""Lanes: deliveries of one lane are handled one at a time, in order; lanes run side by side on a pool of workers."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Collection, Iterator
from typing import Any

from sagakit.core.commit import Delivery
from sagakit.core.limiting.turns import Group, Turns, group_of
from sagakit.engine.lanes.lane import Lane, Moved
from sagakit.errors import Stopping

NEAR = 128
"""Lanes that are ready and first come, first served. Where there are more, groups of them take turns."""
GRACE = 1.0
"""Seconds that a handler has to end after it was cancelled."""


class Lanes:
    """Which lane has work, and who does it.

    A busy lane belongs to whoever made it busy: a worker, a Commit, a timer, or the run that it waits for. That one
    releases or wakes it, once. A lane whose head is parked, waits to be tried again or is paused rests: an operator's
    action may claim it, and releases it after that.
    """

    def __init__(
        self,
        handle: Callable[[Lane], Awaitable[None]],
        on_fatal: Callable[[BaseException], None],
        *,
        workers: int,
        cached: int,
    ) -> None:
        self._handle = handle
        self._on_fatal = on_fatal
        self._most_workers = workers
        self._most_cached = cached
        self._lanes: dict[str, Lane] = {}
        self._idle: OrderedDict[str, Lane] = OrderedDict()
        self._ready: deque[Lane] = deque()
        self._far: Turns[Lane] = Turns()
        """Those that are ready, too, and come after these: nothing while these are few."""
        self._round_over = False
        self._workers: dict[asyncio.Task[None], Lane | None] = {}
        """With the lane that each handles, or has handled last."""
        self._resting: list[asyncio.Future[None]] = []
        self._waking = False
        self.working = 0
        """Workers inside a handling."""
        self.unfinished = 0
        """Deliveries in memory, without those that are parked."""
        self.running = False
        self._over = ""
        """Why no lane is given to anybody any more."""
        self.on_evict: Callable[[Any], None] = lambda cache: None
        self.let_go: Callable[[Lane], None] = lambda lane: None
        """Told of a lane that has a ticket, and does not go on with it."""
        self.on_taken_out: Callable[[Delivery], None] = lambda delivery: None
        """Told of a delivery that is gone before its turn has come."""

    # ------------------------------------------------------------------ what is in a lane

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

    def deliveries(self) -> Iterator[Delivery]:
        """All that are in memory."""
        for lane in self._lanes.values():
            yield from lane.queue

    def holding(self, message_id: str) -> list[Lane]:
        """The lanes that hold a delivery of this message: one of its own, else found by looking through all."""
        own = self._lanes.get(message_id)
        if own is not None:
            return [own]
        return [lane for lane in self._lanes.values() if any(one.envelope.id == message_id for one in lane.queue)]

    def put(self, delivery: Delivery) -> None:
        """Queue a delivery in its lane."""
        lane = self.get(delivery.lane)
        lane.queue.append(delivery)
        if delivery.state != "parked":
            self.unfinished += 1
        if not lane.busy:
            lane.busy = True
            if delivery.state == "ready":
                self.wake(lane)

    def park(self, delivery: Delivery, error: str) -> None:
        """It waits for a person, and holds its lane."""
        delivery.state, delivery.error = "parked", error
        self.unfinished -= 1

    def unpark(self, delivery: Delivery) -> None:
        """An operator wants it handled after all."""
        delivery.state, delivery.due_at = "ready", 0
        self.unfinished += 1

    def drop(self, lane: Lane, delivery: Delivery) -> None:
        """This delivery was taken away, whatever state it is in."""
        if delivery in lane.queue:
            lane.queue.remove(delivery)
            if delivery.state != "parked":
                self.unfinished -= 1

    def remove(self, lane: Lane, count: int) -> None:
        """The first deliveries of a lane are done; there are none if it has become another engine's meanwhile."""
        count = min(count, len(lane.queue))
        for _ in range(count):
            lane.queue.popleft()
        self.unfinished -= count

    def remove_head(self, lane: Lane, delivery: Delivery) -> None:
        """This delivery is gone, unless it was taken out before."""
        if lane.queue and lane.queue[0] is delivery:
            lane.queue.popleft()
            self.unfinished -= 1

    def take_out(self, lane: Lane, message_id: str) -> None:
        """A message was given up: its delivery is gone, wherever it stands."""
        resting = bool(lane.queue) and not lane.claimed and (lane.rests or lane.queue[0].state != "ready")
        was_head = bool(lane.queue) and lane.queue[0].envelope.id == message_id
        for delivery in [delivery for delivery in lane.queue if delivery.envelope.id == message_id]:
            self.drop(lane, delivery)
            self.on_taken_out(delivery)
        if was_head and resting:  # nobody else would come back to it
            self.release(lane)

    # ------------------------------------------------------------------ what goes to another engine

    def all(self) -> list[Lane]:
        """The lanes in memory."""
        return list(self._lanes.values())

    def is_free(self, lane: Lane) -> bool:
        """Whether nothing runs in a lane, and no operator's action has it or waits for it."""
        return not lane.claimed and not lane.claims and (not lane.busy or lane.at_rest)

    def forget(self, lane: Lane) -> None:
        """This lane is another engine's: nothing of it stays in memory. Who still has it in hand finds it empty.

        Operators' actions that wait for it raise Moved.
        """
        if self._lanes.get(lane.key) is not lane:
            return
        del self._lanes[lane.key]
        self._idle.pop(lane.key, None)
        self.unfinished -= sum(delivery.state != "parked" for delivery in lane.queue)
        lane.queue.clear()
        lane.rests = False
        lane.refuse(Moved(f"{lane.key} is just becoming another worker's: try again in a moment"))
        if lane.ticket is not None:
            self.let_go(lane)
        cache, lane.cache = lane.cache, None
        if cache is not None:
            self.on_evict(cache)

    def interrupt(self, lanes: Collection[Lane]) -> dict[asyncio.Task[None], Lane]:
        """Cancel what is being handled in these lanes: that is nobody's attempt. Who handles it, and which lane."""
        wanted = {id(lane) for lane in lanes}
        found = {worker: lane for worker, lane in self._workers.items() if lane is not None and id(lane) in wanted}
        for worker in found:
            worker.cancel()
        return found

    def is_handled_by(self, lane: Lane, worker: asyncio.Task[None]) -> bool:
        """Whether this worker still has a lane in hand."""
        return self._workers.get(worker) is lane

    # ------------------------------------------------------------------ who handles it

    def wake(self, lane: Lane) -> None:
        """A busy lane can go on: handle its head."""
        if lane.claimed:  # whoever has it releases it
            return
        lane.rests = False
        if len(self._ready) < NEAR and not self._far:
            self._ready.append(lane)
        else:
            self._far.push(_group(lane), lane)
        if not self._waking:
            self._wake_worker()

    def release(self, lane: Lane) -> None:
        """What ran in this lane is settled: go on with its queue, or let it rest."""
        lane.claimed = lane.rests = False
        if lane.ticket is not None:
            self.let_go(lane)
        if lane.claims and self._hand_over(lane):
            return
        if lane.queue:
            lane.busy = True
            if lane.queue[0].state == "ready":  # a parked head holds its lane
                self.wake(lane)
            return
        lane.busy = False
        if self._lanes.get(lane.key) is not lane:  # it has become another engine's
            cache, lane.cache = lane.cache, None
            if cache is not None:
                self.on_evict(cache)
            return
        if lane.cache is None:
            del self._lanes[lane.key]
            return
        self._idle[lane.key] = lane
        if len(self._idle) > self._most_cached:
            key, oldest = self._idle.popitem(last=False)
            del self._lanes[key]
            self.on_evict(oldest.cache)

    # ------------------------------------------------------------------ beside the lanes

    async def claim(self, key: str) -> Lane:
        """Take a lane, at once where nothing runs in it, else when what runs is settled. `release` gives it back.

        Raises Moved if it becomes another engine's meanwhile.
        """
        if self._over:
            raise Stopping(self._over)
        lane = self.get(key)
        if lane.claimed or (lane.busy and not lane.at_rest):
            claim: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            lane.claims = lane.claims if lane.claims is not None else deque()
            lane.claims.append(claim)
            try:
                await claim
            except asyncio.CancelledError:
                if claim.done() and not claim.cancelled():  # it is ours already, and nobody wants it any more
                    self.release(lane)
                raise
        if lane.ticket is not None:
            self.let_go(lane)
        lane.busy = lane.claimed = True
        return lane

    def came_to_rest(self, lane: Lane) -> None:
        """Nobody comes back to this lane by himself for now: let those have it who wait for it."""
        if lane.claims:
            self._hand_over(lane)

    def _hand_over(self, lane: Lane) -> bool:
        """Give the lane to the next operator's action that waits for it. False if there is none any more."""
        while lane.claims:
            claim = lane.claims.popleft()
            if not claim.done():
                lane.busy = lane.claimed = True
                claim.set_result(None)
                return True
        return False

    @property
    def waiting(self) -> int:
        """Lanes that can go on as soon as a worker is free."""
        return len(self._ready) + len(self._far)

    @property
    def idle(self) -> bool:
        """Whether no lane can go on, and no worker handles one."""
        return not self._ready and not self.working

    def start(self) -> None:
        """Begin to handle."""
        self.running = True
        if self._ready:
            self._wake_worker()

    async def stop(self, within: float) -> bool:
        """Take nothing new; wait for what runs, then cancel it. False if something runs on all the same."""
        self.end("the engine is being stopped")
        for resting in self._resting:
            if not resting.done():
                resting.cancel()
        left = {worker for worker in self._workers if not worker.done()}
        if left:
            _, left = await asyncio.wait(left, timeout=within)
        for worker in list(self._workers):  # in the order in which they began
            if worker in left:
                worker.cancel()
        if left:
            _, left = await asyncio.wait(left, timeout=GRACE)
        return not left

    def end(self, why: str) -> None:
        """Handle nothing more; no operator's action gets a lane any more."""
        self.running, self._over = False, why
        for lane in self._lanes.values():
            lane.refuse(Stopping(why))

    def _wake_worker(self) -> None:
        """See that one more worker looks at the ready lanes; each wakes the next one if there is more to do."""
        if self._waking or not self.running:
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
            self._workers[worker] = None
            worker.add_done_callback(self._ended)

    async def _work(self) -> None:
        worker = asyncio.current_task()
        assert worker is not None
        while self.running:
            self._waking = False
            while self._ready and self.running:
                if self._round_over:
                    # the doors have a turn, too, and whoever writes what was done
                    self._round_over, self._workers[worker] = False, None
                    await asyncio.sleep(0)
                    continue
                lane = self._ready.popleft()
                if self._far and not self._ready:
                    self._come_near()
                if self._ready and not self._waking:
                    self._wake_worker()
                if lane.claims and self._hand_over(lane):
                    continue
                self.working += 1
                self._workers[worker] = lane
                lane.worker = worker
                try:
                    await self._handle(lane)
                finally:
                    self.working -= 1
                while worker.cancelling() and self.running:  # what was cancelled has answered all the same
                    worker.uncancel()
            if not self.running:
                return
            self._waking = False
            self._workers[worker] = None
            resting = worker.get_loop().create_future()
            self._resting.append(resting)
            await resting

    def _come_near(self) -> None:
        """The next ones, of each group in turn."""
        self._round_over = True
        while self._far and len(self._ready) < NEAR:
            self._ready.append(self._far.pop())

    def _ended(self, worker: asyncio.Task[None]) -> None:
        self._workers.pop(worker, None)
        if worker.cancelled() and self._ready:
            self._wake_worker()
        error = None if worker.cancelled() else worker.exception()
        if error is not None:  # no lane can be told what became of it
            self._on_fatal(error)


def _group(lane: Lane) -> Group:
    """Who takes turns with others: all of one process type, its commands too, or one handler."""
    if not lane.queue:
        return Group("")
    head = lane.queue[0]
    return group_of(head.consumer, head.envelope.sender)
