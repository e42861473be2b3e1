"""The messages that the engine itself writes into the log. They replay like any other."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

import msgspec
from msgspec import Struct

from sagakit.core.codec import Codec, Codecs
from sagakit.core.commit import Cause, Kind, Status
from sagakit.core.messages import pinned, wire

_M = TypeVar("_M")
_NO_PAYLOAD = msgspec.Raw(b"null")

ACTED = "sagakit.OperatorActed"
"""The wire name of what an operator did; it is caused by what it is about, and no outcome of that."""
HANDED_OVER = "sagakit.HandedOver"
"""The wire name of what says that a command waits for the answer of a participant."""


@wire("sagakit.CommandFailed")
class CommandFailed(Struct, frozen=True):
    """A command that a process sent was given up."""

    command_id: str
    type: str
    version: int
    payload: msgspec.Raw
    reason: str
    known_not_done: bool = False


@wire("sagakit.CommandLedToNothing")
class CommandLedToNothing(Struct, frozen=True):
    """A command that a process sent was handled, and led to no event."""

    command_id: str
    type: str
    version: int
    payload: msgspec.Raw


@wire(HANDED_OVER)
class HandedOver(Struct, frozen=True, omit_defaults=True):
    """A handler has handed a command over to a participant: its outcome is that one's answer."""

    command_id: str
    type: str
    handler: str
    to: str = ""
    """Who has it now, in words."""
    attempt: int = 1
    """Of the delivery that has ended with it."""


@wire("sagakit.CancelRequested")
class CancelRequested(Struct, frozen=True):
    """Somebody wants this instance undone."""

    reason: str


@wire("sagakit.CancelChild")
class CancelChild(Struct, frozen=True):
    """A process gave up a command that starts another process: what that command has started is to be undone.

    Its answer is the end of the child: the outcome of the command that started it.
    """

    command_id: str
    child: str
    """The lane of the instance: process/instance id."""
    reason: str


@wire("sagakit.TimerFired")
class TimerFired(Struct, frozen=True, omit_defaults=True):
    """A time has come that an instance waits for. Which one, its message id says; `what` says it in words.

    A reminder of a process manager carries the message that it is to be told.
    """

    what: str
    type: str = ""
    version: int = 1
    payload: msgspec.Raw = _NO_PAYLOAD


@wire("sagakit.DeadlineNear")
class DeadlineNear(Struct, frozen=True):
    """The deadline of a process comes near, or has passed where it is to do no more than warn."""

    process: str
    key: str
    instance: str
    due_at: datetime


@wire("sagakit.ProcessParked")
class ProcessParked(Struct, frozen=True):
    """The code of a process cannot go on: its instance waits for a person."""

    process: str
    key: str
    instance: str
    message: str
    """The type of the message that it could not handle; that one waits as a parked delivery."""
    error: str


@wire("sagakit.CommandParked")
class CommandParked(Struct, frozen=True):
    """A command or an event was given up at its handler or listener: its delivery waits for a person."""

    message_id: str
    type: str
    kind: Kind
    consumer: str
    correlation_id: str
    """The story that it belongs to."""
    attempts: int
    error: str
    """The last one."""


@wire("sagakit.CompensationFailed")
class CompensationFailed(Struct, frozen=True):
    """An undo was given up: its instance waits for a person, with the rest still to undo."""

    process: str
    key: str
    instance: str
    reason: str


@wire("sagakit.ProcessSettled")
class ProcessSettled(Struct, frozen=True):
    """An instance has ended. One that a late success has opened again is settled once more."""

    process: str
    key: str
    instance: str
    status: Status
    cause: Cause
    """Why it was undone; empty if it was not."""
    reason: str


@wire("sagakit.EventUnmatched")
class EventUnmatched(Struct, frozen=True):
    """An event has waited for its instance to start, in vain."""

    process: str
    type: str
    message_id: str
    position: int
    """Where the event stands in the log."""


@wire(ACTED)
class OperatorActed(Struct, frozen=True, kw_only=True):
    """Somebody has taken a hand in it. When, its message says; `details` are for people."""

    action: str
    target: str
    """The id of the instance or delivery, or the name of what is paused."""
    by: str
    reason: str
    command_id: str = ""
    """The step or undo that it is about."""
    type: str = ""
    version: int = 1
    payload: msgspec.Raw = msgspec.Raw(b"{}")
    """The message that was given by hand, if one was."""
    details: dict[str, str] = {}


