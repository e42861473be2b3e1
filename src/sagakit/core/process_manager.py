"""Process managers: a frozen class that evolves by events and reacts with commands; it undoes and ends by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, Protocol, TypeAlias

import msgspec
from msgspec import Struct

from sagakit.core.commit import Cause, History, Instance, Status
from sagakit.core.lifecycle import Cancelled, CancelRequested, CommandFailed, CommandLedToNothing, Failed
from sagakit.core.messages import Message, as_messages, derived_id, stable_id
from sagakit.core.process import Input, Output, Reacted
from sagakit.core.saga.compensation import Recorded
from sagakit.core.saga.live import Surroundings
from sagakit.errors import ProcessBug


class Undoing:
    """A command that undoes another one of this instance's: it never overtakes it, and any answer to it is done."""

    __struct_fields__: ClassVar[tuple[str, ...]] = ("command", "of")

    def __init__(self, command: Message, *, of: Message) -> None:
        self.command = command
        self.of = of


class End(Struct, frozen=True):
    """The instance has come to its end."""

    status: Literal["completed", "compensated"] = "completed"
    reason: str = ""


Reactions: TypeAlias = Message | Sequence[Message] | None


class Reactor(Protocol):
    """The shape of a process manager: `evolve` is optional for what changes no state."""

    @property
    def react(self) -> Callable[[Any], Reactions]: ...


class SentCommand(Struct, omit_defaults=True):
    """A command that may have to be undone: kept only by a process manager that uses Undoing."""

    id: str
    type: str
    digest: str
    undo_id: str = ""
    undo: Recorded | None = None
    settled: bool = False


class ManagerRecord(Struct, omit_defaults=True):
    """The stored state of a process manager."""

    state: msgspec.Raw
    sent: list[SentCommand] = []
    cause: Cause = ""
    reason: str = ""


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
        self.receives = tuple(cls for cls in self.takes if cls not in (*starts_with, Cancelled, Failed))
        self.tracks = _mentions_undoing(cls)

    def start(self, id: str, key: str) -> ManagerLive:
        return ManagerLive(self, id, key, self.cls(), ManagerRecord(msgspec.Raw(b"{}")))

    def revive(self, row: Instance, history: Sequence[tuple[Input, History]]) -> ManagerLive:
        record = _decode(row.state)
        state = msgspec.json.decode(bytes(record.state), type=self.cls)
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

    @property
    def cause(self) -> Cause:
        return self.record.cause

    @property
    def reason(self) -> str:
        return self.record.reason

    def snapshot(self) -> bytes:
        self.record.state = msgspec.Raw(_encode(self.state))
        return _encode(self.record)

    def undos(self) -> list[str]:
        return []

    def evict(self) -> None:
        """Nothing is held."""

    def react(self, given: Input) -> Reacted:
        """Handle one input; raises ProcessBug where `evolve` or `react` fails."""
        self._given, self._reacted = given, Reacted()
        undone = self._undo_answered(given)
        for message in self._told(given, undone=undone):
            self._tell(message)
        return self._reacted

    def _told(self, given: Input, *, undone: bool) -> Sequence[Any]:
        first = given.messages[0]
        if isinstance(first, CancelRequested):
            return (Cancelled(first.reason),)
        if isinstance(first, CommandFailed | CommandLedToNothing):
            if undone:
                return ()
            command = self._definition.around.codecs.decode(first.type, first.version, bytes(first.payload))
            if isinstance(first, CommandFailed):
                return (Failed(command, first.reason, first.known_not_done),)
            return (Failed(command, f"{first.type} led to no event", True),)
        return given.messages

    def _tell(self, message: Any) -> None:
        kind = type(message)
        definition = self._definition
        if kind not in definition.takes:
            if kind is Failed and not message.known_not_done and self.status == "running":
                raise ProcessBug(f"{message.reason}: {definition.cls.__name__} takes no Failed")
            return
        if self.status in ("completed", "compensated", "abandoned"):
            return
        try:
            if kind in definition.evolves:
                self.state = self.state.evolve(message)
            answers = as_messages(self.state.react(message)) if kind in definition.reacts else ()
        except Exception as bug:
            raise ProcessBug(f"{definition.cls.__name__} on {kind.__name__}: {type(bug).__name__}: {bug}") from bug
        if kind is Cancelled:
            self.record.cause, self.record.reason = "cancelled", message.reason
        for answer in answers:
            self._answer(answer)

    def _answer(self, answer: Any) -> None:
        if isinstance(answer, End):
            self.status = answer.status
            self.record.reason = answer.reason or self.record.reason
            if answer.status == "compensated":
                self.record.cause = self.record.cause or "refused"
        elif isinstance(answer, Undoing):
            self._undo(answer)
        else:
            self._send(answer, None)

    def _send(self, message: Any, undoes: str | None) -> Output:
        assert self._given is not None
        around, outputs = self._definition.around, self._reacted.outputs
        codec, payload, sealed = around.codecs.seal(message)
        command = codec.cls in around.outcomes
        id = derived_id(self._given.id, self.id, len(outputs))
        output = Output(id, "command" if command else "event", codec.name, codec.version, payload, sealed, undoes)
        outputs.append(output)
        if command and undoes is None and self._definition.tracks:
            self.record.sent.append(SentCommand(id, codec.name, stable_id(payload.decode())))
        return output

    def _undo(self, undoing: Undoing) -> None:
        codec, payload, _ = self._definition.around.codecs.seal(undoing.of)
        digest = stable_id(payload.decode())
        for sent in reversed(self.record.sent):
            if sent.type == codec.name and sent.digest == digest:
                break
        else:
            raise ProcessBug(f"Undoing(of={codec.name}): this instance has sent no such command")
        if not sent.settled:
            self._reacted.withdrawn.append(sent.id)
        output = self._send(undoing.command, sent.id)
        sent.undo_id = output.id
        sent.undo = Recorded(output.type, output.version, msgspec.Raw(output.payload))

    def _undo_answered(self, given: Input) -> bool:
        """Take note of an outcome of a tracked command. True if it is the answer to an undo."""
        for sent in self.record.sent:
            if sent.id == given.command_id:
                sent.settled = True
                if sent.undo is not None and not isinstance(given.messages[0], CommandFailed | CommandLedToNothing):
                    self._undo_again(sent, sent.undo)
            elif sent.undo_id and sent.undo_id == given.command_id:
                if isinstance(given.messages[0], CommandFailed):
                    self.status = "compensation_failed"
                    self.record.reason = given.messages[0].reason
                return True
        return False

    def _undo_again(self, sent: SentCommand, undo: Recorded) -> None:
        """A success that came after its undo: undo once more, under a new id."""
        message = self._definition.around.codecs.decode(undo.type, undo.version, bytes(undo.payload))
        sent.undo_id = self._send(message, sent.id).id


def _mentions_undoing(cls: type[Any]) -> bool:
    """Whether the code of `react` uses Undoing: only then its commands are kept, so that state does not grow."""
    code: Any = getattr(cls.react, "__code__", None)
    known: dict[str, Any] = getattr(cls.react, "__globals__", {})
    return code is None or any(name == "Undoing" or known.get(name) is Undoing for name in code.co_names)
