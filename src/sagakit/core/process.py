"""What all ways to write a process share: surroundings, the inputs of a reaction, what it leads to, instances."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol, Self, TypeAlias

from msgspec import Struct

from sagakit.core.codec import Codecs
from sagakit.core.commit import Cause, Envelope, History, Instance, Item, Kind, Status
from sagakit.core.messages import Message, in_seconds
from sagakit.core.queries import ItemQuery


class Input(Struct, gc=False):
    """What an instance reacts to: one event, or the whole outcome of one of its commands, in the log's order."""

    envelopes: tuple[Envelope, ...]
    messages: tuple[Any, ...]
    items: Sequence[Item] = ()
    """The rows of batches that it asked for with `wants`."""

    @property
    def id(self) -> str:
        """The id that the outputs' ids derive from."""
        return self.envelopes[0].id

    @property
    def command_id(self) -> str | None:
        """The command that this is an outcome of, if it is one."""
        first = self.envelopes[0]
        return first.causation_id if first.sender is None else None

    @property
    def now(self) -> int:
        """When it was recorded."""
        return self.envelopes[0].recorded_at


class Output(Struct, gc=False):
    """A message that a reaction leads to, encoded; `message` is what a replay will read."""

    id: str
    kind: Kind
    type: str
    version: int
    payload: bytes
    message: Any
    undoes: str | None = None


class Timer(Struct, gc=False):
    """A message that the instance wants to be told itself at a later time. Its id says what it is for."""

    id: str
    type: str
    version: int
    payload: bytes
    message: Any
    due_at: int


TimerKind: TypeAlias = Literal["sleep", "receive", "step", "deadline", "warning", "reminder"]


class PendingTimer(Struct, frozen=True, omit_defaults=True):
    """A time that an instance waits for, as its state keeps it."""

    id: str
    """Its message id: the firing input has it."""
    due_at: int
    kind: TimerKind
    what: str = ""
    """What it is a time for: the wire name of the event or command, or the name of the reminder."""
    after: int = 0
    """How long it is, in microseconds."""


def words_of(timer: PendingTimer) -> str:
    """What a timer is for, in words."""
    after = in_seconds(timer.after)
    match timer.kind:
        case "sleep":
            return f"sleep of {after}"
        case "receive" | "step":
            return f"timeout of {after} on {timer.what}"
        case "reminder":
            return f"reminder {timer.what}"
        case "deadline":
            return f"deadline of {after}"
        case "warning":
            return f"warning after {after} of a deadline that comes"


Outcome: TypeAlias = Literal["succeeded", "refused", "unknown", "undone", "undo_failed"]


class Verdict(NamedTuple):
    """How a command of an instance came out, for those who count."""

    command: str
    """The wire name."""
    outcome: Outcome
    took: int
    """Microseconds from when it was sent to its outcome, both as recorded; -1 where that is not known."""


class Reacted(Struct, gc=False):
    """What a reaction leads to: messages to send now and later, and what is given up."""

    outputs: list[Output] = []
    withdrawn: list[str] = []
    """The ids of commands that are given up."""
    again: list[str] = []
    """The ids of parked commands that a person wants to be tried again."""
    answers: list[Output] = []
    """The last outputs, where they are what the process ends with: the outcome of the command that started it."""
    timers: list[Timer] = []
    forgotten: list[str] = []
    """The ids of timers that are not wanted any more; one that has fired already is no error."""
    items: list[Item] = []
    """Rows of a batch that are new or have changed; `instance` is left empty, the engine fills it in."""
    verdicts: list[Verdict] = []
    """How steps and undos came out that were settled."""
    recorded: bool = True
    """False: no reaction of its own in the history. What comes of an item of a batch stands in its row."""

    def forget(self, id: str) -> None:
        """A timer is not wanted any more."""
        if any(timer.id == id for timer in self.timers):  # set in this very reaction
            self.timers = [timer for timer in self.timers if timer.id != id]
        else:
            self.forgotten.append(id)


class Log(Protocol):
    """A logger of events with named values, as structlog's are."""

    def bind(self, **new_values: Any) -> Self: ...
    def debug(self, event: str, *args: Any, **kw: Any) -> Any: ...
    def info(self, event: str, *args: Any, **kw: Any) -> Any: ...
    def warning(self, event: str, *args: Any, **kw: Any) -> Any: ...
    def error(self, event: str, *args: Any, **kw: Any) -> Any: ...
    def critical(self, event: str, *args: Any, **kw: Any) -> Any: ...
    def exception(self, event: str, *args: Any, **kw: Any) -> Any: ...


class Surroundings(Struct):
    """The messages that a process may send, and where it logs."""

    codecs: Codecs
    outcomes: Mapping[type, frozenset[type]]
    """The commands that somebody handles, with their declared outcomes."""
    logger: Callable[[str, str], Log]
    """The logger of an instance, by process and key; for the process "" one that says nothing."""
    open: bool = False
    """Nobody knows who handles what: any message may be a command, and any event an outcome of it."""
    children: Mapping[type, Callable[[Any], str | None]] = {}
    """The commands that start a process, with the lane of the instance that a command starts (None: of none)."""

    def handled(self, cls: type) -> bool:
        """Whether this is a command that somebody handles."""
        return cls in self.outcomes or self.open

    def declared(self, command: type, event: type) -> bool:
        """Whether a command says that it may lead to this event."""
        return self.open or event in self.outcomes.get(command, ())

    def child(self, command: Any) -> str:
        """The lane of the instance that a command starts; "" if it starts none."""
        lane = self.children.get(command.__class__)
        try:
            return "" if lane is None else lane(command) or ""
        except Exception:  # the user's key: such a command starts nothing, and its delivery says why
            return ""


class Live(Protocol):
    """One instance in memory. Not safe to use again after an error: load it anew."""

    @property
    def status(self) -> Status: ...
    @property
    def id(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def cause(self) -> Cause: ...
    @property
    def reason(self) -> str:
        """Why it is undone, or why its compensation failed."""
        ...

    @property
    def contradiction(self) -> str | None:
        """Where its code contradicts its record, in words: it parks as soon as its code is needed."""
        ...

    def wants(self, given: Input) -> Sequence[ItemQuery]:
        """The rows of batches that this input has to bring along. Asked before each reaction."""
        ...

    def react(self, given: Input) -> Reacted:
        """Handle one input. Raises ProcessBug if the code of the process cannot go on."""
        ...

    def snapshot(self) -> bytes:
        """The state to be stored, as JSON. Raises ProcessBug if it does not fit its class."""
        ...

    def undos(self) -> Sequence[str]:
        """The wire names of the undos that are out or still to be sent."""
        ...

    def evict(self) -> None:
        """Let go of what it holds; it is not used again."""
        ...


class Definition(Protocol):
    """A process as its author wrote it, in one of the ways."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def starts_with(self) -> tuple[type[Message], ...]: ...
    @property
    def receives(self) -> tuple[type[Message], ...]:
        """The message types that instances take by key, without the ones that start them."""
        ...

    @property
    def replays(self) -> bool:
        """Whether a live instance is brought back by its history, not by its snapshot alone."""
        ...

    def since(self, row: Instance) -> int:
        """The row version after which its history is replayed; 0 for all of it."""
        ...

    def start(self, id: str, key: str) -> Live: ...
    def retell(self, id: str, key: str) -> Live:
        """A new instance that is run through a known history: it does not log."""
        ...

    def revive(self, row: Instance, history: Sequence[tuple[Input, History]]) -> Live: ...
