"""One saga in memory: outcomes resume its code, its commands are recorded, its steps undone in LIFO order."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from sagakit.core.codec import Codecs
from sagakit.core.commit import Cause, History, Instance, Status
from sagakit.core.lifecycle import CancelRequested, CommandFailed, CommandLedToNothing
from sagakit.core.messages import Message, derived_id, stable_id
from sagakit.core.process import Input, Output, Reacted
from sagakit.core.saga.branches import Branch, Group
from sagakit.core.saga.compensation import Compensation, Recorded, SagaRecord, Step, Undoer
from sagakit.core.saga.operations import Do, Receive, Saga, UndoAll
from sagakit.errors import Nondeterminism, OutcomeUnknown, ProcessBug, Refused

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger


decode_record = msgspec.json.Decoder(SagaRecord).decode
_encode = msgspec.json.Encoder().encode


class Surroundings(Struct):
    """What the core knows of a process's surroundings."""

    codecs: Codecs
    outcomes: Mapping[type, frozenset[type]]
    """The commands that somebody handles, with their declared outcomes."""
    logger: Callable[[str, str], FilteringBoundLogger]
    """The logger of an instance, by process and key; "" is the silent one."""


class SagaLive:
    """The driver of one saga's coroutine."""

    def __init__(
        self,
        name: str,
        code: Callable[[Any, Saga], Coroutine[Any, Any, Any]],
        receives: tuple[type, ...],
        around: Surroundings,
        id: str,
        key: str,
    ) -> None:
        self.id, self.key = id, key
        self.status: Status = "running"
        self._name, self._code, self._receives, self._around = name, code, receives, around
        self._replaying = False
        self._saga = Saga(self, id, key)
        self._stack = Compensation(around.codecs, self)
        self._started = False
        self._main: Branch | None = None
        self._in_flight: dict[str, tuple[Branch, Do]] = {}
        self._undoing_for: Branch | None = None
        self._receivers: list[tuple[Branch, type]] = []
        self._arrived: list[Any] = []
        self._names: dict[str, int] = {}
        self._given: Input | None = None
        self._reacted = Reacted()

    # ------------------------------------------------------------------ what the engine calls

    @property
    def record(self) -> SagaRecord:
        """The stored state."""
        return self._stack.record

    @property
    def cause(self) -> Cause:
        return self.record.cause

    @property
    def reason(self) -> str:
        return self.record.reason

    def snapshot(self) -> bytes:
        if self.status != "completed":
            return _encode(self.record)
        return _encode(SagaRecord([step for step in self.record.steps if step.state != "succeeded"], self.record.sent))

    def react(self, given: Input) -> Reacted:
        """Handle one input; raises ProcessBug where the saga's code cannot go on."""
        self._given, self._reacted = given, Reacted()
        first = given.messages[0]
        if isinstance(first, CancelRequested):
            self._cancel(first.reason)
        elif not self._started:
            self._started = True
            self._main = Branch(self._code(first, self._saga), self)
            self._main.resume()
        elif given.command_id is None or not self._outcome(given.command_id, given.messages):
            self._take(given.messages)
        self._after_code()
        return self._reacted

    def revive(self, row: Instance, history: Sequence[tuple[Input, History]]) -> None:
        """Bring the code to where it stood, and take what is recorded: that wins over what a replay builds."""
        record = decode_record(row.state)
        if not record.undoing and row.status in ("running", "parked"):
            self._replay(history)
        self._started = True
        self._stack.record = record
        self.status = row.status if row.status != "parked" else "undoing" if record.undoing else "running"

    def undos(self) -> list[str]:
        """The wire names of the undos that are out, or still to go out."""
        owed = ("succeeded", "unknown", "undoing")
        return [step.undo.type for step in self.record.steps if step.undo is not None and step.state in owed]

    def evict(self) -> None:
        """Let go of the coroutine."""
        self._close_code()

    # ------------------------------------------------------------------ what the code's Saga calls (Driver)

    @property
    def now(self) -> datetime:
        assert self._given is not None
        return datetime.fromtimestamp(self._given.now / 1_000_000, UTC)

    @property
    def log(self) -> FilteringBoundLogger:
        return self._around.logger("" if self._replaying else self._name, self.key)

    def new_id(self, name: str) -> str:
        count = self._names[name] = self._names.get(name, 0) + 1
        return stable_id(self.id, name, str(count))

    def on_undo(self, undo: Undoer) -> None:
        self._begin("", "", undo).state = "succeeded"

    def send(self, message: Message, *, command: bool) -> None:
        self._emit(message, command=command)

    # ------------------------------------------------------------------ what branches call (Performer)

    def perform(self, branch: Branch, operation: Do | Receive | UndoAll) -> bool:
        if isinstance(operation, Do):
            self._send_step(branch, operation)
            return False
        if isinstance(operation, Receive):
            return self._receive(branch, operation)
        self._undoing_for = branch
        self._stack.make_exact("")
        return not self._stack.undo_next()

    def withdraw(self, branch: Branch, group: Group) -> bool:
        self._receivers = [waiting for waiting in self._receivers if waiting[0] is not branch]
        if self._stack.hand_over(branch, group.undone):
            return True
        for command_id, (waiting, _) in self._in_flight.items():
            if waiting is branch:
                step = self._give_up(command_id)
                return self._stack.repair(step, None, group.undone, "lost to another branch")
        return False

    # ------------------------------------------------------------------ what the stack calls (Sender)

    def resend(self, recorded: Recorded, undoes: str) -> str:
        payload = bytes(recorded.payload)
        message = self._around.codecs.decode(recorded.type, recorded.version, payload)
        return self._put(recorded.type, recorded.version, payload, message, "command", undoes).id

    def give_up_undo(self, command_id: str) -> None:
        self._reacted.withdrawn.append(command_id)

    # ------------------------------------------------------------------ running the code

    def _after_code(self) -> None:
        main = self._main
        if main is None:
            return
        forgotten = self._saga.forgotten(ended=main.ended)
        if forgotten is not None:
            raise ProcessBug(f"line {forgotten.line}: {forgotten.what()} was never awaited")
        if main.ended and self.status == "running":
            self._main = None
            if main.error is not None:
                self._undo_everything("refused" if isinstance(main.error, Refused) else "failed", main.error.reason)
                return
            self.status = "completed"
            if main.value is not None:
                self._emit(main.value, command=False)

    def _emit(self, message: Message, *, command: bool) -> Output:
        codec, payload, sealed = self._around.codecs.seal(message)
        if command and codec.cls not in self._around.outcomes:
            raise ProcessBug(f"nobody handles the command {codec.name}")
        return self._put(codec.name, codec.version, payload, sealed, "command" if command else "event", None)

    def _put(self, type: str, version: int, payload: bytes, message: Any, kind: Any, undoes: str | None) -> Output:
        assert self._given is not None
        outputs = self._reacted.outputs
        output = Output(
            derived_id(self._given.id, self.id, len(outputs)), kind, type, version, payload, message, undoes
        )
        outputs.append(output)
        return output

    def _send_step(self, branch: Branch, do: Do) -> None:
        output = self._emit(do.command, command=True)
        self._begin(output.id, output.type, do.undo, do.line)
        self._in_flight[output.id] = (branch, do)

    def _begin(self, id: str, type: str, undo: Undoer | None, line: int | None = None) -> Step:
        try:
            return self._stack.begin(id, type, undo)
        except Exception as error:
            where = f"line {line}: " if line else ""
            raise ProcessBug(
                f"{where}the undo of {type or 'the saga'} cannot be built before its outcome is known "
                f"({error.__class__.__name__}: {error}): let it take an outcome of None"
            ) from error

    # ------------------------------------------------------------------ events by key

    def _receive(self, branch: Branch, receive: Receive) -> bool:
        if receive.event not in self._receives:
            raise ProcessBug(
                f"line {receive.line}: {receive.what()}: declare it with receives={receive.event.__name__}"
            )
        for index, message in enumerate(self._arrived):
            if type(message) is receive.event:
                branch.value = self._arrived.pop(index)
                return True
        self._receivers.append((branch, receive.event))
        return False

    def _take(self, messages: tuple[Any, ...]) -> None:
        for message in messages:
            if self.status != "running" or type(message) not in self._receives:
                continue
            for waiting in self._receivers:
                if waiting[1] is type(message):
                    self._receivers.remove(waiting)
                    waiting[0].resume(message)
                    break
            else:
                self._arrived.append(message)

    # ------------------------------------------------------------------ outcomes

    def _outcome(self, command_id: str, messages: tuple[Any, ...]) -> bool:
        """Take an outcome of one of this instance's commands. False if it is of another one's."""
        step = self._stack.of(command_id)
        if step is None:
            return False
        if step.undo_id == command_id:
            if step.state == "undoing":
                self._undo_answered(step, isinstance(messages[0], CommandFailed))
        elif command_id in self._in_flight:
            self._settle(step, *self._in_flight.pop(command_id), messages)
        else:
            self._late(step, messages)
        return True

    def _settle(self, step: Step, branch: Branch, do: Do, messages: tuple[Any, ...]) -> None:
        success = self._success(do.then, messages)
        if success is not None:
            outcome = None if do.then is None else success
            self._stack.succeeded(step, outcome)
            branch.resume(outcome)
        elif (refusal := self._refusal(step, do.command, messages)) is not None:
            self._stack.refused(step)
            branch.resume(error=refusal)
        else:
            self._not_known(step, branch, do, messages[0])

    def _not_known(self, step: Step, branch: Branch, do: Do, first: Any) -> None:
        reason = first.reason if isinstance(first, CommandFailed) else f"undeclared outcome {self._name_of(first)}"
        error = OutcomeUnknown(reason)
        self._stack.unknown(step, self._names_of(do.then))
        if not self._stack.repair(step, branch, lambda: branch.resume(error=error), reason):
            branch.resume(error=error)

    def _success(self, then: tuple[type, ...] | None, messages: tuple[Any, ...]) -> Any:
        if then is None:
            return None if isinstance(messages[0], CommandFailed) else messages[0]
        return next((message for message in messages if type(message) in then), None)

    def _refusal(self, step: Step, command: Message, messages: tuple[Any, ...]) -> Refused | None:
        first = messages[0]
        if isinstance(first, CommandLedToNothing):
            return Refused(f"{step.type} led to no event")
        if isinstance(first, CommandFailed):
            return Refused(first.reason) if first.known_not_done else None
        declared = self._around.outcomes[type(command)]
        event = next((message for message in messages if type(message) in declared), None)
        if event is None:
            return None
        reason: object = getattr(event, "reason", None)
        return Refused(str(reason) if reason else self._name_of(event), event)

    def _late(self, step: Step, messages: tuple[Any, ...]) -> None:
        names = {self._name_of(message) for message in messages}
        if step.then is None or names & set(step.then):
            self._stack.late_success(step, messages[0])
        elif step.state == "unknown" and not isinstance(messages[0], CommandFailed):
            self._stack.refused(step)

    def _name_of(self, message: object) -> str:
        return self._around.codecs.of(message).name

    def _names_of(self, types: tuple[type, ...] | None) -> tuple[str, ...] | None:
        return None if types is None else tuple(self._around.codecs.by_class[cls].name for cls in types)

    # ------------------------------------------------------------------ undoing

    def _give_up(self, command_id: str) -> Step:
        _, do = self._in_flight.pop(command_id)
        step = self._stack.of(command_id)
        assert step is not None
        self._stack.unknown(step, self._names_of(do.then))
        self._reacted.withdrawn.append(command_id)
        return step

    def _undo_answered(self, step: Step, failed: bool) -> None:
        if failed:
            step.state = "undo_failed"
            self.status = "compensation_failed"
            return
        then = self._stack.answered(step)
        if then is not None:
            then()
        elif (self.status == "undoing" or self._undoing_for is not None) and not self._stack.undo_next():
            self._all_undone()

    def _all_undone(self) -> None:
        if self.status == "undoing":
            self.status = "compensated"
        elif self._undoing_for is not None:
            branch, self._undoing_for = self._undoing_for, None
            branch.resume()

    def _undo_everything(self, cause: Cause, reason: str) -> None:
        self.status = "undoing"
        self.record.undoing, self.record.cause, self.record.reason = True, cause, reason
        self._undoing_for = None
        self._stack.forget_repairs()
        self._stack.make_exact(reason)
        if not self._stack.undo_next():
            self._all_undone()

    def _cancel(self, reason: str) -> None:
        if self.status != "running":
            return
        for command_id in list(self._in_flight):
            self._give_up(command_id)
        self._close_code()
        self._undo_everything("cancelled", reason)

    def _close_code(self) -> None:
        self._saga.close()
        main, self._main = self._main, None
        if main is not None:
            try:
                main.close()
            except Exception as error:  # undoing stops for no bug of the code
                self.log.warning("the code of a cancelled saga failed to close", error=str(error))

    def _replay(self, history: Sequence[tuple[Input, History]]) -> None:
        self._replaying = True
        for given, recorded in history:
            if self.status != "running":
                break
            sent = [output.type for output in self.react(given).outputs]
            expected = [envelope.type for envelope in recorded.outputs]
            if sent != expected:
                raise Nondeterminism(_difference(recorded.version, given, expected, sent))
        self._replaying = False


def _difference(version: int, given: Input, expected: Sequence[str], sent: Sequence[str]) -> str:
    index = next(
        (i for i, (a, b) in enumerate(zip(expected, sent, strict=False)) if a != b), min(len(expected), len(sent))
    )
    was = expected[index] if index < len(expected) else "nothing more"
    found = sent[index] if index < len(sent) else "nothing more"
    return (
        f"reaction {version}, to {given.envelopes[0].type}, message {index + 1}: "
        f"{was} is recorded, the code now sends {found}"
    )
