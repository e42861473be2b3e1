"""One instance of a process manager: told events, it evolves, and what it answers is sent."""

from __future__ import annotations

from collections.abc import Sequence
from types import CodeType
from typing import Any

import msgspec

from sagakit.core.bugs import bug_of
from sagakit.core.codec import Codec
from sagakit.core.commit import ENDED, Cause, History, Instance, Kind, Status
from sagakit.core.lifecycle import (
    CancelChild,
    Cancelled,
    CancelRequested,
    CommandFailed,
    CommandLedToNothing,
    Failed,
    OperatorActed,
    TimerFired,
)
from sagakit.core.messages import Message, as_messages, derived_id
from sagakit.core.process import Input, Output, Reacted, Surroundings
from sagakit.core.process_manager.answers import End, Forget, Remind, Undoing
from sagakit.core.process_manager.mentions import mentions_undoing
from sagakit.core.process_manager.operated import operate, settled_by_hand
from sagakit.core.process_manager.record import ManagerRecord, SentCommand
from sagakit.core.process_manager.reminders import Reminders
from sagakit.core.queries import ItemQuery
from sagakit.core.saga.compensation import Recorded
from sagakit.errors import InvalidMessage, ProcessBug, TerminalError

_NOTHING = b"{}"
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(ManagerRecord).decode


class ManagerDefinition:
    """A process manager joined to its surroundings."""

    replays = False

    def __init__(
        self,
        name: str,
        cls: type[Any],
        around: Surroundings,
        *,
        starts_with: tuple[type, ...],
        evolves: frozenset[type],
        reacts: frozenset[type],
        version: int,
    ) -> None:
        self.name, self.cls, self.around, self.version = name, cls, around, version
        self.starts_with = starts_with
        self.evolves, self.reacts = evolves, reacts
        self.takes = evolves | reacts
        self.receives = tuple(one for one in self.takes if one not in (*starts_with, Cancelled, Failed))
        self.tracks = mentions_undoing(cls)
        self.author: CodeType | None = getattr(cls.react, "__code__", None)
        self.codec = Codec(cls, cls.__name__, 1)

    def since(self, row: Instance) -> int:
        """Nothing of its history is replayed."""
        return row.version

    def start(self, id: str, key: str) -> ManagerLive:
        """A new instance, without state yet."""
        try:
            state = self.cls()
        except TypeError as error:
            raise ProcessBug(f"{self.cls.__name__} has to start without arguments: {error}") from error
        return ManagerLive(self, id, key, state, ManagerRecord(msgspec.Raw(_NOTHING)))

    def retell(self, id: str, key: str) -> ManagerLive:
        """A new instance that is run through a known history; none of it logs."""
        return self.start(id, key)

    def revive(self, row: Instance, history: Sequence[tuple[Input, History]]) -> ManagerLive:
        """An instance as it was stored."""
        if row.state == _NOTHING:  # its start has failed
            return self.start(row.id, row.key)
        record = _decode(row.state)
        try:
            state = self.codec.decode(bytes(record.state))
        except InvalidMessage as error:
            raise ProcessBug(f"the stored state does not fit its class: {error}") from error
        live = ManagerLive(self, row.id, row.key, state, record)
        live.status = "running" if row.status == "parked" else row.status
        return live


