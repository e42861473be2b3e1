"""What the outcomes of a saga's commands do to its steps, and to the branches that wait for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sagakit.core.messages import in_seconds
from sagakit.core.process import Surroundings
from sagakit.core.saga.compensation import Compensation, Step
from sagakit.core.saga.coroutine.branches import Branch
from sagakit.core.saga.coroutine.waits import Repairs
from sagakit.core.saga.operations import Do
from sagakit.core.saga.settling.flights import Flights
from sagakit.core.saga.settling.outcomes import Success, classes_of, judge, names_of
from sagakit.core.saga.settling.undoing import Undoing
from sagakit.core.saga.writing import Writing
from sagakit.errors import NotDone, Refused, TimedOut


class Settling:
    """Takes the outcomes of steps and undos, the late ones too."""

    __slots__ = ("_around", "_flights", "_repairs", "_stack", "_undoing", "_writing", "relearn")

    def __init__(
        self,
        around: Surroundings,
        writing: Writing,
        stack: Compensation,
        flights: Flights,
        repairs: Repairs,
        undoing: Undoing,
    ) -> None:
        self._around, self._writing = around, writing
        self._stack, self._flights = stack, flights
        self._repairs, self._undoing = repairs, undoing
        self.relearn: Callable[[Step], None] | None = None
        """Brings back the undo functions that the code had, where an eviction may have taken them."""

    def outcome(self, command_id: str, messages: tuple[Any, ...]) -> bool:
        """Take an outcome of one of this instance's commands. False if it is of another one's."""
        step = self._stack.of(command_id)
        if step is None:
            return command_id in self._writing.commands
        flight = self._flights.land(command_id)
        if flight is not None:
            self._settle(step, *flight, messages)
        elif step.undo_id != command_id:
            self._late(step, messages)
        elif step.state in ("undoing", "undo_failed"):
            undo = step.undo
            self._undoing.answered(step, messages[0])
            if undo is not None:
                self._writing.settled(undo.type, "undo_failed" if step.state == "undo_failed" else "undone")
        return True

    def _settle(self, step: Step, branch: Branch, do: Do, messages: tuple[Any, ...]) -> None:
        verdict = judge(do.then, type(do.command), messages, self._around)
        step.child = ""  # if there was one, it has ended
        if isinstance(verdict, Success):
            self._writing.settled(step.type, "succeeded", do.sent_at)
            self._stack.succeeded(step, verdict.event)
            branch.resume(verdict.event)
            return
        if isinstance(verdict, Refused):
            self._writing.settled(step.type, "refused", do.sent_at)
            self._stack.refused(step)
        else:
            self._writing.settled(step.type, "unknown", do.sent_at)
            self._stack.unknown(step, names_of(do.then, self._around))
        self._not_done(step, branch, verdict)

    def timed_out(self, command_id: str, branch: Branch, after: int) -> None:
        """The timeout of a step has passed: give it up."""
        step = self._flights.give_up(command_id)
        self._not_done(step, branch, TimedOut(f"timed out after {in_seconds(after)}"))

    def _not_done(self, step: Step, branch: Branch, why: NotDone) -> None:
        """Tell a branch, once the step has left nothing behind."""
        self._undoing.threw = True
        if step.state == "unknown" and self._stack.owes(step):
            self._repairs.wait_for(step, branch, why)
            self._stack.undo(step, why.reason)
        else:
            branch.resume(error=why)

    def _late(self, step: Step, messages: tuple[Any, ...]) -> None:
        if step.then == ():
            return  # its first known outcome stands
        command = self._flights.command_of(step)
        verdict = judge(classes_of(step.then, self._around), command, messages, self._around)
        child, step.child = step.child, ""
        hold = self._undoing.status == "compensation_failed"
        if isinstance(verdict, Success) and (step.undo is not None or not child):
            if self.relearn is not None:
                self.relearn(step)
            self._stack.late_success(step, verdict.event, hold=hold)
        elif child:
            self._child_ended(step, hold=hold, left=step.undo is not None and not isinstance(verdict, Refused))
        elif isinstance(verdict, Refused):
            self._stack.late_refusal(step)

    def _child_ended(self, step: Step, *, hold: bool, left: bool) -> None:
        """The child of a step that was given up has ended: that is the answer to its cancel.

        `left`: it may have left something behind, and there is an undo for that.
        """
        step.then = ()
        if left:
            self._stack.late_end(step, hold=hold)
        elif step.state == "unknown":
            self._stack.refused(step)
        elif step.state == "undoing":
            self._undoing.undone(step)
