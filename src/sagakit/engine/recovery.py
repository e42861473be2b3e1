"""What is outstanding in the store: read in pages when the engine starts, the suspects one at a time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

import structlog

from sagakit.core.commit import Commit, Delivery, DeliveryChange, Envelope, Fence, Rejected, Subscription
from sagakit.core.limiting.backlog import Backlog, Part
from sagakit.core.limiting.turns import Group, Turns, group_of
from sagakit.engine.committer import Committer
from sagakit.engine.draft import Draft
from sagakit.engine.handlers.failures import MOST_CRASHES, Failures
from sagakit.engine.handlers.process_handler import ProcessHandler
from sagakit.engine.handlers.reading import Reader
from sagakit.engine.lanes.lane import Lane
from sagakit.engine.lanes.lanes import Lanes
from sagakit.engine.time.timers import Timers
from sagakit.engine.topology import ProcessConsumer, Topology
from sagakit.errors import ProcessBug, UnknownMessage
from sagakit.ports import Store

PAGES = 5
"""Pages of deliveries in memory at once, as long as the store holds more."""
SLOWLY = 1_000_000
"""Microseconds between two pages when the memory's bound is reached: what is there may wait for long."""

_log = structlog.get_logger("sagakit.recovery")


class Recovery:
    """Brings outstanding deliveries into the lanes, in order, a bounded number at a time.

    While deliveries of a consumer wait in the store unread, new ones of it are left there too, and it does not react
    inline: nothing overtakes. After an unclean end the deliveries found are suspect: they run one at a time, the
    attempt written first, so that a crash is charged to the one that ran.
    """

    def __init__(
        self,
        store: Store,
        read: Reader,
        timers: Timers,
        lanes: Lanes,
        failures: Failures,
        processes: ProcessHandler,
        committer: Committer,
        page: int,
    ) -> None:
        self._store = store
        self._read = read
        self._timers = timers
        self._lanes = lanes
        self._failures = failures
        self._processes = processes
        self._committer = committer
        self._page = page
        self.reading = False
        """Whether deliveries wait in the store unread."""
        self.on_reading: Callable[[bool], None] = lambda reading: None
        self._stranded: dict[str, set[int]] = {}
        self._backlog = Backlog()
        self._first_left: int | None = None
        self._task: asyncio.Task[None] | None = None
        self._room = asyncio.Event()
        self._gone: set[int] = set()
        """Withdrawn while deliveries are being read: a page may still hold them."""
        self._suspect = False
        self.suspects: dict[int, None] = {}
        """The ids of those that may have been running when the engine before this one ended, in order."""
        self._queue: Turns[Lane] = Turns()
        self._queued: dict[Lane, Group] = {}
        """Lanes whose suspects wait for their turn, and with whom they take turns."""
        self._running: Delivery | None = None
        self._turn: Lane | None = None
        """The lane that was woken for its suspect to run next."""
        self.on_parked: Callable[[Delivery], None] = lambda delivery: None
        """Called with each that is found parked."""
        lanes.on_taken_out = self._forget

    # ------------------------------------------------------------------ reading

    async def start(self, topology: Topology, *, suspect: bool, leave_unclaimed: bool = False) -> None:
        """Record who takes what, and read what is outstanding.

        UnknownMessage if nobody claims some of it; with `leave_unclaimed` that waits in the store.
        """
        self._topology = topology
        await self._store.subscribe(_subscriptions(topology))
        self._suspect = suspect
        self._set_reading(True)
        while self.reading and self._lanes.unfinished < PAGES * self._page:
            await self._read_page(self._backlog.part_of(""))
        if self.stranded and not leave_unclaimed:
            raise UnknownMessage(
                "the database holds messages that this app does not know:\n  " + "\n  ".join(self.stranded)
            )
        if self.reading:
            await self._read_each()
            self._task = asyncio.create_task(self._read_on(), name="sagakit recovery")

    async def _read_each(self) -> None:
        """There is more than memory has room for: whose backlog is no longer than a page does not wait for others."""
        had = Counter(delivery.consumer for delivery in self._lanes.deliveries())
        parts = self._backlog.divide(self._topology.consumers)
        self._processes.inline, self._processes.unread = True, {part.consumer or "" for part in parts}
        for part in parts:
            if had[part.consumer or ""] < self._page:
                await self._read_page(part)

    def begin(self, topology: Topology) -> None:
        """Where several engines share the store: nothing is read before something is owned."""
        self._topology = topology

    async def stop(self) -> None:
        """Read no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _set_reading(self, reading: bool) -> None:
        self.reading = reading
        self._processes.inline = not reading
        self.on_reading(reading)

    async def _read_on(self) -> None:
        while self.reading:
            self._room.clear()
            if self._lanes.unfinished >= PAGES * self._page:
                timer = self._timers.at(self._timers.clock.now() + SLOWLY, self._room.set)
                await self._room.wait()
                timer.cancel()
            await self._read(self._read_page, self._backlog.next())

    async def _read_page(self, part: Part) -> None:
        upto = part.upto
        page = await self._store.read_deliveries(after=part.cursor, limit=self._page, of=part.of)
        others = self._topology.consumers if self._backlog.split and part.consumer is None else ()
        for delivery in page:
            if delivery.id not in self._gone and delivery.consumer not in others:
                self._take(delivery, part)
        part.end(page, upto, self._page)
        if part.reading:
            return
        self._processes.unread.discard(part.consumer or "")
        if not self._backlog.reading:
            self._gone.clear()
            self._set_reading(False)

    def _take(self, delivery: Delivery, part: Part) -> None:
        if not self.claims(delivery):
            return
        is_old = self._first_left is None or delivery.id < self._first_left
        if not is_old:
            part.left -= 1
        self._put(delivery, suspect=self._suspect and is_old)

    def bring(self, delivery: Delivery, *, suspect: bool) -> None:
        """Into its lane with a delivery that was found in the store, if this app claims it."""
        if self.claims(delivery):
            self._put(delivery, suspect=suspect)

    def _put(self, delivery: Delivery, *, suspect: bool) -> None:
        # what is due to be tried again may have been running: its state is not written when it begins
        waits = delivery.state == "retrying" and delivery.due_at > self._timers.clock.now()
        if suspect and delivery.state != "parked" and not waits:
            self.suspects[delivery.id] = None
        self._lanes.put(delivery)
        if delivery.state == "parked":
            self.on_parked(delivery)
        if delivery.state == "retrying":
            self._failures.wait(self._lanes.get(delivery.lane), delivery)

    def claims(self, delivery: Delivery, takes: Callable[[Delivery], bool] | None = None) -> bool:
        """Whether this app has the code for a delivery; one that it has not is noted as stranded.

        `takes`: whether somebody takes it, if its messages are known; else that is its consumer.
        """
        unknown = [envelope for envelope in (delivery.envelope, *delivery.more) if not self._is_known(envelope)]
        if not unknown and (takes(delivery) if takes else delivery.consumer in self._topology.consumers):
            return True
        message = (unknown or [delivery.envelope])[0]
        stranded = f"{message.type} (version {message.version}) for {delivery.consumer}"
        if stranded not in self._stranded:
            _log.error("nobody claims a message", message=message.type, consumer=delivery.consumer)
        self._stranded.setdefault(stranded, set()).add(delivery.id)
        return False

    @property
    def stranded(self) -> list[str]:
        """Deliveries that no class or consumer of this app claims, in words: they wait."""
        return list(self._stranded)

    def is_stranded(self, id: int) -> bool:
        """Whether nobody claims this delivery."""
        return any(id in ids for ids in self._stranded.values())

    def dropped(self, id: int) -> None:
        """An operator has dropped a delivery that nobody claimed."""
        for words, ids in list(self._stranded.items()):
            ids.discard(id)
            if not ids:
                del self._stranded[words]

    def _is_known(self, envelope: Envelope) -> bool:
        codec = self._topology.codecs.by_name.get(envelope.type)
        return codec is not None and envelope.version <= codec.version

    def leave(self, delivery: Delivery) -> bool:
        """Whether a new delivery stays in the store for now, or was read from there already."""
        part = self._backlog.part_of(delivery.consumer)
        if delivery.id <= part.cursor:
            return True
        if not part.reading:
            return not (delivery.consumer in self._topology.consumers or self.claims(delivery))
        self._first_left = self._first_left or delivery.id
        part.upto = max(part.upto, delivery.id)
        part.left += 1
        return True

    async def find(self, command_id: str) -> int | None:
        """The delivery of a command that still waits in the store unread."""
        after = self._backlog.cursor
        while self.reading and (page := await self._read(self._store.read_deliveries, after=after, limit=self._page)):
            for delivery in page:
                if delivery.envelope.id == command_id:
                    return delivery.id
            after = page[-1].id
        return None

    def unfinished(self) -> int:
        """Deliveries that are still to be handled."""
        return self._lanes.unfinished + self._backlog.left

    def written(self, commit: Commit) -> None:
        """A Commit was written while deliveries are being read."""
        self._gone.update(commit.withdrawn)
        if self._lanes.unfinished < PAGES * self._page // 2:
            self._room.set()

    # ------------------------------------------------------------------ suspects

    async def may_run(self, lane: Lane, delivery: Delivery) -> bool:
        """Whether the head of a lane may be handled now. A suspect waits for its turn, and is charged first."""
        if delivery.id not in self.suspects:
            self.passes(lane)
            return True
        lane.alone = True
        if self._running is delivery:
            return True
        if self._running is not None:
            group = self._queued[lane] = group_of(delivery.consumer, delivery.envelope.sender)
            self._queue.push(group, lane)
            return False
        self._running, self._turn = delivery, None
        if delivery.crashes >= MOST_CRASHES:
            await self._give_up(lane, delivery, f"it was running at {delivery.crashes} crashes of the engine")
            return False
        draft = Draft(self._charged, (lane, delivery))
        fence = Fence(delivery.id, delivery.attempt)
        draft.commit.changes.append(
            DeliveryChange(fence, "ready", delivery.attempt + 1, 0, delivery.crashes + 1, delivery.error)
        )
        self._committer.submit(draft)
        return False

    def is_running(self, delivery: Delivery) -> bool:
        """Whether this is the suspect whose turn it is: the others wait for it."""
        return self._running is delivery

    def begins(self, delivery: Delivery) -> bool:
        """Whether this suspect is being charged: it is handled as soon as that is written."""
        return self._running is delivery and delivery.crashes < MOST_CRASHES

    async def _give_up(self, lane: Lane, delivery: Delivery, reason: str) -> None:
        consumer = self._topology.consumers[delivery.consumer]
        if isinstance(consumer, ProcessConsumer):
            await self._processes.park(lane, consumer, delivery, ProcessBug(reason))
        else:
            await self._failures.give_up(lane, delivery, reason)

    def _charged(self, draft: Draft, result: Rejected | BaseException | None) -> None:
        lane, delivery = draft.subject
        if result is None:
            delivery.attempt += 1
            delivery.crashes += 1
            self._lanes.wake(lane)
        elif isinstance(result, Rejected):
            self._lanes.remove_head(lane, delivery)
            self.passed(delivery)
            self._lanes.release(lane)

    def settled(self, draft: Draft, result: Rejected | None) -> None:
        """A Commit was written or dropped while there are suspects: if it was that of the one that runs, go on."""
        if result is None:
            for fence in draft.commit.done:
                self._forget_id(fence.delivery)
        running = self._running
        if running is None or draft.on_settled == self._charged or (result is not None and result.why != "gone"):
            return
        commit, id = draft.commit, running.id
        if (
            id in commit.withdrawn
            or any(fence.delivery == id for fence in commit.done)
            or any(change.fence.delivery == id for change in commit.changes)
        ):
            self.passed(running)

    def passed(self, delivery: Delivery) -> None:
        """This suspect, if it is one, has not brought the engine down: let the next one run."""
        self.suspects.pop(delivery.id, None)
        if self._running is not delivery:
            return
        self._running = None
        self._wake_next()

    def _forget(self, delivery: Delivery) -> None:
        """One that was given up before its turn: nothing of it will run."""
        self._forget_id(delivery.id)

    def _forget_id(self, id: int) -> None:
        if self._running is None or self._running.id != id:  # whose turn it is, passes
            self.suspects.pop(id, None)

    def withdrawn(self, message_id: str) -> None:
        """Another engine has given up this command, and nothing of it runs here any more."""
        if self._running is not None and self._running.envelope.id == message_id:
            self.passed(self._running)

    def passes(self, lane: Lane) -> None:
        """A lane was looked at, and no suspect of it begins: if it was its turn, the next one has it."""
        if self._turn is lane:
            self._turn = None
            if self._running is None:
                self._wake_next()

    def waits_for_turn(self, lane: Lane) -> bool:
        """Whether the head of this lane is a suspect that waits for another."""
        return lane in self._queued

    def give(self, lane: Lane) -> bool:
        """A lane goes to another engine. Whether something in it was suspect, and is still."""
        suspect = [delivery for delivery in lane.queue if delivery.id in self.suspects]
        group = self._queued.pop(lane, None)
        if group is not None:
            self._queue.discard(group, lane)
        for delivery in suspect:
            self.passed(delivery)
        self.passes(lane)
        return bool(suspect)

    def _wake_next(self) -> None:
        while self._queue:
            lane = self._queue.pop()
            del self._queued[lane]
            self._lanes.wake(lane)
            if lane.queue and lane.queue[0].id in self.suspects:
                self._turn = lane
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
