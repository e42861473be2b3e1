"""The steps of a saga and their undos: recorded at the send, made exact, run one by one in LIFO order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol, TypeAlias, TypeVar, cast

import msgspec
from msgspec import Struct

from sagakit.core.codec import Codecs
from sagakit.core.commit import Cause
from sagakit.core.messages import Message

StepState: TypeAlias = Literal["sent", "succeeded", "refused", "unknown", "undoing", "undone", "undo_failed"]

_T_co = TypeVar("_T_co", covariant=True)


class Undo(Protocol[_T_co]):
    """What an undo function is given: the success event, or None if none is known, and why it is undone."""

    @property
    def outcome(self) -> _T_co | None: ...
    @property
    def reason(self) -> str: ...


class UndoFacts(Struct, frozen=True):
    """What is known when an undo is built."""

    outcome: Any = None
    reason: str = ""


Undoer: TypeAlias = Message | Callable[[Any], Message]


class Recorded(Struct, frozen=True, gc=False):
    """A command as it was recorded."""

    type: str
    version: int
    payload: msgspec.Raw


class Step(Struct, omit_defaults=True):
    """One step, from its send to the end of its undo."""

    ordinal: int
    id: str
    """The command's message id; "" for what the saga itself registered with on_undo."""
    type: str
    """The command's wire name."""
    state: StepState = "sent"
    undo: Recorded | None = None
    undo_id: str = ""
    undo_error: str = ""
    then: tuple[str, ...] | None = ()
    """What counts as success, kept once the step is given up: a late one is undone once more."""


class Undoers:
    """The undo functions of the steps that the running code still knows, by ordinal. Gone after an eviction."""

    def __init__(self, codecs: Codecs) -> None:
        self._codecs = codecs
        self._known: dict[int, tuple[Undoer, Message | None]] = {}

    def learn(self, step: Step, undo: Undoer) -> None:
        """A step is being sent: record its undo, built with nothing known. Raises what an undo function raises."""
        if callable(undo):
            self._known[step.ordinal] = (undo, None)
            undo = undo(UndoFacts())
        self._record(step, undo)

    def make_exact(self, step: Step, *, outcome: Message | None = None, reason: str = "") -> None:
        """Build the undo again from what is known now. The last one that could be built stands."""
        if step.ordinal not in self._known:
            return
        undo, known = self._known[step.ordinal]
        outcome = outcome or known
        self._known[step.ordinal] = (undo, outcome)
        try:
            self._record(step, cast(Any, undo)(UndoFacts(outcome, reason)))
        except Exception as error:  # the user's function: any error leaves the undo that stands
            step.undo_error = f"{type(error).__name__}: {error}"

    def _record(self, step: Step, command: Message) -> None:
        codec, payload, _ = self._codecs.seal(command)
        step.undo = Recorded(codec.name, codec.version, msgspec.Raw(payload))
        step.undo_error = ""


class SagaRecord(Struct, omit_defaults=True):
    """The stored state of a saga: enough to undo it even when its code can no longer run."""

    steps: list[Step] = []
    sent: int = 0
    undoing: bool = False
    cause: Cause = ""
    reason: str = ""


class Sender(Protocol):
    """What the compensation needs of the saga that it belongs to."""

    def resend(self, recorded: Recorded, undoes: str) -> str:
        """Send a recorded undo of that command; its message id."""
        ...

    def give_up_undo(self, command_id: str) -> None:
        """This undo is replaced by another: it need not be delivered any more."""
        ...


class Compensation:
    """The stack of a saga: which steps are still to be undone, and which undo is out."""

    def __init__(self, codecs: Codecs, sender: Sender) -> None:
        self.record = SagaRecord()
        self._undoers = Undoers(codecs)
        self._sender = sender
        self._repairs: dict[int, tuple[object, Callable[[], None]]] = {}

    def of(self, command_id: str) -> Step | None:
        """The step whose command, or whose newest undo, has this id."""
        return next((step for step in self.record.steps if command_id in (step.id, step.undo_id)), None)

    def begin(self, id: str, type: str, undo: Undoer | None) -> Step:
        """A step is sent. Raises what its undo function raises: then nothing is recorded."""
        step = Step(self.record.sent + 1, id, type)
        if undo is not None:
            self._undoers.learn(step, undo)
        self.record.sent += 1
        self.record.steps.append(step)
        return step

    def succeeded(self, step: Step, outcome: Message | None) -> None:
        """Its success is known: make the undo exact, or forget a step that has none."""
        step.state = "succeeded"
        if step.undo is None:
            self.record.steps.remove(step)
        else:
            self._undoers.make_exact(step, outcome=outcome)

    def refused(self, step: Step) -> None:
        """Known not done: nothing to undo."""
        step.state = "refused"
        self.record.steps.remove(step)

    def unknown(self, step: Step, then: tuple[str, ...] | None) -> None:
        """It may have been done. `then`: what a late success would look like."""
        step.state = "unknown"
        step.then = then
        if step.undo is None:
            self.record.steps.remove(step)

    def repair(self, step: Step, owner: object, then: Callable[[], None], reason: str) -> bool:
        """Undo this one step now, and go on with `then` after that. False if it has no undo."""
        if step.undo is None:
            return False
        self._undoers.make_exact(step, reason=reason)
        self._repairs[step.ordinal] = (owner, then)
        self._send(step)
        return True

    def hand_over(self, owner: object, then: Callable[[], None]) -> bool:
        """Whoever waits for a repair no longer does: go on with `then` instead. False if there is none."""
        for ordinal, (waiting, _) in self._repairs.items():
            if waiting is owner:
                self._repairs[ordinal] = (None, then)
                return True
        return False

    def forget_repairs(self) -> None:
        """No code waits for a single undo any more."""
        self._repairs.clear()

    def answered(self, step: Step) -> Callable[[], None] | None:
        """The undo of a step is done; what waited for just this one."""
        step.state = "undone"
        _, then = self._repairs.pop(step.ordinal, (None, None))
        return then

    def make_exact(self, reason: str) -> None:
        """Undoing begins: build every undo again, with its reason."""
        for step in self.record.steps:
            if step.state in ("succeeded", "unknown"):
                self._undoers.make_exact(step, reason=reason)

    def undo_next(self) -> bool:
        """Send the undo of the step sent last, unless one is out. False if none is out and none is left."""
        if any(step.state == "undoing" for step in self.record.steps):
            return True
        for step in reversed(self.record.steps):
            if step.state in ("succeeded", "unknown") and step.undo is not None:
                self._send(step)
                return True
        return False

    def late_success(self, step: Step, outcome: Message) -> None:
        """A step that was given up was done after all: undo it (once more), under a new id."""
        self._undoers.make_exact(step, outcome=outcome)
        if step.state == "undoing":
            self._sender.give_up_undo(step.undo_id)
        if step.state in ("undoing", "undone"):
            self._send(step)

    def _send(self, step: Step) -> None:
        assert step.undo is not None
        step.undo_id = self._sender.resend(step.undo, step.id)
        step.state = "undoing"
