"""What one reaction of a saga writes: messages with derived ids, and commands that are given up."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from sagakit.core.commit import Envelope, Kind
from sagakit.core.lifecycle import TimerFired
from sagakit.core.messages import Message, derived_id, stable_id
from sagakit.core.process import (
    Input,
    Outcome,
    Output,
    PendingTimer,
    Reacted,
    Surroundings,
    Timer,
    TimerKind,
    Verdict,
    words_of,
)
from sagakit.core.saga.compensation import Recorded
from sagakit.errors import ProcessBug, UnknownMessage

_NOTHING = Reacted()
"""Between two reactions nothing is written."""


class Writing:
    """The outputs of the reaction that is under way, and all that the instance has sent while in memory."""

    __slots__ = (
        "_around",
        "_cause",
        "_codecs",
        "_instance",
        "_item",
        "_item_names",
        "_names",
        "_run",
        "_timers",
        "commands",
        "first",
        "now",
        "reacted",
    )

    def __init__(self, around: Surroundings, instance: str) -> None:
        self._around, self._codecs = around, around.codecs
        self._instance = instance
        self._names: dict[str, int] = {}
        self._run = 0
        self._cause = ""
        """The id of what it reacts to."""
        self.now = 0
        """When what it reacts to was recorded."""
        self.first: Envelope | None = None
        """What it reacts to, while it does."""
        self.reacted = Reacted()
        self._timers = 0
        self.commands: set[str] = set()
        """The ids of all commands that were sent: their outcomes are no events by key."""
        self._item = ""
        """The item of a batch whose command is being built."""
        self._item_names: dict[str, int] = {}

    def begin(self, given: Input) -> Reacted:
        """A reaction begins."""
        self.first = first = given.envelopes[0]
        self._cause, self.now, self._timers = first.id, first.recorded_at, 0
        self.reacted = reacted = Reacted()
        return reacted

    def end(self) -> None:
        """The reaction is over: what it wrote is the engine's, and not kept here while the instance waits."""
        self.reacted, self.first = _NOTHING, None

    @contextmanager
    def item(self, item: str) -> Generator[None]:
        """The command of an item is being built. That is not replayed: nothing is sent, and ids are of the item."""
        self._item = item
        self._item_names.clear()
        try:
            yield
        finally:
            self._item = ""

    def settled(self, command: str, outcome: Outcome, sent_at: int = 0) -> None:
        """A step or an undo has come out like this; `sent_at` 0: nobody knows any more when it was sent."""
        took = self.now - sent_at if sent_at else -1
        self.reacted.verdicts.append(Verdict(command, outcome, took))

    def check_no_item(self) -> None:
        """Raise ProcessBug while the command of an item is being built."""
        if self._item:
            raise ProcessBug("the functions that saga.each is given build a command and do nothing else")

    def item_command(self, id: str, message: Message) -> Output:
        """Send the command of an item."""
        codec, payload, sealed = self._codecs.seal(message)
        if not self._around.handled(codec.cls):
            raise UnknownMessage(f"nobody handles the command {codec.name}")
        output = Output(id, "command", codec.name, codec.version, payload, sealed)
        self.reacted.outputs.append(output)
        return output

    def command(self, message: Message) -> Output:
        """Send a command."""
        codec, payload, sealed = self._codecs.seal(message)
        if not self._around.handled(codec.cls):
            raise UnknownMessage(f"nobody handles the command {codec.name}")
        output = self._put(Output("", "command", codec.name, codec.version, payload, sealed))
        self.commands.add(output.id)
        return output

    def event(self, message: Message) -> Output:
        """Record an event."""
        codec, payload, sealed = self._codecs.seal(message)
        if codec.cls in self._around.outcomes:
            raise TypeError(f"{codec.name} is a command: it is sent, not published")
        return self._put(Output("", "event", codec.name, codec.version, payload, sealed))

    def resend(self, recorded: Recorded, undoes: str) -> str:
        """Send a recorded undo of that command; its message id."""
        payload = bytes(recorded.payload)
        message = self._codecs.decode(recorded.type, recorded.version, payload)
        kind: Kind = "command"
        output = self._put(Output("", kind, recorded.type, recorded.version, payload, message, undoes))
        self.commands.add(output.id)
        return output.id

    def withdraw(self, command_id: str) -> None:
        """Give a command up."""
        self.reacted.withdrawn.append(command_id)

    def timer(self, kind: TimerKind, after: int, what: str, *, id: str = "") -> PendingTimer:
        """Set a timer, due so many microseconds after the input that is handled."""
        if not id:
            id = derived_id(self._cause, f"{self._instance}/timer", self._timers)
            self._timers += 1
        pending = PendingTimer(id, self.now + after, kind, what, after)
        codec, payload, sealed = self._codecs.seal(TimerFired(words_of(pending)))
        timers = self.reacted.timers
        timers.append(Timer(id, codec.name, codec.version, payload, sealed, pending.due_at))
        return pending

    def forget(self, id: str) -> None:
        """A timer is not wanted any more."""
        self.reacted.forget(id)

    def again(self, command_id: str) -> None:
        """Try a parked command again."""
        self.reacted.again.append(command_id)

    def new_id(self, name: str) -> str:
        """An id that is the same on a replay."""
        if self._item:
            count = self._item_names[name] = self._item_names.get(name, 0) + 1
            return stable_id(self._instance, name, self._item, str(count))
        count = self._names[name] = self._names.get(name, 0) + 1
        return stable_id(self._instance, name, str(count), *([f"run {self._run}"] if self._run else []))

    def anew(self, run: int) -> None:
        """The saga goes on anew: what it sent before is not known any more."""
        self._run = run
        self._names.clear()
        self.commands.clear()

    def _put(self, output: Output) -> Output:
        outputs: list[Any] = self.reacted.outputs
        output.id = derived_id(self._cause, self._instance, len(outputs))
        outputs.append(output)
        return output
