"""What an operator does to an instance: a recorded input that passes beside its lane."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import msgspec

from sagakit.core.commit import ENDED, Cause, Delivery, Instance, Status
from sagakit.core.display import record_of
from sagakit.core.lifecycle import OperatorActed, TimerFired
from sagakit.core.process import Input, Reacted
from sagakit.core.process_manager.record import ManagerRecord
from sagakit.core.queries import DeliveryQuery, ItemQuery
from sagakit.core.saga.batch import Batch
from sagakit.core.saga.compensation import SagaRecord
from sagakit.core.saga.rerun import RERUN, step_of
from sagakit.core.saga.rerun import chosen as batch_to_rerun
from sagakit.core.streams import lane_name
from sagakit.engine.handlers.process_handler import ProcessHandler
from sagakit.engine.handlers.processes.instances import Slot
from sagakit.engine.lanes.lane import Lane
from sagakit.engine.lanes.lanes import Lanes
from sagakit.engine.operating.acting import Act, Acted, Acting
from sagakit.engine.topology import ProcessConsumer, Topology
from sagakit.errors import InvalidMessage, NotFound, NotPossible, ProcessBug, StaleVersion
from sagakit.ports import Store

Allowed: TypeAlias = frozenset[Status]

LIVE: Allowed = frozenset({"running", "undoing", "parked", "compensation_failed"})
FITS: dict[str, Allowed] = {
    "cancel": frozenset({"running", "parked"}),
    "compensate": frozenset({"running", "parked"}),
    "abandon": LIVE,
    "retry": frozenset({"parked"}),
    "drop": frozenset({"parked"}),
    "edit": frozenset({"parked"}),
    "resume_compensation": frozenset({"compensation_failed"}),
    RERUN: frozenset({"running", "completed"}),
    "skip_step": frozenset({"running"}),
    "give_result": frozenset({"running"}),
    "resume": LIVE | ENDED,  # one that was paused and has ended may have something left in its lane
}
"""The statuses in which an action can be carried out."""
TAKES_UP = frozenset({"retry", "cancel", "compensate", "abandon"})
"""What has the parked input of an instance handled again: by its code, or as one that comes late."""
INNER = frozenset({"drop", "edit"})
"""Actions on a delivery that its instance is told of."""
NEEDS_CODE = frozenset({RERUN, "retry", "skip_step", "give_result", "edit", "drop"})


class InstanceActions:
    """Carries out actions on instances."""

    def __init__(
        self, topology: Topology, store: Store, lanes: Lanes, processes: ProcessHandler, acting: Acting
    ) -> None:
        self._topology = topology
        self._store = store
        self._lanes = lanes
        self._processes = processes
        self._acting = acting
        self.is_reading: Callable[[], bool] = lambda: False
        """Whether deliveries wait in the store unread: what an instance parked on may be among them."""
        self.ask_elsewhere: Callable[[Act, Delivery], bool] | None = None
        """Has another worker try a delivery anew, where it is that one's. False if it is here."""

    async def act(
        self,
        id: str,
        acted: OperatorActed,
        *,
        expected_version: int | None = None,
        step: str | None = None,
        message: tuple[str, object] | None = None,
        also: Callable[[Act], None] | None = None,
    ) -> Acted:
        """Carry out an action on an instance, whatever its lane waits for. Durable when this returns.

        `also` adds what else the same Commit changes.
        """
        row = await self.read(id)
        lane = await self._lanes.claim(lane_name(row.type, row.id))
        try:
            slot = await self.slot(lane, acted.action)
            _check(slot.row, acted.action, expected_version)
            if slot.row.status == "parked" and acted.action in TAKES_UP and not lane.queue and self.is_reading():
                raise NotPossible("the engine still reads what is outstanding: try again in a moment")
            acted = await self._completed(slot.row, acted, step, message)
            if acted.action == RERUN:
                await self._processes.instances.reopen(slot, step_of(acted))
            act = self._acting.begin(acted, slot.search.correlation_id if slot.search else None, acted.command_id)
        except BaseException:
            self._processes.drop(lane)
            self._lanes.release(lane)
            raise
        act.draft.held.append(lane)
        try:
            if acted.action in TAKES_UP and lane.queue and lane.queue[0].state == "parked":
                act.try_anew(lane.queue[0])
            await self.react(act, lane, slot)
            if also is not None:
                also(act)
        except BaseException:
            self._acting.abandon(act)
            raise
        row = slot.row
        await self._acting.commit(act)
        return Acted(act.envelope.id, acted.action, id, row.status, row.version)

    async def read(self, id: str) -> Instance:
        """The row of an instance."""
        row = await self._store.read_instance(id)
        if row is None:
            raise NotFound(f"there is no process instance {id!r}: sagakit processes list shows them")
        return row

    async def slot(self, lane: Lane, action: str) -> Slot:
        """The instance of a claimed lane. One whose code is gone is operated on as it is recorded."""
        if lane.cache is not None:
            known: Slot = lane.cache
            return known
        name, _, id = lane.key.rpartition("/")
        consumer = self._topology.consumers.get(name)
        try:
            if not isinstance(consumer, ProcessConsumer):
                raise ProcessBug(f"the app declares no process {name}")
            slot = await self._processes.instances.load(consumer, id)
            if slot is None:
                raise NotFound(f"there is no {name} with the id {id!r}")
        except ProcessBug as bug:
            if action in NEEDS_CODE:
                raise NotPossible(f"{bug}: declare it again first, or cancel or abandon the instance") from bug
            slot = await self._recorded(consumer, id, action, bug)
        lane.cache = slot
        return slot

    async def _recorded(self, consumer: object, id: str, action: str, bug: ProcessBug) -> Slot:
        row = await self.read(id)
        search = await self._store.read_search(id)
        if isinstance(consumer, ProcessConsumer) and isinstance(record_of(row), SagaRecord):
            live = consumer.current.revive(row, [])  # its record is enough to undo it
        elif action == "abandon":
            live = RowOnly(row, search.cause if search else "", search.reason if search else "")
        else:
            raise NotPossible(f"{bug}: it can be abandoned")
        slot = Slot(consumer, row, live)  # pyright: ignore[reportArgumentType]
        slot.search = search
        return slot

    async def react(self, act: Act, lane: Lane, slot: Slot) -> None:
        """Add to an action what the instance of a lane does about it."""
        try:
            reacted = await self._processes.operate(act.draft, lane, slot, act.envelope)
        except ProcessBug as bug:
            raise NotPossible(f"its code cannot go on from there: {bug}") from bug
        for command_id in reacted.again:
            await self._try_again(act, lane, command_id)
        if act.acted.action == "abandon":
            await self._give_up(act, lane, reacted)

    async def _try_again(self, act: Act, sender: Lane, command_id: str) -> None:
        """A parked undo that the instance wants to be tried again, under the same id."""
        found = await self._outstanding(sender.key, command_id)
        if found is None:
            raise NotPossible(f"its parked undo (message {command_id}) is not there any more: abandon the instance")
        if self.ask_elsewhere is not None and self.ask_elsewhere(act, found):
            return
        lane = await self._acting.claim(act, found.lane)
        delivery = next((one for one in lane.queue if one.id == found.id), None)
        if delivery is None or delivery.state != "parked":
            raise NotPossible("its undo is being handled: look again")
        act.try_anew(delivery)

    async def _outstanding(self, sender: str, message_id: str) -> Delivery | None:
        after = 0
        while page := await self._store.find_deliveries(DeliveryQuery(sender=sender, after=after)):
            for delivery in page:
                if delivery.envelope.id == message_id:
                    return delivery
            after = page[-1].id
        return None

    async def _give_up(self, act: Act, lane: Lane, reacted: Reacted) -> None:
        """Also what the instance does not keep in mind itself: nothing of an abandoned one goes on."""
        after = 0
        while page := await self._store.find_deliveries(DeliveryQuery(sender=lane.key, after=after)):
            for delivery in page:
                if delivery.envelope.id not in reacted.withdrawn:
                    await self._processes.give_up(act.draft, delivery.envelope.id)
            after = page[-1].id

    # ------------------------------------------------------------------ which step, which message

    async def _completed(
        self, row: Instance, acted: OperatorActed, step: str | None, message: tuple[str, object] | None
    ) -> OperatorActed:
        """The action with the step that it is about, and the message that was given, checked."""
        change: dict[str, object] = {}
        if acted.action == "give_result":
            if message is None:
                raise InvalidMessage("message: give the result's type, and its fields as payload")
            codec = self._topology.codecs.named(message[0])
            payload = codec.encode(codec.decode(as_json(message[1])))
            change |= {"type": codec.name, "version": codec.version, "payload": msgspec.Raw(payload)}
            change["command_id"] = await self._step_for(row, step, codec.cls)
        elif acted.action == RERUN:
            change["details"] = acted.details | {"step": str(chosen_batch(record_of(row), step).step)}
        elif acted.action == "skip_step":
            under_way = await self._under_way(row)
            change["command_id"] = chosen([*under_way, *_times(row)] if step or not under_way else under_way, step)[0]
            change |= await self._reminder(row, str(change["command_id"]))
        return msgspec.structs.replace(acted, **change)

    async def _step_for(self, row: Instance, step: str | None, outcome: type) -> str:
        """The command that this is an outcome of; "": it is an event that the instance waits for."""
        under_way = await self._under_way(row)
        if step is not None:
            return chosen(under_way, step)[0]
        by_name = self._topology.codecs.by_name
        fitting = [
            one
            for one in under_way
            if one[1] in by_name and outcome in self._topology.around.outcomes.get(by_name[one[1]].cls, ())
        ]
        record = record_of(row)
        receives = not isinstance(record, SagaRecord) or self._topology.codecs.by_class[outcome].name in (
            record.receiving
        )
        if fitting or not receives:
            return chosen(fitting or under_way, None)[0]
        return ""

    async def _reminder(self, row: Instance, id: str) -> dict[str, object]:
        """The message of a reminder of a process manager, which its delivery carries."""
        record = record_of(row)
        if isinstance(record, SagaRecord) or not any(one.id == id for one in record.reminders):
            return {}
        lane = lane_name(row.type, row.id)
        for delivery in await self._store.find_deliveries(DeliveryQuery(state="scheduled", lane=lane)):
            if delivery.envelope.id == id:
                fired = msgspec.json.decode(delivery.envelope.payload, type=TimerFired)
                payload = fired.payload or msgspec.Raw(b"{}")
                return {"type": fired.type, "version": fired.version, "payload": payload}
        raise NotPossible("its reminder has come already")

    async def _under_way(self, row: Instance) -> list[tuple[str, str, int]]:
        """The commands whose outcome an instance waits for: id, type, and place among its steps."""
        record = record_of(row)
        if isinstance(record, SagaRecord):
            return [(step.id, step.type, step.ordinal) for step in record.steps if step.state == "sent"]
        if record.sent:
            return [(one.id, one.type, place) for place, one in enumerate(record.sent, 1) if not one.settled]
        outstanding = await self._store.find_deliveries(DeliveryQuery(sender=lane_name(row.type, row.id)))
        return [(one.envelope.id, one.envelope.type, place) for place, one in enumerate(outstanding, 1)]


