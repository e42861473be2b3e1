"""What an outcome says of the step that it belongs to: a success, a refusal, or nothing that is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from sagakit.core.commit import Cause
from sagakit.core.lifecycle import CommandFailed, CommandLedToNothing
from sagakit.core.process import Surroundings
from sagakit.core.saga.operations import Then
from sagakit.errors import NotDone, OutcomeUnknown, Refused, TimedOut


class Success(Struct, gc=False):
    """Done; `event` is the one that `then` names (None where it names none)."""

    event: Any


def judge(then: Then, command: type, messages: Sequence[Any], around: Surroundings) -> Success | NotDone:
    """What the whole outcome of a command says."""
    first = messages[0]
    if then is not None:
        for message in messages:
            if message.__class__ in then:
                return Success(message)
    elif first.__class__ is not CommandFailed:
        return Success(None)
    if isinstance(first, CommandFailed):
        return Refused(first.reason) if first.known_not_done else OutcomeUnknown(first.reason)
    if isinstance(first, CommandLedToNothing):
        return Refused(f"{first.type} led to no event")
    return _refusal(command, messages, around)


def cause_of(error: NotDone) -> Cause:
    """Why a saga is undone that this error has left."""
    if isinstance(error, Refused):
        return "refused"
    return "timed_out" if isinstance(error, TimedOut) else "failed"


def _refusal(command: type, messages: Sequence[Any], around: Surroundings) -> NotDone:
    for message in messages:
        if around.declared(command, message.__class__):
            reason: object = getattr(message, "reason", None)
            return Refused(str(reason) if reason else around.codecs.of(message).name, message)
    return OutcomeUnknown(f"undeclared outcome {around.codecs.of(messages[0]).name}")


def names_of(then: Then, around: Surroundings) -> tuple[str, ...] | None:
    """`then` as it is stored."""
    known = around.codecs.by_class
    return None if then is None else tuple(known[cls].name for cls in then if cls in known)


def classes_of(names: tuple[str, ...] | None, around: Surroundings) -> Then:
    """`then` as it was stored."""
    known = around.codecs.by_name
    return None if names is None else tuple(known[name].cls for name in names if name in known)