@wire("sagakit.OperatorAsked")
class OperatorAsked(Struct, frozen=True):
    """An operator's action on what another worker owns: that one carries it out."""

    what: Literal["instance", "delivery", "anew", "pause", "resume"]
    consumer: str
    """Whose partition it is for."""
    target: str
    by: str
    reason: str
    arguments: msgspec.Raw = msgspec.Raw(b"{}")


@wire("sagakit.OperatorAnswered")
class OperatorAnswered(Struct, frozen=True, kw_only=True):
    """What came of an action that another worker was asked for."""

    message_id: str = ""
    """The message that records what was done; empty: nothing was."""
    action: str = ""
    target: str = ""
    status: str = ""
    version: int = 0
    error: str = ""
    """The kind of error that forbids it."""
    text: str = ""
    versions: tuple[int, int] = (0, 0)
    """The version that was expected, and that was found, where that is the error."""


@wire("sagakit.BatchPage")
class BatchPage(Struct, frozen=True):
    """A batch goes on with more of its rows: the engine reads them when it tells its instance this."""

    step: int
    """The ordinal of the batch in its instance."""
    what: Literal["failures", "again", "undo"]
    at: int
    """Rows above this index; of those to be undone below it."""


@wire("sagakit.BatchEnded")
class BatchEnded(Struct, frozen=True, omit_defaults=True):
    """Every item of a batch is settled. This alone is what replays of it."""

    step: int
    done: int
    failed: int
    failures: list[tuple[int, str]] = []
    """The items that failed, by index, and why."""
    undo_failed: int = 0
    """So many of them may have been done, and could not be undone."""
    more: bool = False
    """The rest of the failures comes with another one."""


@wire("sagakit.BatchUndone")
class BatchUndone(Struct, frozen=True, omit_defaults=True):
    """Every item of a batch that may have been done is undone, or cannot be."""

    step: int
    failed: int = 0
    """So many undos were given up."""
    reason: str = ""
    """Why the last one of them was."""


class CarriedOver(Struct, frozen=True):
    """A message that a saga takes over when it goes on anew."""

    type: str
    version: int
    payload: msgspec.Raw


@wire("sagakit.Restarted")
class Restarted(Struct, frozen=True):
    """A saga goes on anew from here: its history before this is not replayed any more."""

    start: CarriedOver
    arrived: list[CarriedOver]
    """Events that came and were not received yet."""
    record: msgspec.Raw
    """How the saga stood: its undos, its deadline, and what it has counted."""
    started_by: str
    """The id of the message that has started the saga as a whole."""


OWN: tuple[type, ...] = (BatchPage, BatchEnded, BatchUndone, Restarted)
"""What an instance tells itself, in a later Commit."""
LIFECYCLE: tuple[type, ...] = (
    CommandFailed,
    CommandLedToNothing,
    HandedOver,
    CancelRequested,
    CancelChild,
    TimerFired,
    DeadlineNear,
    ProcessParked,
    CommandParked,
    CompensationFailed,
    ProcessSettled,
    EventUnmatched,
    OperatorActed,
    OperatorAsked,
    OperatorAnswered,
    *OWN,
)

TOLD: frozenset[type] = frozenset({DeadlineNear, ProcessParked, CommandParked, CompensationFailed, ProcessSettled})
"""Those of them that an app may take, as any event."""

CANCELS: frozenset[type] = frozenset({CancelRequested, CancelChild})
"""What an instance is told when it is to be undone."""

BESIDES: frozenset[type] = CANCELS | {TimerFired, OperatorActed, Restarted}
"""What a saga is told besides the app's messages and what its commands lead to."""


class Failed(Generic[_M]):
    """What a process manager is told of a command that was given up, or that led to no event."""

    __slots__ = ("command", "known_not_done", "reason")
    __match_args__ = ("command", "reason", "known_not_done")
    __struct_fields__: tuple[str, ...] = ("command", "reason", "known_not_done")

    def __init__(self, command: _M, reason: str, known_not_done: bool = False) -> None:
        self.command = command
        self.reason = reason
        self.known_not_done = known_not_done

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Failed) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash((self.reason, self.known_not_done))

    def __repr__(self) -> str:
        return f"Failed({self.command!r}, {self.reason!r}, known_not_done={self.known_not_done})"

    def _values(self) -> tuple[Any, ...]:
        return (self.command, self.reason, self.known_not_done)


class Cancelled(Struct, frozen=True):
    """What a process manager is told when somebody wants its instance undone."""

    reason: str


def add_lifecycle(codecs: Codecs) -> None:
    """Make the engine's own messages known."""
    for cls in LIFECYCLE:
        pin = pinned(cls)
        assert pin is not None
        codecs.add(Codec(cls, *pin))
