"""Drives one instance of a process by hand, as an engine would: inputs in, outputs kept, rows and history stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

import msgspec
from tests.core import messages
from tests.core.messages import OUTCOMES, START, Start

from sagakit.core.codec import Codec, Codecs
from sagakit.core.commit import Envelope, History, Instance, Item
from sagakit.core.lifecycle import (
    OWN,
    CancelRequested,
    CommandFailed,
    CommandLedToNothing,
    OperatorActed,
    add_lifecycle,
)
from sagakit.core.process import Definition, Input, Live, Output, Reacted, Surroundings, Timer
from sagakit.core.queries import ItemQuery
from sagakit.core.saga.code_saga import SagaDefinition
from sagakit.core.saga.compensation import SagaRecord, Step
from sagakit.core.saga.live import SagaLive
from sagakit.core.saga.timing.deadline import Deadline
from sagakit.core.streams import instance_id

MICROSECOND = 1
BEGIN = 1_700_000_000_000_000

logged: list[tuple[str, str, dict[str, Any]]] = []
"""What instances have logged: event, process, values."""


def codecs_of(*classes: type) -> Codecs:
    codecs = Codecs()
    add_lifecycle(codecs)
    for cls in (*messages.ALL, *classes):
        codecs.add(Codec(cls, f"t.{cls.__qualname__}", 1))
    return codecs


class Log:
    """A logger that keeps what it is told."""

    def __init__(self, process: str) -> None:
        self.process = process

    def bind(self, **values: Any) -> Log:
        return self

    def info(self, event: str, **values: Any) -> None:
        if self.process:
            logged.append((event, self.process, values))

    warning = error = info


def surroundings() -> Surroundings:
    return Surroundings(codecs_of(), OUTCOMES, lambda process, key: Log(process))  # type: ignore[arg-type,return-value]


AROUND = surroundings()


def saga(
    code: Callable[..., Any],
    *,
    receives: tuple[type, ...] = (messages.Paid, messages.Shipped),
    deadline: Deadline | None = None,
) -> SagaDefinition:
    return SagaDefinition("test", code, AROUND, starts_with=(Start,), receives=receives, deadline=deadline, version=1)


class Driver:
    """One instance, and everything that it was told and has sent."""

    def __init__(self, definition: Definition | Callable[..., Any], *, key: str = "k") -> None:
        self.definition: Definition = definition if hasattr(definition, "revive") else saga(definition)  # type: ignore[arg-type,assignment]
        self.id = instance_id(self.definition.name, key)
        self.key = key
        self.live: Live = self.definition.start(self.id, key)
        self.history: list[History] = []
        self.row = Instance(self.id, self.definition.name, key, 1, 0, "running", b"{}")
        self.rows: list[Instance] = []
        """After each reaction."""
        self.given_up: list[list[str]] = []
        """The commands that each reaction gave up."""
        self.ordinals: dict[str, int] = {}
        """Of the steps with an undo, by the id of the command; of what was registered, by the id of its undo."""
        self.sent: list[Output] = []
        self.withdrawn: list[str] = []
        self.again: list[str] = []
        """Parked commands that were to be tried again."""
        self.answered: set[str] = set()
        self.timers: dict[str, Timer] = {}
        """Those that wait to fire, by id."""
        self.set: list[Timer] = []
        """All that were ever set."""
        self.forgotten: list[str] = []
        self.times: list[tuple[list[Timer], list[str]]] = []
        """The timers that each reaction set and forgot."""
        self.count = 0
        self.now = BEGIN
        self.items: dict[tuple[int, int], Item] = {}
        """The rows of its batches."""
        self.own: list[Envelope] = []
        """What it has told itself, and is still to be told."""
        self.most_read = 0
        """The most rows that came with one input."""

    # ------------------------------------------------------------------ what it is told

    def start(self, message: Any = START) -> Reacted:
        return self.react(self.envelope(message))

    def event(self, message: Any, *, causation: str | None = None) -> Reacted:
        return self.react(self.envelope(message, causation))

    def answer(self, command: Output, *events: Any) -> Reacted:
        """The whole outcome of a command; without events, it led to none."""
        self.answered.add(command.id)
        if not events:
            raw = msgspec.Raw(command.payload)
            events = (CommandLedToNothing(command.id, command.type, command.version, raw),)
        return self.react(*(self.envelope(event, command.id) for event in events))

    def fail(self, command: Output, reason: str = "broken", *, known_not_done: bool = False) -> Reacted:
        """The command is given up with an error."""
        raw = msgspec.Raw(command.payload)
        failed = CommandFailed(command.id, command.type, command.version, raw, reason, known_not_done)
        self.answered.add(command.id)
        return self.react(self.envelope(failed, command.id))

    def cancel(self, reason: str = "cancelled by hand") -> Reacted:
        return self.react(self.envelope(CancelRequested(reason)))

    def act(self, action: str, message: Any = None, **fields: Any) -> Reacted:
        """Somebody takes a hand in it; `message` is what was given by hand."""
        if message is not None:
            codec, payload, _ = AROUND.codecs.seal(message)
            fields |= {"type": codec.name, "version": codec.version, "payload": msgspec.Raw(payload)}
        acted = OperatorActed(action=action, target=self.id, by="ada", reason="by an operator", **fields)
        return self.react(self.envelope(acted, fields.get("command_id")))

    def fire(self, timer: Timer | None = None, *, late: int = 0) -> Reacted:
        """A timer fires (the next one that is due): at its time, or so many microseconds later."""
        timer = timer or self.next
        self.timers.pop(timer.id, None)
        self.now = max(self.now, timer.due_at + late - MICROSECOND)
        return self.react(self.envelope(timer.message, id=timer.id))

    @property
    def next(self) -> Timer:
        """The timer that is due first."""
        return min(self.timers.values(), key=lambda timer: timer.due_at)

    def envelope(self, message: Any, causation: str | None = None, *, id: str = "") -> Envelope:
        self.count += 1
        self.now += MICROSECOND
        codec, payload, sealed = AROUND.codecs.seal(message)
        return Envelope(
            id or f"m{self.count}",
            "event",
            codec.name,
            payload,
            "story",
            self.now,
            causation_id=causation,
            message=sealed,
        )

    def react(self, *envelopes: Envelope) -> Reacted:
        given = Input(envelopes, tuple(envelope.message for envelope in envelopes))
        given.items = [row for query in self.live.wants(given) for row in self.read_items(query)]
        self.most_read = max(self.most_read, len(given.items))
        reacted = self.live.react(given)
        outputs = tuple(
            Envelope(
                output.id,
                output.kind,
                output.type,
                output.payload,
                "story",
                envelopes[0].recorded_at,
                causation_id=envelopes[0].id,
                sender=self.id if output.kind == "command" else None,
                undoes=output.undoes,
                message=output.message,
            )
            for output in reacted.outputs
        )
        row = self.row = Instance(self.id, self.row.type, self.key, 1, self.row.version + 1, self.live.status, b"")
        row.state = self.live.snapshot()
        if reacted.recorded:
            self.history.append(History(row.version, envelopes, outputs))
        for item in reacted.items:
            self.items[item.step, item.index] = copy(item)
        self.own += [envelope for envelope in outputs if type(envelope.message) in OWN]
        self.rows.append(row)
        self.given_up.append(reacted.withdrawn)
        self._note_steps()
        self.sent += reacted.outputs
        self.withdrawn += reacted.withdrawn
        self.again += reacted.again
        self.forgotten += reacted.forgotten
        self.times.append((reacted.timers, reacted.forgotten))
        self.set += reacted.timers
        self.timers |= {timer.id: timer for timer in reacted.timers}
        for id in reacted.forgotten:
            self.timers.pop(id, None)
        return reacted

    def read_items(self, query: ItemQuery) -> list[Item]:
        wanted = [
            copy(item)
            for (step, index), item in sorted(self.items.items(), reverse=query.before is not None)
            if step == query.step
            and (not query.states or item.state in query.states)
            and (query.after is None or index > query.after)
            and (query.before is None or index < query.before)
        ]
        return wanted[: query.limit]

    def tell_own(self) -> None:
        """Tell it what it has told itself."""
        while self.own:
            self.react(self.own.pop(0))

    def _note_steps(self) -> None:
        if isinstance(self.live, SagaLive):
            for step in self.live.record.steps:
                if step.undo is not None:
                    self.ordinals[step.id or step.undo_id] = step.ordinal

    # ------------------------------------------------------------------ what it has sent

    def pending(self) -> list[Output]:
        """Commands without an answer that nobody has given up, oldest first."""
        gone = self.answered.union(self.withdrawn)
        return [output for output in self.sent if output.kind == "command" and output.id not in gone]

    def waiting(self, cls: type) -> Output:
        """The one pending command of this type."""
        (found,) = (output for output in self.pending() if type(output.message) is cls)
        return found

    def last(self, cls: type) -> Output:
        """The last message of this type."""
        return next(output for output in reversed(self.sent) if type(output.message) is cls)

    @property
    def types(self) -> list[str]:
        """The types of everything sent."""
        return [type(output.message).__name__ for output in self.sent]

    @property
    def record(self) -> SagaRecord:
        assert isinstance(self.live, SagaLive)
        return self.live.record

    def step(self, cls: type) -> Step | None:
        """The step of the last command of this type, if anything of it is left."""
        name = AROUND.codecs.by_class[cls].name
        return next((step for step in reversed(self.record.steps) if step.type == name), None)

    # ------------------------------------------------------------------ coming back

    def revived(self, definition: Definition | Callable[..., Any] | None = None, *, status: str = "") -> Driver:
        """The same instance, loaded by another engine from what is stored, perhaps with other code."""
        new = Driver(definition or self.definition, key=self.key)
        new.row = msgspec.structs.replace(self.row, status=status or self.row.status)
        new.live = new.definition.revive(new.row, stored(self.history) if new.definition.replays else [])
        new.history, new.sent, new.withdrawn = list(self.history), list(self.sent), list(self.withdrawn)
        new.answered, new.count, new.now = set(self.answered), self.count, self.now
        new.times = list(self.times)
        new.timers, new.set, new.forgotten = dict(self.timers), list(self.set), list(self.forgotten)
        new.items, new.own = {key: copy(item) for key, item in self.items.items()}, list(self.own)
        new.rows, new.given_up, new.ordinals = list(self.rows), list(self.given_up), dict(self.ordinals)
        return new


def stored(history: Sequence[History]) -> list[tuple[Input, History]]:
    """A history as it is read back: nothing is decoded yet."""
    found: list[tuple[Input, History]] = []
    for entry in history:
        inputs = tuple(msgspec.structs.replace(envelope, message=decoded(envelope)) for envelope in entry.inputs)
        outputs = tuple(msgspec.structs.replace(envelope, message=None) for envelope in entry.outputs)
        given = Input(inputs, tuple(envelope.message for envelope in inputs))
        found.append((given, History(entry.version, inputs, outputs)))
    return found


def decoded(envelope: Envelope) -> Any:
    return AROUND.codecs.decode(envelope.type, envelope.version, envelope.payload)
