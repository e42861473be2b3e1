"""The steps of a saga and their undos: recorded at the send, made exact, run one by one in LIFO order."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

import msgspec
from msgspec import Struct

from sagakit.core.commit import Cause, Status
from sagakit.core.lifecycle import CancelChild
from sagakit.core.messages import WIRE, Message
from sagakit.core.process import Input, PendingTimer, Surroundings
from sagakit.core.saga.batch import Batch
from sagakit.errors import UnknownMessage

StepState: TypeAlias = Literal["sent", "succeeded", "refused", "unknown", "undoing", "undone", "undo_failed"]

OWED: frozenset[StepState] = frozenset({"succeeded", "unknown"})
"""States of steps whose undo is still to be sent."""
OUTSTANDING = OWED | {"undoing"}
CANCEL_CHILD: str = getattr(CancelChild, WIRE)[0]

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
    """Why the undo could not be built anew, or why it was given up."""
    undo_changed: bool = False
    """The undo was made exact after it was given up: it goes out anew, not as it was."""
    batch: bool = False
    """It is a whole batch: its items are undone one by one. `type` is the wire name of the first one's command."""
    child: str = ""
    """The lane of the instance that its command starts, until the end of that is known; else ""."""
    then: tuple[str, ...] | None = ()
    """What counts as success, kept from when the step is given up until its outcome is known after all; else ()."""


class SagaRecord(Struct, omit_defaults=True):
    """The stored state of a saga: enough to undo it even when its code can no longer run."""

    steps: list[Step] = []
    sent: int = 0
    undoing: bool = False
    """Its code is closed: only its undos go on."""
    timers: list[PendingTimer] = []
    since: int = 0
    """The row version at which it went on anew: what came before is not replayed."""
    restarts: int = 0
    unrecorded: int = 0
    """Reactions since then that the history does not have: those to items of batches."""
    receiving: list[str] = []
    """The wire names of the events that its code waits for."""
    cause: Cause = ""
    reason: str = ""
    ended: Status | Literal[""] = ""
    """The end that it had come to before the undo of a late success was given up."""
    bug: str = ""
    """What went wrong while its code was closed."""
    batches: list[Batch] = []


class Undoers:
    """The undo functions of the steps that the running code still knows, by ordinal. Gone after an eviction."""

    __slots__ = ("_around", "_known")

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._known: dict[int, tuple[Callable[[Any], Message], UndoFacts]] = {}

    def __contains__(self, step: Step) -> bool:
        return step.ordinal in self._known

    def learn(self, step: Step, undo: Undoer) -> None:
        """A step is being sent: record its undo, built with nothing known. Raises what an undo function raises."""
        if isinstance(undo, type):
            raise TypeError(f"{undo.__name__} is a class: give a command, or a function that makes one")
        if callable(undo):
            nothing = UndoFacts()
            self._known[step.ordinal] = (undo, nothing)
            undo = undo(nothing)
        self._record(step, undo)

    def make_exact(self, step: Step, *, outcome: Message | None = None, reason: str = "") -> None:
        """Build the undo again from what is known now. The last one that could be built stands."""
        known = self._known.get(step.ordinal)
        if known is None:
            return
        undo, before = known
        facts = UndoFacts(before.outcome if outcome is None else outcome, reason or before.reason)
        self._known[step.ordinal] = (undo, facts)
        try:
            self._record(step, undo(facts))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # the user's function: any error leaves the undo that stands
            step.undo_error = f"{type(error).__name__}: {error}"

    def clear(self) -> None:
        """The code that they came from contradicts the record."""
        self._known.clear()

    def _record(self, step: Step, command: Message) -> None:
        codec, payload, _ = self._around.codecs.seal(command)
        if not self._around.handled(codec.cls):
            raise UnknownMessage(f"nobody handles the command {codec.name}")
        step.undo = Recorded(codec.name, codec.version, msgspec.Raw(payload))
        step.undo_error = ""


