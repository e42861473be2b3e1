"""One saga in memory: outcomes resume its code, its commands are recorded, its steps undone in LIFO order."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from types import CodeType, NoneType
from typing import Any, cast

import msgspec

from sagakit.core.commit import Cause, History, Instance, Status
from sagakit.core.lifecycle import CancelRequested, CommandFailed
from sagakit.core.process import Input, Reacted, Surroundings
from sagakit.core.saga.branches import Branch, Group
from sagakit.core.saga.compensation import Compensation, SagaRecord, Step
from sagakit.core.saga.operations import Do, Operation, Receive, Saga, Then
from sagakit.core.saga.outcomes import Success, classes_of, judge, names_of
from sagakit.core.saga.replay import check_record, replay
from sagakit.core.saga.running import Running
from sagakit.core.saga.waits import Arrivals, Repairs
from sagakit.core.saga.writing import Writing
from sagakit.errors import ProcessBug, Refused, TerminalError

__all__ = ["SagaLive", "Surroundings", "decode_record"]

decode_record = msgspec.json.Decoder(SagaRecord).decode
_encode = msgspec.json.Encoder().encode


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
        self._made_of = (name, code, receives, around, id, key)
        self._receives, self._around = receives, around
        self._writing = Writing(around, id)
        self._stack = Compensation(around, self._writing)
        self._code = Running(name, code, around, self._writing, self._stack, id, key)
        self._arrivals = Arrivals()
        self._repairs = Repairs()
        self._in_flight: dict[str, tuple[Branch, Do]] = {}
        self._started = False
        self._broken: ProcessBug | None = None
        self._history: Sequence[tuple[Input, History]] = ()
        self._threw = False

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
        if self.status == "compensation_failed":
            return next((step.undo_error for step in self.record.steps if step.state == "undo_failed"), "")
        return self.record.reason

    def undos(self) -> list[str]:
        """The wire names of the undos that are out or still to be sent."""
        return self._stack.undos()

    def in_flight(self) -> dict[str, Then]:
        """The commands whose outcome its code waits for, and what counts as their success."""
        return {command_id: do.then for command_id, (_, do) in self._in_flight.items()}

    def snapshot(self) -> bytes:
        record = self._stack.record
        awaited = self._arrivals.awaited()
        if awaited or record.receiving:
            by_class = self._around.codecs.by_class
            record.receiving = [by_class[event].name for event in awaited]
        return _encode(record)

    def react(self, given: Input) -> Reacted:
        """Handle one input; raises ProcessBug where the saga's code cannot go on."""
        reacted, self._threw = self._writing.begin(given), False
        try:
            first = given.messages[0]
            if first.__class__ is CancelRequested:
                self._cancel(first.reason)
            elif self._broken is not None:
                raise self._broken
            elif not self._started:
                self._started = True
                self._code.start(first, self)
            elif given.command_id is None or not self._outcome(given.command_id, given.messages):
                self._take(given.messages)
            if self._code.main is not None:
                self._repairs.go_on(self._stack)
                self._after_code(self._code.main)
        except BaseException:
            self.evict()
            raise
        return reacted

    def revive(self, row: Instance, history: Sequence[tuple[Input, History]]) -> None:
        """Bring the code to where it stood, and take what is recorded: that wins over what a replay builds.

        Code that contradicts its record is told of when it is needed: a cancel does without it.
        """
        record = decode_record(row.state)
        self.status = row.status
        if row.status in ("running", "parked"):
            self.status = "undoing" if record.undoing else "running"
        if self.status != "running":
            self._started, self._history = True, history
        else:
            try:
                self._replay(history, running=True)
                check_record(self.record, record, self._in_flight)
            except ProcessBug as contradiction:
                self.evict()
                self._broken = contradiction
                self._in_flight.clear()
                self._stack.undoers.clear()
        self._stack.restore(record)

    def evict(self) -> None:
        """Let go of the coroutine; nothing that it does while it is closed has an effect."""
        self._code.silent, self._writing.reacted = True, Reacted()
        self._close_code()

    # ------------------------------------------------------------------ what branches call (Performer)

    @property
    def author(self) -> CodeType | None:
        return self._code.author

    def perform(self, branch: Branch, operation: Operation[Any]) -> bool:
        if operation.__class__ is Do:
            self._send_step(branch, cast("Do", operation))
            return False
        if operation.__class__ is Receive:
            return self._receive(branch, cast("Receive", operation))
        return self._repairs.undo_all(branch, self._stack)

    def withdraw(self, losers: Sequence[Branch], waiting: Sequence[Branch | Group], heir: Group) -> int:
        lost = frozenset(waiting)
        self._arrivals.withdraw(lost)
        undos = self._repairs.withdraw(lost, heir)
        in_flight = [command_id for command_id, (branch, _) in self._in_flight.items() if branch in lost]
        for command_id in reversed(in_flight):  # newest first, as all undoing
            step = self._give_up(command_id)
            if step.undo is not None:
                self._stack.undo(step, "lost to another branch")
                self._repairs.wait_for(step, heir)
                undos += 1
        self._code.withdraw(losers)
        return undos

    # ------------------------------------------------------------------ running the code

    def _after_code(self, main: Branch) -> None:
        self._code.check_dropped(threw=self._threw or main.error is not None)
        if not main.ended or self.status != "running":
            return
        self._code.main = None
        if main.error is not None:
            self._stop("refused" if isinstance(main.error, Refused) else "failed", main.error.reason)
            self._undo_next()
            return
        self.status = "completed"
        self._stack.forget()
        if main.value is not None:
            try:
                self._writing.event(main.value)
            except (TerminalError, TypeError) as error:
                raise ProcessBug(f"what the saga returns: {error}") from error

    def _send_step(self, branch: Branch, do: Do) -> None:
        try:
            output = self._writing.command(do.command)
        except TerminalError as error:
            raise ProcessBug(f"{do.where()}: {do.what()}: {error}") from error
        try:
            self._stack.begin(output.id, output.type, do.undo)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise ProcessBug(
                f"{do.where()}: {do.what()}: its undo cannot be built before anything is known "
                f"({type(error).__name__}: {error}): it must do with an outcome of None"
            ) from error
        self._in_flight[output.id] = (branch, do)

    # ------------------------------------------------------------------ events by key

    def _receive(self, branch: Branch, receive: Receive) -> bool:
        if receive.event not in self._receives:
            raise ProcessBug(f"{receive.where()}: {receive.what()}: declare it with receives={receive.event.__name__}")
        return self._arrivals.receive(branch, receive.event)

    def _take(self, messages: tuple[Any, ...]) -> None:
        for message in messages:
            if self.status == "running" and type(message) in self._receives:
                branch = self._arrivals.take(message)
                if branch is not None:
                    branch.resume(message)

    # ------------------------------------------------------------------ outcomes

    def _outcome(self, command_id: str, messages: tuple[Any, ...]) -> bool:
        """Take an outcome of one of this instance's commands. False if it is of another one's."""
        step = self._stack.of(command_id)
        if step is None:
            return command_id in self._writing.commands
        flight = self._in_flight.pop(command_id, None)
        if flight is not None:
            self._settle(step, *flight, messages)
        elif step.undo_id != command_id:
            self._late(step, messages)
        elif step.state == "undoing":
            self._undo_answered(step, messages[0])
        return True

    def _settle(self, step: Step, branch: Branch, do: Do, messages: tuple[Any, ...]) -> None:
        verdict = judge(do.then, type(do.command), messages, self._around)
        if isinstance(verdict, Success):
            self._stack.succeeded(step, verdict.event)
            branch.resume(verdict.event)
            return
        self._threw = True
        if isinstance(verdict, Refused):
            self._stack.refused(step)
        else:
            self._stack.unknown(step, names_of(do.then, self._around))
            if step.undo is not None:
                self._repairs.wait_for(step, branch, verdict)
                self._stack.undo(step, verdict.reason)
                return
        branch.resume(error=verdict)

    def _late(self, step: Step, messages: tuple[Any, ...]) -> None:
        if step.then == ():
            return  # its first known outcome stands
        verdict = judge(classes_of(step.then, self._around), self._command_of(step), messages, self._around)
        if isinstance(verdict, Success):
            self._relearn(step)
            self._stack.late_success(step, verdict.event, hold=self.status == "compensation_failed")
        elif isinstance(verdict, Refused):
            self._stack.late_refusal(step)

    def _command_of(self, step: Step) -> type:
        codec = self._around.codecs.by_name.get(step.type)
        return NoneType if codec is None else codec.cls  # its class may be gone from the app

    # ------------------------------------------------------------------ undoing

    def _undo_answered(self, step: Step, first: Any) -> None:
        if isinstance(first, CommandFailed):
            self._undo_failed(step, first.reason)
            return
        self._stack.answered(step)
        if self.status == "undoing":
            self._undo_next()
        elif self.status == "running":
            self._threw = True
            self._repairs.answered(step)

    def _undo_failed(self, step: Step, reason: str) -> None:
        self._stack.failed(step, reason)
        if self.status == "running":
            self._stop("failed", reason)
        self.record.undoing = True
        self.record.cause = self.record.cause or "failed"
        self.status = "compensation_failed"

    def _undo_next(self) -> None:
        if not self._stack.undo_next():
            self.status = "compensated"

    def _cancel(self, reason: str) -> None:
        if self.status == "running":
            self._stop("cancelled", reason)
            self._undo_next()

    def _stop(self, cause: Cause, reason: str) -> None:
        """The code goes no further: give up what is in flight, close it, and make every undo exact."""
        self.status, self._broken = "undoing", None
        for step in list(self.record.steps):
            if step.state == "sent":
                self._give_up(step.id)
        self._close_code()
        record = self.record
        record.undoing, record.cause, record.reason = True, cause, reason
        self._stack.make_exact(reason)

    def _give_up(self, command_id: str) -> Step:
        step = self._stack.of(command_id)
        assert step is not None
        flight = self._in_flight.pop(command_id, None)
        if flight is not None:
            then = flight[1].then
        else:  # the code that could tell cannot run: any declared outcome may be a success
            then = tuple(self._around.outcomes.get(self._command_of(step), ())) or None
        self._stack.unknown(step, names_of(then, self._around))
        self._writing.withdraw(command_id)
        return step

    def _close_code(self) -> None:
        self._repairs.clear()
        self._arrivals.clear()
        self.record.bug = self._code.close() or self.record.bug

    # ------------------------------------------------------------------ replay

    def _replay(self, history: Sequence[tuple[Input, History]], *, running: bool) -> None:
        self._code.silent = True
        replay(self, history, running=running)
        self._code.silent = False

    def _relearn(self, step: Step) -> None:
        """Replay the code as far as it went, for the undo functions that an eviction has taken."""
        history, self._history = self._history, ()
        if not history or step in self._stack.undoers:
            return
        before = SagaLive(*self._made_of)
        try:
            before._replay(history, running=False)
        except ProcessBug:
            return  # the code has changed or cannot run: the recorded undo goes out
        before.evict()
        self._stack.undoers = before._stack.undoers
