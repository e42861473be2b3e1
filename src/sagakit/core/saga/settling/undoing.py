"""How a saga stands, and how it is undone: its code is closed, and its steps are undone one by one."""

from __future__ import annotations

from typing import Any

from sagakit.core.commit import ENDED, Cause, Status
from sagakit.core.lifecycle import CommandFailed
from sagakit.core.saga.compensation import Compensation, Step
from sagakit.core.saga.coroutine.running import Running
from sagakit.core.saga.coroutine.waits import Arrivals, Repairs
from sagakit.core.saga.settling.flights import Flights
from sagakit.core.saga.timing.timers import Timers
from sagakit.errors import ProcessBug


class Undoing:
    """The way from running to compensated."""

    __slots__ = ("_arrivals", "_code", "_flights", "_repairs", "_stack", "_timers", "broken", "status", "threw")

    def __init__(
        self,
        stack: Compensation,
        flights: Flights,
        code: Running,
        arrivals: Arrivals,
        repairs: Repairs,
        timers: Timers,
    ) -> None:
        self.status: Status = "running"
        self.broken: ProcessBug | None = None
        """Why the code cannot be brought to where it stood."""
        self.threw = False
        """Whether this reaction has raised an exception in the code."""
        self._stack, self._flights = stack, flights
        self._code, self._arrivals, self._repairs, self._timers = code, arrivals, repairs, timers

    def cancel(self, reason: str) -> None:
        """Somebody wants the saga undone."""
        if self.status == "running":
            self.stop("cancelled", reason)
            self.next()

    def stop(self, cause: Cause, reason: str) -> None:
        """The code goes no further: give up what is in flight, close it, and make every undo exact."""
        self.status, self.broken = "undoing", None
        record = self._stack.record
        for step in list(record.steps):
            if step.state == "sent" and step.batch:
                self._stack.batches.give_up(step, reason)
            elif step.state == "sent":
                self._flights.give_up(step.id)
        self.close_code()
        self._timers.clear()
        record.undoing, record.cause, record.reason = True, cause, reason
        self._stack.make_exact(reason)

    def next(self) -> None:
        """Send the next undo, or come to the end; one that had ended before has that end again."""
        record = self._stack.record
        if not record.ended:
            if not self._stack.undo_next():
                self.status = "compensated"
        elif not any(step.state == "undoing" for step in record.steps):
            self.status, record.ended = record.ended, ""
            if self.status == "completed":
                record.undoing, record.cause = False, ""

    def settled_by_hand(self) -> None:
        """A person has seen to undos that were given up: go on, unless others are left."""
        failed = any(step.state == "undo_failed" for step in self._stack.record.steps)
        if self.status == "compensation_failed" and not failed:
            self.status = "undoing"
            self.next()

    def answered(self, step: Step, first: Any) -> None:
        """An undo has its answer."""
        if not isinstance(first, CommandFailed):
            self.undone(step)
        elif step.state == "undoing":
            self.failed(step, first.reason)

    def undone(self, step: Step) -> None:
        """Nothing is left of a step: go on."""
        self._stack.answered(step)
        if self.status == "compensation_failed":
            self.settled_by_hand()
        elif self.status == "undoing":
            self.next()
        elif self.status == "running":
            self.threw = True
            self._repairs.answered(step)

    def failed(self, step: Step, reason: str) -> None:
        """An undo was given up: a person has to settle it."""
        self._stack.failed(step, reason)
        if self.status == "running":
            self.stop("failed", reason)
        record = self._stack.record
        if self.status in ENDED:
            record.ended = self.status
        record.undoing = True
        record.cause = record.cause or "failed"
        self.status = "compensation_failed"

    def close_code(self) -> None:
        """End the code; nobody waits for anything any more."""
        self._repairs.clear()
        self._arrivals.clear()
        record = self._stack.record
        record.bug = self._code.close() or record.bug