class Sender(Protocol):
    """What the compensation needs of the saga that it belongs to."""

    def resend(self, recorded: Recorded, undoes: str) -> str:
        """Send a recorded undo of that command; its message id."""
        ...

    def withdraw(self, command_id: str) -> None:
        """Give a command up."""
        ...

    def again(self, command_id: str) -> None:
        """Try a parked command again."""
        ...


class WholeBatches(Protocol):
    """The steps that are batches."""

    def give_up(self, step: Step, reason: str) -> None:
        """Wait no more for its items."""
        ...

    def undo(self, step: Step, reason: str) -> None:
        """Undo its items."""
        ...

    def undo_of(self, step: Step) -> str:
        """The wire name of what undoes its items; "": nothing does."""
        ...

    def abandon(self, step: Step) -> None:
        """Nothing of it goes on."""
        ...

    def run_again(self, step: int) -> None:
        """Send its failed items again."""
        ...

    def undo_dropped(self, given: Input) -> None:
        """A person has taken the undo of an item away."""
        ...


class Compensation:
    """The stack of a saga: which steps are still to be undone, and which undo is out."""

    __slots__ = ("_around", "_by_id", "_sender", "batches", "record", "undoers")

    batches: WholeBatches

    def __init__(self, around: Surroundings, sender: Sender) -> None:
        self.record = SagaRecord()
        self.undoers = Undoers(around)
        self._around = around
        self._sender = sender
        self._by_id: dict[str, Step] = {}

    def of(self, command_id: str) -> Step | None:
        """The step whose command, or whose newest undo, has this id."""
        return self._by_id.get(command_id)

    def restore(self, record: SagaRecord) -> None:
        """Take what is stored."""
        self.record = record
        self._by_id = {id: step for step in record.steps for id in (step.id, step.undo_id) if id}

    def begin(self, id: str, type: str, undo: Undoer | None, child: str = "") -> Step:
        """A step is sent. Raises what its undo function raises: then nothing is recorded."""
        record = self.record
        step = Step(record.sent + 1, id, type, child=child)
        if undo is not None:
            self.undoers.learn(step, undo)
        record.sent += 1
        record.steps.append(step)
        if id:
            self._by_id[id] = step
        return step

    def succeeded(self, step: Step, outcome: Message | None) -> None:
        """Its success is known: make the undo exact, or forget a step that has none."""
        step.state = "succeeded"
        if step.undo is None and not step.batch:
            self._drop(step)
        else:
            self.undoers.make_exact(step, outcome=outcome)

    def refused(self, step: Step) -> None:
        """Known not done: nothing to undo."""
        self._drop(step)

    def unknown(self, step: Step, then: tuple[str, ...] | None) -> None:
        """It may have been done. `then`: what a late success would look like."""
        step.state = "unknown"
        step.then = then
        if not self.owes(step):
            self._drop(step)

    def owes(self, step: Step) -> bool:
        """Whether there is something to send if it is undone: an undo, or the cancel of a child that may run."""
        return step.undo is not None or step.child != "" or (step.batch and self.batches.undo_of(step) != "")

    def undo(self, step: Step, reason: str = "") -> None:
        """Undo this one step now, whatever else is out."""
        self.undoers.make_exact(step, reason=reason)
        self._send(step, reason)

    def make_exact(self, reason: str) -> None:
        """Undoing begins: build every undo again, with its reason."""
        for step in self.record.steps:
            if step.state in OWED:
                self.undoers.make_exact(step, reason=reason)

    def undo_next(self, among: Collection[int] | None = None) -> bool:
        """Send the undo of the step sent last, unless one is out. False if none is out and none is left.

        `among`: only the steps of these ordinals.
        """
        steps = self.record.steps
        if any(step.state == "undoing" for step in steps):
            return True
        for step in reversed(steps):
            if step.state in OWED and (among is None or step.ordinal in among):
                self._send(step, self.record.reason)
                return True
        return False

    def outstanding(self) -> frozenset[int]:
        """The ordinals of the steps whose undo is out or still to be sent."""
        return frozenset(step.ordinal for step in self.record.steps if step.state in OUTSTANDING)

    def answered(self, step: Step) -> None:
        """Its undo is done."""
        step.state, step.child = "undone", ""

    def failed(self, step: Step, reason: str) -> None:
        """Its undo was given up."""
        step.state = "undo_failed"
        step.undo_error = reason
        codec = None if step.undo is None else self._around.codecs.by_name.get(step.undo.type)
        if codec is not None and codec.cls in self._around.children:
            step.undo_changed = True  # it was a process, which has ended: no delivery of it is left to be tried again

    def undo_again(self, step: Step) -> None:
        """A person wants an undo that was given up to be tried again: under the same id, unless it is another now."""
        step.undo_error = ""
        if step.batch:
            self._send(step, self.record.reason)
        elif step.undo_changed or not step.undo_id:
            self._sender.withdraw(step.undo_id)
            step.undo_changed = False
            self._send(step, self.record.reason)
        else:
            self._sender.again(step.undo_id)
            step.state = "undoing"

    def undo_edited(self, step: Step, undo: Recorded, undo_id: str) -> None:
        """A person has put another undo in the place of one that was given up."""
        self._by_id.pop(step.undo_id, None)
        step.undo, step.undo_id, step.undo_error, step.undo_changed = undo, undo_id, "", False
        step.state = "undoing"
        self._by_id[undo_id] = step

    def late_success(self, step: Step, outcome: Message | None, *, hold: bool) -> None:
        """A step that was given up was done after all: undo it (once more), under a new id.

        `hold`: nothing may go out now; it is undone again in its turn.
        """
        step.then = ()
        before = step.undo
        self.undoers.make_exact(step, outcome=outcome)
        step.undo_changed = step.state == "undo_failed" and (step.undo_changed or step.undo != before)
        if step.state == "undoing":
            self._sender.withdraw(step.undo_id)
        if step.state in ("undoing", "undone") and not hold:
            self._send(step, self.record.reason)
        elif step.state != "undo_failed":
            step.state = "succeeded"

    def late_refusal(self, step: Step) -> None:
        """A step that was given up was not done: drop its undo, unless that went out already."""
        step.then = ()
        if step.state == "unknown":
            self.refused(step)

    def late_end(self, step: Step, *, hold: bool) -> None:
        """The child of a step that was given up has ended, and what it left behind is not known: undo that."""
        if step.state == "undoing":
            step.state = "unknown"
            if not hold:
                self._send(step, self.record.reason)

    def forget(self) -> None:
        """The saga is completed: what stands is not undone any more."""
        self.record.steps = [step for step in self.record.steps if step.state not in OWED]

    def undos(self) -> list[str]:
        """The wire names of the undos that are out or still to be sent."""
        left = [step for step in self.record.steps if step.state in OUTSTANDING or step.state == "undo_failed"]
        names = [self.batches.undo_of(step) if step.batch else step.undo and step.undo.type for step in left]
        return [name for name in names if name]

    def _send(self, step: Step, reason: str) -> None:
        if step.batch:
            step.state = "undoing"
            self.batches.undo(step, reason)
            return
        undo = cancel_of(step.id, step.child, reason) if step.child else step.undo
        assert undo is not None
        self._by_id.pop(step.undo_id, None)
        step.undo_id = self._sender.resend(undo, step.id)
        self._by_id[step.undo_id] = step
        step.state = "undoing"

    def _drop(self, step: Step) -> None:
        steps = self.record.steps
        if steps[-1] is step:
            steps.pop()
        else:
            steps.remove(step)
        self._by_id.pop(step.id, None)


def cancel_of(command_id: str, child: str, reason: str) -> Recorded:
    """What undoes a command whose child has not ended."""
    cancel = CancelChild(command_id, child, reason)
    return Recorded(CANCEL_CHILD, 1, msgspec.Raw(msgspec.json.encode(cancel)))
