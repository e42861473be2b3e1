"""What a scenario is about: an aggregate, or one instance of a process."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from sagakit.core.codec import Codecs
from sagakit.core.commit import Envelope, Item, Status
from sagakit.core.decider import decide, evolve
from sagakit.core.lifecycle import OWN, Cancelled, CancelRequested, CommandFailed, CommandLedToNothing, Restarted
from sagakit.core.process import Definition, Input, Live, Output, Surroundings, Timer
from sagakit.core.process_manager.live import ManagerDefinition
from sagakit.core.queries import ItemQuery
from sagakit.core.saga.live import SagaLive
from sagakit.errors import ProcessBug


class Subject(Protocol):
    """What a scenario needs of its subject."""

    kind: str

    def tell(self, message: Any, now: int, to: type | None) -> list[Any]:
        """What it answers to a message."""
        ...

    def tell_nothing(self, now: int, to: type | None) -> list[Any]:
        """What it answers when its command has led to no event."""
        ...

    def fail(self, reason: str, now: int, to: type | None) -> list[Any]:
        """What it answers when its command is given up."""
        ...

    def pass_until(self, now: int) -> list[Any]:
        """What it answers to the timers that are due by then, one after the other."""
        ...

    def next_timeout(self, of: type | None) -> int | None:
        """When what it waits for times out next (of this type); None if that may take for ever."""
        ...

    def happened(self, event: Any, now: int) -> None:
        """Something that lies behind it when the scenario begins."""
        ...

    def undo_of_last(self) -> Any:
        """What is recorded to undo the last command; None if nothing is."""
        ...

    def standing(self) -> Standing:
        """Where it stands."""
        ...

    def standing_well(self) -> None:
        """Raise the error that it stands still for, if there is one."""
        ...


@dataclass(frozen=True)
class Standing:
    """The status of a process, why, and what it waits for."""

    status: Status
    reason: str
    waiting_for: tuple[str, ...]

    def __str__(self) -> str:
        words = f"{self.status} ({self.reason})" if self.reason else self.status
        return f"{words}, waiting for {', '.join(self.waiting_for)}" if self.waiting_for else words


class AggregateSubject:
    """An aggregate: told commands, it answers events."""

    kind = "aggregate"

    def __init__(self, cls: type[Any], codecs: Codecs) -> None:
        self._codecs = codecs
        self._state = cls()
        self._name = cls.__name__

    def tell(self, message: Any, now: int, to: type | None) -> list[Any]:
        events = [self._sealed(event) for event in decide(self._state, self._sealed(message))]
        self._state = evolve(self._state, events)
        return events

    def pass_until(self, now: int) -> list[Any]:
        return []

    def next_timeout(self, of: type | None) -> int | None:
        raise TypeError(f"{self._name} is an aggregate: it waits for nothing that could time out")

    def happened(self, event: Any, now: int) -> None:
        self._state = evolve(self._state, [self._sealed(event)])

    def tell_nothing(self, now: int, to: type | None) -> list[Any]:
        raise TypeError(f"{self._name} is an aggregate: when() tells it a command")

    def fail(self, reason: str, now: int, to: type | None) -> list[Any]:
        raise TypeError(f"{self._name} is an aggregate: it sends no command that could fail")

    def undo_of_last(self) -> Any:
        raise TypeError(f"{self._name} is an aggregate: undo= is for sagas")

    def standing(self) -> Standing:
        raise TypeError(f"{self._name} is an aggregate: it neither ends nor waits")

    def standing_well(self) -> None:
        """An aggregate never stands still."""

    def _sealed(self, message: Any) -> Any:
        return self._codecs.seal(message)[2]


class ProcessSubject:
    """One instance of a process: told events, it answers commands and events."""

    kind = "process"

    def __init__(self, definition: Definition, around: Surroundings, key: Callable[[Any], str]) -> None:
        self._definition = definition
        self._around = around
        self._key_of = key
        self._live: Live | None = None
        self._bug: ProcessBug | None = None
        self._told = 0
        self._timers: list[Timer] = []
        self._rows: dict[tuple[int, int], Item] = {}
        """Of its batches."""
        self._sent: list[Output] = []
        self._answered: set[str] = set()
        self._then: dict[str, tuple[type, ...] | None] = {}

    # ------------------------------------------------------------------ telling

    def tell(self, message: Any, now: int, to: type | None) -> list[Any]:
        if isinstance(message, Cancelled):
            return self._react(CancelRequested(message.reason), None, now)
        command = self._answered_by(message, to)
        if command is not None:
            self._answered.add(command.id)
        return self._react(message, command.id if command else None, now)

    def happened(self, event: Any, now: int) -> None:
        self.tell(event, now, None)
        self.standing_well()

    def tell_nothing(self, now: int, to: type | None) -> list[Any]:
        command = self._only(to, "has led to nothing")
        raw = msgspec.Raw(command.payload)
        return self._react(CommandLedToNothing(command.id, command.type, command.version, raw), command.id, now)

    def fail(self, reason: str, now: int, to: type | None) -> list[Any]:
        command = self._only(to, "has failed")
        raw = msgspec.Raw(command.payload)
        return self._react(CommandFailed(command.id, command.type, command.version, raw, reason), command.id, now)

    def pass_until(self, now: int) -> list[Any]:
        answers: list[Any] = []
        while due := [timer for timer in self._timers if timer.due_at <= now]:
            timer = min(due, key=lambda one: one.due_at)
            self._timers.remove(timer)
            self.standing_well()
            answers += self._react(timer.message, None, timer.due_at, id=timer.id)
        return answers

    def next_timeout(self, of: type | None) -> int | None:
        record = self._live.record if isinstance(self._live, SagaLive) else None
        name = None if of is None else self._around.codecs.by_class[of].name
        times = [timer for timer in record.timers if timer.kind in ("step", "receive")] if record else []
        return min((timer.due_at for timer in times if name in (None, timer.what)), default=None)

    def _react(self, message: Any, causation: str | None, now: int, *, id: str = "") -> list[Any]:
        self._told += 1
        codec, payload, sealed = self._around.codecs.seal(message)
        id = id or f"message {self._told}"
        envelope = Envelope(id, "event", codec.name, payload, "scenario", now, codec.version, causation)
        if self._live is None:
            self._live = self._definition.start("instance", self._key_of(sealed))
        try:
            given = Input((envelope,), (sealed,))
            given.items = [row for query in self._live.wants(given) for row in self._read(query)]
            reacted = self._live.react(given)
            self._live.snapshot()
        except ProcessBug as bug:
            self._bug = bug
            return []
        self._rows |= {(row.step, row.index): copy(row) for row in reacted.items}
        self._sent += reacted.outputs
        self._answered.update(reacted.withdrawn)
        self._timers = [timer for timer in (*self._timers, *reacted.timers) if timer.id not in reacted.forgotten]
        if isinstance(self._live, SagaLive):
            self._then.update(self._live.in_flight())
        answers: list[Any] = []
        for output in reacted.outputs:
            if isinstance(output.message, (Restarted, *OWN)):  # it tells itself
                answers += self._react(output.message, None, now, id=output.id)
            else:
                answers.append(output.message)
        return answers

    def _read(self, query: ItemQuery) -> list[Item]:
        """Rows of a batch, as a store would read them."""
        down = query.before is not None
        after, before = -1 if query.after is None else query.after, query.before
        found = [
            copy(self._rows[step, index])
            for step, index in sorted(self._rows, reverse=down)
            if step == query.step and (index < before if before is not None else index > after)
        ]
        return [row for row in found if not query.states or row.state in query.states][: query.limit]

    # ------------------------------------------------------------------ which command an event answers

    def _answered_by(self, event: Any, to: type | None) -> Output | None:
        if to is not None:
            return self._only(to, f"is answered by {event!r}")
        waiting = self._waiting()
        expected = [one for one in waiting if type(event) in (self._then.get(one.id) or ())]
        if expected:
            return expected[0]
        if type(event) in self._definition.receives and isinstance(self._live, SagaLive):
            return None
        late = [one for one in self._sent if one not in waiting and type(event) in (self._then.get(one.id) or ())]
        if late:
            return late[-1]
        if isinstance(self._definition, ManagerDefinition) and not self._definition.tracks:
            return waiting[0] if waiting else None
        return self._only(None, f"is answered by {event!r}") if waiting else None

    def _waiting(self) -> list[Output]:
        """Commands without an answer; those that nobody waits for only if there are no others."""
        open_ones = [one for one in self._sent if one.kind == "command" and one.id not in self._answered]
        waited_for = [one for one in open_ones if one.id in self._then or one.undoes is not None]
        return waited_for or open_ones

    def _only(self, to: type | None, what: str) -> Output:
        found = self._waiting()
        if to is not None:
            sent = [one for one in self._sent if type(one.message) is to]
            found = [one for one in found if type(one.message) is to][:1] or sent[-1:]
        if len(found) == 1:
            self._answered.add(found[0].id)
            return found[0]
        if to is not None:
            raise AssertionError(f"no {to.__name__} was sent that {what}")
        names = ", ".join(type(one.message).__name__ for one in found)
        raise AssertionError(
            f"several commands wait for an answer ({names}): say with to= which one {what}"
            if found
            else "no command waits for an answer"
        )

    # ------------------------------------------------------------------ looking

    def undo_of_last(self) -> Any:
        live = self._live
        if not isinstance(live, SagaLive):
            raise TypeError("a process manager records no undo: undo= is for sagas")
        commands = [one.id for one in self._sent if one.kind == "command" and one.undoes is None]
        step = next((one for one in live.record.steps if commands and one.id == commands[-1]), None)
        if step is None or step.undo is None:
            return None
        return self._around.codecs.decode(step.undo.type, step.undo.version, bytes(step.undo.payload))

    def standing(self) -> Standing:
        if self._bug is not None:
            return Standing("parked", str(self._bug), ())
        if self._live is None:
            return Standing("running", "", ("its start",))
        names = tuple(type(one.message).__name__ for one in self._waiting())
        names += tuple(timer.message.what for timer in self._timers)
        return Standing(self._live.status, self._live.reason, names)

    def standing_well(self) -> None:
        """Raise the error that it stands still for, if there is one."""
        if self._bug is not None:
            raise AssertionError(f"it is parked: {self._bug}") from self._bug