class RowOnly:
    """An instance whose code and state nobody understands any more: all that can be done is to end it."""

    def __init__(self, row: Instance, cause: Cause, reason: str) -> None:
        self.id, self.key, self.status = row.id, row.key, row.status
        self.cause, self.reason = cause, reason
        self._state = row.state

    def react(self, given: Input) -> Reacted:
        """End it."""
        acted: OperatorActed = given.messages[0]
        self.status, self.cause, self.reason = "abandoned", self.cause or "cancelled", acted.reason
        return Reacted()

    def wants(self, given: Input) -> list[ItemQuery]:
        """Nothing that it would understand."""
        return []

    def snapshot(self) -> bytes:
        """Its state as it was stored."""
        return self._state

    def undos(self) -> list[str]:
        """Nobody knows."""
        return []

    def evict(self) -> None:
        """Nothing is held."""


def chosen_batch(record: SagaRecord | ManagerRecord, step: str | None) -> Batch:
    """The batch that was named, or the last one, if its failed items can be sent again."""
    if not isinstance(record, SagaRecord):
        raise NotPossible(f"{RERUN}: a process manager has no batches")
    return batch_to_rerun(record, step)


def chosen(under_way: list[tuple[str, str, int]], step: str | None) -> tuple[str, str, int]:
    """The step that was named (by its command's id, its type or its ordinal), or the only one."""
    named = [one for one in under_way if step is None or step in (one[0], one[1], one[1].rpartition(".")[2])]
    named = named or [one for one in under_way if str(one[2]) == step]
    if len(named) == 1:
        return named[0]
    there = ", ".join(f"{ordinal} ({type}, command {id})" for id, type, ordinal in under_way) or "none"
    if step is None and named:
        raise NotPossible(f"several steps are under way: name one with step; they are: {there}")
    raise NotPossible(f"no step {step or 'of it'} is under way; under way: {there}")


def _times(row: Instance) -> list[tuple[str, str, int]]:
    """The times that an instance waits for, as steps that can be skipped."""
    record = record_of(row)
    timers = record.timers if isinstance(record, SagaRecord) else record.reminders
    return [(one.id, one.what or one.kind, 0) for one in timers if one.kind in ("sleep", "receive", "reminder")]


def as_json(payload: object) -> bytes:
    """A payload as it was given: JSON text or bytes, or what JSON stands for."""
    if isinstance(payload, str):
        return payload.encode()
    return payload if isinstance(payload, bytes) else msgspec.json.encode(payload)


def _check(row: Instance, action: str, expected_version: int | None) -> None:
    if expected_version is not None and expected_version != row.version:
        raise StaleVersion(f"{row.type} {row.id}", expected_version, row.version)
    if row.status in FITS.get(action, LIVE):
        return
    fitting = ", ".join(sorted(one for one, statuses in FITS.items() if row.status in statuses and one not in INNER))
    if row.status in ENDED:
        raise NotPossible(f"{action}: the instance has ended as {row.status}: nothing can be done to it any more")
    raise NotPossible(f"{action}: the instance is {row.status}; what can be done then: {fitting}, pause")