class ManagerLive:
    """One instance of a process manager in memory."""

    def __init__(self, definition: ManagerDefinition, id: str, key: str, state: Any, record: ManagerRecord) -> None:
        self.id, self.key = id, key
        self.status: Status = "running"
        self.state = state
        self.record = record
        self._definition = definition
        self._given: Input | None = None
        self._reacted = Reacted()
        self.reminders = Reminders(definition.around.codecs, definition.takes, id, record)

    @property
    def cause(self) -> Cause:
        return self.record.cause

    @property
    def reason(self) -> str:
        if self.status == "compensation_failed":
            return next((sent.undo_error for sent in self.record.sent if sent.undo_error), "")
        return self.record.reason

    @property
    def contradiction(self) -> None:
        """None: it is brought back by its state alone."""
        return None

    def undos(self) -> list[str]:
        """The wire names of the undos that are out or still to be sent."""
        return [sent.undo.type for sent in self.record.sent if sent.undo is not None and not sent.undone]

    def snapshot(self) -> bytes:
        """The state to be stored. What it holds in memory is then what a load of it gives."""
        codec = self._definition.codec
        try:
            stored = codec.encode(self.state)
            self.state = codec.decode(stored)
        except InvalidMessage as error:
            raise ProcessBug(f"the state does not fit its class: {error}") from error
        self.record.state = msgspec.Raw(stored)
        return _encode(self.record)

    @property
    def reacted(self) -> Reacted:
        """What the reaction that is under way leads to."""
        return self._reacted

    def takes(self, kind: type) -> bool:
        """Whether it takes messages of this class."""
        return kind in self._definition.takes

    def evict(self) -> None:
        """Nothing is held."""

    def wants(self, given: Input) -> Sequence[ItemQuery]:
        """A process manager has no batches."""
        return ()

    def react(self, given: Input) -> Reacted:
        """Handle one input; raises ProcessBug where `evolve` or `react` fails."""
        self._given, self._reacted = given, Reacted()
        before = self.status
        self.reminders.begin(given, self._reacted)
        for message in self._told(given):
            self._tell(message)
        if self.status == "completed" != before:
            self._answer_who_asked()
        return self._reacted

    def _answer_who_asked(self) -> None:
        """What it says with its end is its outcome: that comes last."""
        reacted = self._reacted
        reacted.answers = [output for output in reacted.outputs if output.kind == "event"]
        reacted.outputs = [output for output in reacted.outputs if output.kind == "command"] + reacted.answers

    # ------------------------------------------------------------------ what it is told

    def _told(self, given: Input) -> Sequence[Any]:
        first = given.messages[0]
        if isinstance(first, OperatorActed):
            return operate(self, first, self._definition.around)
        if isinstance(first, CancelRequested | CancelChild | TimerFired):
            is_time = isinstance(first, TimerFired)
            return self.reminders.told(given.id, first) if is_time else (Cancelled(first.reason),)
        for sent in self.record.sent:
            if sent.id == given.command_id:
                if not self._settled(sent, first):
                    return ()
                break
            if given.command_id and given.command_id in (sent.undo_id, *sent.earlier):
                return self._undo_answered(sent, given)
            if sent.cancel_id and sent.cancel_id == given.command_id:
                self._child_ended(sent)
                return ()
        return (self._failed(first),) if isinstance(first, CommandFailed | CommandLedToNothing) else given.messages

    def _failed(self, told: CommandFailed | CommandLedToNothing) -> Failed[Any]:
        command = self._definition.around.codecs.decode(told.type, told.version, bytes(told.payload))
        if isinstance(told, CommandFailed):
            return Failed(command, told.reason, told.known_not_done)
        return Failed(command, f"{told.type} led to no event", True)

    def _settled(self, sent: SentCommand, first: Any) -> bool:
        """Take note of the outcome of a tracked command. False if it is late or doubled: then it is not told."""
        known, sent.settled = sent.settled, True
        if sent.undo is None or known:
            sent.child = ""
            return not known
        if sent.child:
            self._child_ended(sent)
        elif not isinstance(first, CommandFailed | CommandLedToNothing):
            self._undo_again(sent, sent.undo)
        return False

    def _child_ended(self, sent: SentCommand) -> None:
        """What undoes the start of a child has waited for its end."""
        if sent.child and sent.undo is not None and self.status != "compensation_failed":
            sent.undo_id = self._resend(sent, sent.undo)
        sent.child = ""

    def _undo_answered(self, sent: SentCommand, given: Input) -> Sequence[Any]:
        first = given.messages[0]
        if given.command_id != sent.undo_id:  # a newer one has taken its place
            return ()
        if isinstance(first, CommandFailed):
            if sent.undone:
                return ()
            if self.status in ENDED:
                self.record.ended = self.status
            self.status = "compensation_failed"
            self.record.cause = self.record.cause or "failed"
            sent.undo_error = first.reason
            return ()
        sent.undone, sent.undo_error = True, ""
        settled_by_hand(self)
        if sent.told or isinstance(first, CommandLedToNothing):
            return ()
        sent.told = True
        return given.messages

    def _tell(self, message: Any) -> None:
        kind: type[Any] = message.__class__
        definition = self._definition
        if self.status != "running":
            return
        if kind not in definition.takes:
            if kind is Failed and not message.known_not_done:
                raise ProcessBug(f"{message.reason}: {definition.cls.__name__} takes no Failed")
            return
        try:
            if kind in definition.evolves:
                self.state = self._evolved(message)
            answers = as_messages(self.state.react(message)) if kind in definition.reacts else ()
        except (KeyboardInterrupt, ProcessBug):
            raise
        except BaseException as error:
            bug = bug_of(error, definition.author)
            raise ProcessBug(f"{definition.cls.__name__} on {kind.__name__}, {bug}") from error
        self._note(message)
        for answer in answers:
            self._answer(answer, kind)

    def _evolved(self, message: Any) -> Any:
        state = self.state.evolve(message)
        cls = self._definition.cls
        if state.__class__ is not cls:
            raise ProcessBug(
                f"{cls.__name__} on {type(message).__name__}: evolve returns a {type(state).__name__}, "
                f"not a {cls.__name__}"
            )
        return state

    def _note(self, message: Any) -> None:
        """Keep why it may come to undo: the first cause counts."""
        record = self.record
        if isinstance(message, Cancelled):
            record.cause, record.reason = record.cause or "cancelled", message.reason
        elif isinstance(message, Failed):
            known_not_done, record.reason = message.known_not_done, message.reason
            record.cause = record.cause or ("refused" if known_not_done else "failed")

    # ------------------------------------------------------------------ what it answers

    def _answer(self, answer: Any, kind: type) -> None:
        try:
            if isinstance(answer, End):
                self._end(answer)
            elif isinstance(answer, Undoing):
                self._undo(answer)
            elif isinstance(answer, Remind):
                self.reminders.remind(answer)
            elif isinstance(answer, Forget):
                self.reminders.forget(answer.name)
            else:
                self._send(answer, None)
        except TerminalError as error:
            raise ProcessBug(f"{self._definition.cls.__name__} on {kind.__name__}: {error}") from error

    def _end(self, end: End) -> None:
        record = self.record
        self.status = end.status
        record.reason = end.reason or record.reason
        record.cause = "" if end.status == "completed" else record.cause or "refused"
        self.reminders.clear()

    def _send(self, message: Any, undoes: str | None) -> Output:
        around = self._definition.around
        codec, payload, sealed = around.codecs.seal(message)
        command = around.handled(codec.cls)
        output = self._put((codec, payload, sealed), "command" if command else "event", undoes)
        if command and undoes is None and self._definition.tracks:
            sent = SentCommand(output.id, codec.name, codec.digest(sealed), child=around.child(sealed))
            self.record.sent.append(sent)
        return output

    def _put(self, message: tuple[Codec, bytes, Any], kind: Kind, undoes: str | None) -> Output:
        assert self._given is not None
        codec, payload, sealed = message
        outputs = self._reacted.outputs
        id = derived_id(self._given.id, self.id, len(outputs))
        output = Output(id, kind, codec.name, codec.version, payload, sealed, undoes)
        outputs.append(output)
        return output

    def _undo(self, undoing: Undoing) -> None:
        codec, _, of = self._definition.around.codecs.seal(undoing.of)
        digest = codec.digest(of)
        same = [sent for sent in self.record.sent if sent.digest == digest and sent.undo is None]
        if not same:
            raise ProcessBug(f"Undoing(of={codec.name}): this instance has sent no such command that is not undone yet")
        sent = same[-1]
        if not sent.settled:
            self._reacted.withdrawn.append(sent.id)
            if sent.child:
                self._cancel_child(sent, undoing.command)
                return
        output = self._send(undoing.command, sent.id)
        if output.kind == "event":
            raise ProcessBug(f"Undoing(command={output.type}): nobody handles the command {output.type}")
        sent.undo_id = output.id
        sent.undo = Recorded(output.type, output.version, msgspec.Raw(output.payload))

    def _cancel_child(self, sent: SentCommand, command: Message) -> None:
        """The command that it undoes runs as a child: that is cancelled first."""
        around = self._definition.around
        codec, payload, _ = around.codecs.seal(command)
        if not around.handled(codec.cls):
            raise ProcessBug(f"Undoing(command={codec.name}): nobody handles the command {codec.name}")
        sent.undo = Recorded(codec.name, codec.version, msgspec.Raw(payload))
        cancel = CancelChild(sent.id, sent.child, self.record.reason or f"undone by {codec.name}")
        sent.cancel_id = self._put(around.codecs.seal(cancel), "command", sent.id).id

    def _undo_again(self, sent: SentCommand, undo: Recorded) -> None:
        """A success that came after its undo: undo once more, under a new id."""
        if sent.undo_error:  # its undo waits for a person
            return
        if not sent.undone:
            self._reacted.withdrawn.append(sent.undo_id)
        if sent.undo_id:
            sent.earlier.append(sent.undo_id)
        sent.undone = False
        if self.status == "compensation_failed":  # nothing goes out before a person says so
            sent.undo_id = ""
            return
        self.send_undo(sent, undo)

    def send_undo(self, sent: SentCommand, undo: Recorded) -> None:
        """Send an undo under a new id."""
        sent.undo_id = self._resend(sent, undo)

    def _resend(self, sent: SentCommand, undo: Recorded) -> str:
        message = self._definition.around.codecs.decode(undo.type, undo.version, bytes(undo.payload))
        return self._send(message, sent.id).id
