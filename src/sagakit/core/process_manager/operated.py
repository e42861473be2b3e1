"""An operator's hands on a process manager: it undoes by itself, so a person can tell it, and settle its undos."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from sagakit.core.commit import Status
from sagakit.core.lifecycle import Cancelled, OperatorActed, TimerFired
from sagakit.core.process import Reacted, Surroundings
from sagakit.core.process_manager.record import ManagerRecord, SentCommand
from sagakit.core.process_manager.reminders import Reminders
from sagakit.core.saga.compensation import Recorded
from sagakit.errors import NotPossible


class Instance(Protocol):
    """What an operator's hands need of an instance."""

    status: Status
    record: ManagerRecord
    reminders: Reminders

    @property
    def reacted(self) -> Reacted:
        """What its reaction leads to."""
        ...

    def takes(self, kind: type) -> bool:
        """Whether it takes messages of this class."""
        ...

    def send_undo(self, sent: SentCommand, undo: Recorded) -> None:
        """Send an undo under a new id."""
        ...


def operate(live: Instance, acted: OperatorActed, around: Surroundings) -> Sequence[Any]:
    """Do what an operator has decided; the messages that the instance is told because of it."""
    id = acted.command_id
    sent = next((one for one in live.record.sent if id and id in (one.id, one.undo_id)), None)
    match acted.action:
        case "cancel":
            return (Cancelled(acted.reason),)
        case "give_result":
            return _given(live, sent, acted, around)
        case "abandon":
            _abandon(live, acted)
        case "skip_step" if acted.type:
            live.reacted.forget(acted.command_id)
            fired = TimerFired("", acted.type, acted.version, msgspec.Raw(bytes(acted.payload)))
            return live.reminders.told(acted.command_id, fired)
        case "compensate" | "skip_step":
            raise NotPossible("a process manager has no steps and undoes by itself: cancel it, and it is told")
        case "resume_compensation":
            for one in live.record.sent:
                _again(live, one)
        case "retry" if sent is not None:
            _again(live, sent)
        case "edit" if sent is not None and sent.undo_id == acted.command_id:
            sent.undo = Recorded(acted.type, acted.version, msgspec.Raw(bytes(acted.payload)))
            sent.undo_id, sent.undo_error = acted.details["message_id"], ""
        case "drop" if sent is not None and sent.undo_id == acted.command_id:
            sent.undone, sent.undo_error = True, ""
        case _:
            pass
    settled_by_hand(live)
    return ()


def settled_by_hand(live: Instance) -> None:
    """No undo waits for a person any more: go on, or be ended as before."""
    record = live.record
    if live.status == "compensation_failed" and not any(one.undo_error for one in record.sent):
        live.status, record.ended = record.ended or "running", ""
        if live.status == "completed":
            record.cause = ""
        for one in record.sent:
            if one.undo is not None and not one.undone and not one.undo_id:  # held back until now
                live.send_undo(one, one.undo)


def _given(live: Instance, sent: SentCommand | None, acted: OperatorActed, around: Surroundings) -> Sequence[Any]:
    message = around.codecs.decode(acted.type, acted.version, bytes(acted.payload))
    if not live.takes(message.__class__):
        raise NotPossible(f"it takes no {acted.type}")
    if sent is not None:
        sent.settled = True
    if acted.command_id:
        live.reacted.withdrawn.append(acted.command_id)
    return (message,)


def _abandon(live: Instance, acted: OperatorActed) -> None:
    record = live.record
    for one in record.sent:
        if not one.settled and one.undo is None:
            live.reacted.withdrawn.append(one.id)
        if one.undo_id and not one.undone:
            live.reacted.withdrawn.append(one.undo_id)
            one.undo_error = one.undo_error or f"abandoned: {acted.reason}"
    record.cause, record.reason = record.cause or "cancelled", acted.reason
    live.reminders.clear()
    live.status = "abandoned"


def _again(live: Instance, sent: SentCommand) -> None:
    """Try an undo that was given up again, under the same id."""
    if sent.undo_error:
        sent.undo_error = ""
        live.reacted.again.append(sent.undo_id)
