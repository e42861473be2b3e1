"""What is outstanding in the store: read in pages when the engine starts, the suspects one at a time."""

from __future__ import annotations

import asyncio
from collections import deque

import structlog

from sagakit.core.commit import Delivery, DeliveryChange, Fence, Rejected, Subscription
from sagakit.engine.committer import Committer
from sagakit.engine.draft import Draft
from sagakit.engine.handlers.failures import MOST_CRASHES, Failures
from sagakit.engine.handlers.process_handler import ProcessHandler
from sagakit.engine.lanes import Lane, Lanes
from sagakit.engine.topology import Topology
from sagakit.errors import UnknownMessage
from sagakit.ports import Store

_log = structlog.get_logger("sagakit.recovery")


class Recovery:
    """Brings outstanding deliveries into the lanes, in order, a bounded number at a time.

    While deliveries wait in the store unread, new ones are left there too, and no process reacts inline: nothing
    overtakes. After an unclean end the deliveries found are suspect: they run one at a time, the attempt written first,
    so that a crash is charged to the one that ran.
    """

    def __init__(
        self, store: Store, lanes: Lanes, failures: Failures, processes: ProcessHandler, committer: Committer, page: int
    ) -> None:
        self._store = store
        self._lanes = lanes
        self._failures = failures
        self._processes = processes
        self._committer = committer
        self._page = page
        self.reading = False
        """Whether deliveries wait in the store unread."""
        self.stranded: list[str] = []
        """Deliveries that no class or consumer of this app claims, in words: they wait."""
        self._cursor = 0
        self._left = 0
        self._left_upto = 0
        self._first_left: int | None = None
        self._in_memory = 0
        self._task: asyncio.Task[None] | None = None
        self._room = asyncio.Event()
        self._suspect = False
        self._suspects: set[int] = set()
        self._queue: deque[Lane] = deque()
        self._running: Delivery | None = None

    # ------------------------------------------------------------------ reading

    async def start(self, topology: Topology, *, suspect: bool) -> None:
        """Record who takes what, and read what is outstanding. UnknownMessage if nobody claims some of it."""
        self._topology = topology
        await self._store.subscribe(_subscriptions(topology))
        self._suspect = suspect
        self._set_reading(True)
        while self.reading and self._in_memory < self._most:
            await self._read_page()
        if self.stranded:
            raise UnknownMessage(
                "the database holds messages that this app does not know:\n  " + "\n  ".join(self.stranded)
            )
        if self.reading:
            self._task = asyncio.create_task(self._read_on(), name="sagakit recovery")

    async def stop(self) -> None:
        """Read no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def _most(self) -> int:
        return 5 * self._page

    def _set_reading(self, reading: bool) -> None:
        self.reading = reading
        self._processes.inline = not reading

    async def _read_on(self) -> None:
        while self.reading:
            self._room.clear()
            if self._in_memory >= self._most:
                await self._room.wait()
            await self._read_page()

    async def _read_page(self) -> None:
        left_upto = self._left_upto
        page = await self._store.read_deliveries(after=self._cursor, limit=self._page)
        for delivery in page:
            self._take(delivery)
        last = page[-1].id if page else self._cursor
        full = len(page) == self._page
        self._cursor = last if full else max(last, left_upto)
        if not full and self._left_upto <= self._cursor:
            self._left = 0
            self._set_reading(False)

    def _take(self, delivery: Delivery) -> None:
        if (
            delivery.consumer not in self._topology.consumers
            or delivery.envelope.type not in self._topology.codecs.by_name
        ):
            stranded = f"{delivery.envelope.type} for {delivery.consumer}"
            if stranded not in self.stranded:
                self.stranded.append(stranded)
                _log.error("nobody claims a message", message=delivery.envelope.type, consumer=delivery.consumer)
            return
        is_old = self._first_left is None or delivery.id < self._first_left
        if self._suspect and is_old and delivery.state == "ready":
            self._suspects.add(delivery.id)
        if delivery.state != "parked":
            self._in_memory += 1
        self._lanes.put(delivery)
        if delivery.state == "retrying":
            self._failures.wait(self._lanes.get(delivery.lane), delivery)

    def leave(self, delivery: Delivery) -> bool:
        """Whether a new delivery stays in the store for now."""
        if not self.reading:
            if delivery.state != "parked":
                self._in_memory += 1
            return False
        self._first_left = self._first_left or delivery.id
        self._left_upto = max(self._left_upto, delivery.id)
        self._left += 1
        return True

    async def find(self, command_id: str) -> int | None:
        """The delivery of a command that still waits in the store unread."""
        after = self._cursor
        while self.reading and (page := await self._store.read_deliveries(after=after, limit=self._page)):
            for delivery in page:
                if delivery.envelope.id == command_id:
                    return delivery.id
            after = page[-1].id
        return None

    def unfinished(self) -> int:
        """Deliveries that are still to be handled."""
        return self._in_memory + self._left

    def settled(self, draft: Draft, result: Rejected | None) -> None:
        """A Commit was written or dropped: count, and let the next suspect run."""
        commit = draft.commit
        if result is None:
            parked = sum(change.state == "parked" for change in commit.changes)
            self._in_memory -= len(commit.done) + len(commit.withdrawn) + parked
            if self.reading and self._in_memory < self._most // 2:
                self._room.set()
        if self._running is not None and draft.on_settled != self._charged and (result is None or result.why == "gone"):
            self._finish_suspect(draft, self._running.id)

    # ------------------------------------------------------------------ suspects

    def may_run(self, lane: Lane, delivery: Delivery) -> bool:
        """Whether the head of a lane may be handled now. A suspect waits for its turn, and is charged first."""
        if not self._suspects or delivery.id not in self._suspects:
            return True
        lane.alone = True
        if self._running is delivery:
            return True
        if self._running is not None:
            self._queue.append(lane)
            return False
        self._running = delivery
        self._charge(lane, delivery)
        return False

    def _charge(self, lane: Lane, delivery: Delivery) -> None:
        if delivery.crashes >= MOST_CRASHES:
            reason = f"it was running at {delivery.crashes} crashes of the engine"
            self._giving_up = asyncio.create_task(self._failures.give_up(lane, delivery, reason))
            return
        draft = Draft(self._charged, (lane, delivery))
        fence = Fence(delivery.id, delivery.attempt)
        draft.commit.changes.append(
            DeliveryChange(fence, "ready", delivery.attempt + 1, 0, delivery.crashes + 1, delivery.error)
        )
        self._committer.submit(draft)

    def _charged(self, draft: Draft, result: Rejected | BaseException | None) -> None:
        lane, delivery = draft.subject
        if result is None:
            delivery.attempt += 1
            delivery.crashes += 1
            self._lanes.wake(lane)
        elif isinstance(result, Rejected):
            lane.queue.popleft()
            self._next_suspect(delivery.id)
            self._lanes.release(lane)

    def _finish_suspect(self, draft: Draft, id: int) -> None:
        commit = draft.commit
        if (
            id in commit.withdrawn
            or any(fence.delivery == id for fence in commit.done)
            or any(change.fence.delivery == id for change in commit.changes)
        ):
            self._next_suspect(id)

    def _next_suspect(self, id: int) -> None:
        self._suspects.discard(id)
        self._running = None
        while self._queue:
            lane = self._queue.popleft()
            if lane.queue and lane.busy:
                self._lanes.wake(lane)
                return


def _subscriptions(topology: Topology) -> list[Subscription]:
    names = topology.codecs.by_class
    taken = {
        Subscription(consumer.name, names[cls].name)
        for taken in (topology.takers, topology.starters)
        for cls, consumers in taken.items()
        for consumer in consumers
    }
    taken |= {Subscription(consumer.name, names[cls].name) for cls, consumer in topology.handlers.items()}
    return sorted(taken, key=lambda one: (one.consumer, one.type))
