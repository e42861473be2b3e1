"""Processes: an instance reacts inline in the Commit of what it is told, or later to a delivery of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import structlog

from sagakit.core.commit import (
    ENDED,
    Delivery,
    DeliveryChange,
    Envelope,
    Fence,
    History,
    Instance,
    InstanceWrite,
    Reaction,
    Rejected,
    Search,
)
from sagakit.core.process import Input, Live, Reacted
from sagakit.engine.draft import Draft, Failure
from sagakit.engine.lanes import Lane, Lanes
from sagakit.engine.routing import Router
from sagakit.engine.topology import ProcessConsumer
from sagakit.errors import NotDone, OutcomeUnknown, ProcessBug, Refused, TerminalError, UnknownMessage
from sagakit.ports import Store

HISTORY_PAGE = 1_000

_log = structlog.get_logger("sagakit.processes")


class Slot:
    """An instance in memory: its row as committed or in the draft that holds its lane, and the live code."""

    __slots__ = ("consumer", "live", "row", "search")

    def __init__(self, consumer: ProcessConsumer, row: Instance, live: Live) -> None:
        self.consumer = consumer
        self.row = row
        self.live = live
        self.search: Search | None = None


class ProcessHandler:
    """Loads instances, has them react, and writes down what that leads to."""

    def __init__(
        self,
        router: Router,
        store: Store,
        lanes: Lanes,
        submit: Callable[[Draft], None],
        withdraw: Callable[[Draft, str], Awaitable[None]],
        most: int,
    ) -> None:
        self._router = router
        self._topology = router.topology
        self._clock = router.clock
        self._store = store
        self._lanes = lanes
        self._submit = submit
        self._withdraw = withdraw
        self._most = most
        self.inline = True
        """False while deliveries wait in the store unread: a reaction must not overtake them."""

    # ------------------------------------------------------------------ being told

    async def tell_sender(self, draft: Draft, sender: str, envelopes: tuple[Envelope, ...]) -> None:
        """Tell the instance that sent a command its outcome. `sender` is its lane: process/instance id."""
        name, _, _ = sender.rpartition("/")
        process = self._topology.consumers.get(name)
        if isinstance(process, ProcessConsumer):
            await self.tell(draft, process, sender, None, envelopes)
        else:
            draft.deliver(envelopes[0], name, sender, envelopes[1:])

    async def tell(
        self, draft: Draft, process: ProcessConsumer, lane_key: str, key: str | None, envelopes: tuple[Envelope, ...]
    ) -> None:
        """React inline if the instance's lane is idle or in this very draft; else make it a delivery."""
        lane = self._lanes.find(lane_key)
        if lane is None or lane not in draft.held:
            if not self.inline or (lane is not None and lane.busy):
                draft.deliver(envelopes[0], process.name, lane_key, envelopes[1:])
                return
            lane = self._lanes.get(lane_key)
            lane.busy = True
            draft.held.append(lane)
        try:
            await self._react(draft, process, lane, key, envelopes)
        except (ProcessBug, TerminalError) as bug:
            await self._park_inline(draft, process, lane, key, envelopes, bug)

    async def handle(self, lane: Lane, process: ProcessConsumer) -> None:
        """React to the queued deliveries of a lane, several in one Commit."""
        run = [delivery for delivery in lane.queue if delivery.state == "ready"][: 1 if lane.alone else self._most]
        draft = Draft(self._settled, (lane, len(run)))
        draft.held.append(lane)
        try:
            for delivery in run:
                draft.finish(delivery)
                envelopes = (delivery.envelope, *delivery.more)
                await self._react(draft, process, lane, self._key_of(process, delivery.envelope), envelopes)
        except (ProcessBug, TerminalError) as bug:
            self.abandon(draft, but=lane)
            self.drop(lane)
            if len(run) > 1:
                lane.alone = True
                self._lanes.wake(lane)
            else:
                await self._park(lane, process, run[0], bug)
            return
        except BaseException:
            self.abandon(draft, but=lane)
            self.drop(lane)
            raise
        lane.alone = False
        self._submit(draft)

    def abandon(self, draft: Draft, but: Lane | None = None) -> None:
        """A draft that will not be committed: forget what reacted in it, and let go of its lanes."""
        for held in draft.held:
            if held is not but:
                self.drop(held)
                self._lanes.release(held)
        draft.held.clear()

    def _settled(self, draft: Draft, result: Rejected | BaseException | None) -> None:
        lane, count = draft.subject
        if result is None:
            for _ in range(count):
                lane.queue.popleft()
        elif isinstance(result, Rejected) and result.why == "gone":
            lane.queue.popleft()
            lane.alone = True

    # ------------------------------------------------------------------ reacting

    async def _react(
        self, draft: Draft, process: ProcessConsumer, lane: Lane, key: str | None, envelopes: tuple[Envelope, ...]
    ) -> None:
        slot: Slot | None = lane.cache
        if slot is None:
            slot = await self._load(process, lane)
        given = Input(envelopes, tuple(self._message(envelope) for envelope in envelopes))
        if slot is None:
            if key is None or not isinstance(given.messages[0], process.current.starts_with):
                self._router.unmatched += 1
                _log.info("unmatched", process=process.name, message=envelopes[0].type, id=envelopes[0].id)
                return
            slot = self._start(process, lane, key)
        before = slot.live.status
        reacted = slot.live.react(given)
        sent = self._write(draft, slot, lane, envelopes, reacted)
        if slot.live.status != before or slot.row.version == 1:
            self._describe(draft, slot, envelopes[0])
            self._tell_waiting(draft, slot, before, envelopes[0].correlation_id)
        await self._send(draft, sent, reacted)

    def _start(self, process: ProcessConsumer, lane: Lane, key: str) -> Slot:
        definition = process.current
        id = lane.key.rpartition("/")[2]
        row = Instance(id, process.name, key, definition.version, 0, "running", b"")
        slot = lane.cache = Slot(process, row, definition.start(id, key))
        return slot

    def _write(
        self, draft: Draft, slot: Slot, lane: Lane, envelopes: tuple[Envelope, ...], reacted: Reacted
    ) -> list[Envelope]:
        live, row, commit = slot.live, slot.row, draft.commit
        sent = self._router.outputs(envelopes[0], lane.key, reacted.outputs, self._clock.now())
        commit.messages.extend(sent)
        writes = commit.instances
        for write in writes:
            if write.row is row:  # the second reaction of this instance in one Commit
                break
        else:
            # a row of its own: what the slot holds must not change under a Commit that is being written
            row = slot.row = Instance(
                row.id, row.type, row.key, row.definition, row.version, row.status, row.state, row.number
            )
            writes.append(InstanceWrite(row, row.version))
        row.version += 1
        row.status = live.status
        row.state = live.snapshot()
        commit.reactions.append(Reaction(row, row.version, envelopes, tuple(sent)))
        return sent

    async def _send(self, draft: Draft, sent: Sequence[Envelope], reacted: Reacted) -> None:
        for envelope in sent:
            if envelope.kind == "command":
                if not self._router.command(draft, envelope):
                    raise ProcessBug(f"nobody handles the command {envelope.type}")
            else:
                await self._router.published(draft, (envelope,))
        for command_id in reacted.withdrawn:
            await self._withdraw(draft, command_id)

    def _describe(self, draft: Draft, slot: Slot, cause: Envelope) -> None:
        row, live = slot.row, slot.live
        now = self._clock.now()
        known = slot.search
        search = Search(
            row.id,
            row.type,
            row.key,
            row.status,
            known.correlation_id if known else cause.correlation_id,
            known.started_at if known else now,
            now,
            now if row.status in ENDED else None,
            live.cause,
            live.reason,
            known.trace_id if known else _trace_id(cause.trace),
        )
        slot.search = search
        draft.commit.search.append(search)

    def _tell_waiting(self, draft: Draft, slot: Slot, before: str, correlation_id: str) -> None:
        live = slot.live
        if before == "running" and live.status in ("undoing", "compensated", "compensation_failed"):
            error: NotDone = Refused(live.reason) if live.cause == "refused" else OutcomeUnknown(live.reason)
            draft.stories.append(Failure(correlation_id, error, self._still(live)))

    def _still(self, live: Live) -> frozenset[type]:
        """The outcomes that the undos still on the stack may lead to."""
        by_name, outcomes = self._topology.codecs.by_name, self._topology.around.outcomes
        undos = [by_name[name].cls for name in live.undos() if name in by_name]
        return frozenset(event for undo in undos for event in outcomes.get(undo, ()))

    # ------------------------------------------------------------------ loading

    async def _load(self, process: ProcessConsumer, lane: Lane) -> Slot | None:
        id = lane.key.rpartition("/")[2]
        row = await self._store.read_instance(id)
        if row is None:
            return None
        definition = process.definitions.get(row.definition)
        if definition is None:
            raise ProcessBug(
                f"{process.name} version {row.definition} is no longer declared, but this instance runs on it"
            )
        history = await self._history(row) if definition.replays else []
        slot = Slot(process, row, definition.revive(row, history))
        slot.search = await self._store.read_search(id)
        lane.cache = slot
        return slot

    async def _history(self, row: Instance) -> list[tuple[Input, History]]:
        history: list[tuple[Input, History]] = []
        if row.status in ENDED:
            return history
        after = 0
        while page := await self._store.read_history(row.id, after=after, limit=HISTORY_PAGE):
            for entry in page:
                messages = tuple(self._message(envelope) for envelope in entry.inputs)
                history.append((Input(entry.inputs, messages), entry))
            after = page[-1].version
            if len(page) < HISTORY_PAGE:
                break
        return history

    def _message(self, envelope: Envelope) -> Any:
        if envelope.message is None:
            envelope.message = self._topology.codecs.decode(envelope.type, envelope.version, envelope.payload)
        return envelope.message

    def _key_of(self, process: ProcessConsumer, envelope: Envelope) -> str | None:
        message = self._message(envelope)
        return process.key(message) if isinstance(message, process.current.starts_with) else None

    def drop(self, lane: Lane) -> None:
        """Forget an instance that ran ahead of a Commit that failed: it is loaded anew."""
        slot, lane.cache = lane.cache, None
        if slot is not None:
            slot.live.evict()

    def evicted(self, cache: Any) -> None:
        """A lane has left the memory."""
        if isinstance(cache, Slot):
            cache.live.evict()

    # ------------------------------------------------------------------ parking

    async def _park_inline(
        self,
        draft: Draft,
        process: ProcessConsumer,
        lane: Lane,
        key: str | None,
        envelopes: tuple[Envelope, ...],
        bug: Exception,
    ) -> None:
        """The code failed: the Commit of what the process was told stands, the telling becomes a parked delivery."""
        delivery = draft.deliver(envelopes[0], process.name, lane.key, envelopes[1:])
        delivery.state, delivery.error = "parked", str(bug)
        await self._write_parked(draft, process, lane, key, envelopes[0], bug)

    async def _park(self, lane: Lane, process: ProcessConsumer, delivery: Delivery, bug: Exception) -> None:
        """The same for what was a delivery already."""
        draft = Draft(self._parked, (lane, delivery, str(bug)))
        draft.held.append(lane)
        change = DeliveryChange(Fence(delivery.id, delivery.attempt), "parked", delivery.attempt, error=str(bug))
        draft.commit.changes.append(change)
        key = None
        if not isinstance(bug, UnknownMessage):
            key = self._key_of(process, delivery.envelope)
        await self._write_parked(draft, process, lane, key, delivery.envelope, bug)
        self._submit(draft)

    def _parked(self, draft: Draft, result: Rejected | BaseException | None) -> None:
        lane, delivery, error = draft.subject
        if result is None:
            delivery.state, delivery.error = "parked", error
        elif isinstance(result, Rejected) and result.why == "gone":
            lane.queue.popleft()

    async def _write_parked(
        self, draft: Draft, process: ProcessConsumer, lane: Lane, key: str | None, cause: Envelope, bug: Exception
    ) -> None:
        _log.error("parked", process=process.name, message=cause.type, error=str(bug))
        written = next(
            (write.row for write in draft.commit.instances if write.row.id == lane.key.rpartition("/")[2]), None
        )
        self.drop(lane)
        row = written or await self._store.read_instance(lane.key.rpartition("/")[2])
        if row is None and key is not None:
            id = lane.key.rpartition("/")[2]
            row = Instance(id, process.name, key, process.current.version, 0, "parked", b"{}")
        if row is None:
            return
        if written is None:
            draft.commit.instances.append(InstanceWrite(row, row.version))
        row.version += 1
        row.status = "parked"
        await self._describe_parked(draft, row, cause, str(bug))
        draft.stories.append(Failure(cause.correlation_id, OutcomeUnknown(f"{process.name} is parked: {bug}")))

    async def _describe_parked(self, draft: Draft, row: Instance, cause: Envelope, error: str) -> None:
        now = self._clock.now()
        known = next((search for search in draft.commit.search if search.instance == row.id), None)
        known = known or await self._store.read_search(row.id)
        if known is None:
            known = Search(
                row.id, row.type, row.key, "parked", cause.correlation_id, now, now, trace_id=_trace_id(cause.trace)
            )
        draft.commit.search.append(msgspec.structs.replace(known, status="parked", reason=error, updated_at=now))


def _trace_id(trace: str | None) -> str | None:
    """The trace id of a W3C traceparent (version-traceid-parentid-flags)."""
    return trace.split("-")[1] if trace and trace.count("-") >= 3 else None
