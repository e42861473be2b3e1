"""An operator's hands on a saga: recorded inputs that change how it stands, where no message would."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from sagakit.core.lifecycle import OperatorActed
from sagakit.core.process import Input, Surroundings
from sagakit.core.saga.compensation import Compensation, Recorded, Step
from sagakit.core.saga.coroutine.waits import Arrivals
from sagakit.core.saga.operations import Do
from sagakit.core.saga.rerun import RERUN, step_of
from sagakit.core.saga.settling.flights import Flights
from sagakit.core.saga.settling.settling import Settling
from sagakit.core.saga.settling.undoing import Undoing
from sagakit.core.saga.timing.timers import Timers
from sagakit.core.saga.writing import Writing
from sagakit.errors import NotPossible


class Operated:
    """Does what an operator has decided. What changes nothing in a saga, such as a pause, is recorded only."""

    def __init__(
        self,
        around: Surroundings,
        writing: Writing,
        stack: Compensation,
        flights: Flights,
        undoing: Undoing,
        settling: Settling,
        arrivals: Arrivals,
        timers: Timers,
    ) -> None:
        self._around, self._writing = around, writing
        self._stack, self._flights = stack, flights
        self._undoing, self._settling, self._arrivals, self._timers = undoing, settling, arrivals, timers
        self._actions: Mapping[str, Callable[[OperatorActed], None]] = {
            "cancel": self._cancel,
            "compensate": self._compensate,
            "abandon": self._abandon,
            "resume_compensation": self._resume,
            "skip_step": self._skip,
            "give_result": self._give,
            "retry": self._retry_undo,
            "edit": self._edit_undo,
            "drop": self._drop_undo,
            RERUN: self._run_again,
        }

    def act(self, acted: OperatorActed, given: Input) -> bool:
        """Do it. True if the code goes no further: then what starts it does not start it any more."""
        before = self._undoing.status
        act = self._actions.get(acted.action)
        if act is not None:
            act(acted)
        if acted.action == "drop" and self._stack.record.batches:
            self._stack.batches.undo_dropped(given)
        return before == "running" and self._undoing.status != "running"

    # ------------------------------------------------------------------ the whole

    def _cancel(self, acted: OperatorActed) -> None:
        self._undoing.cancel(acted.reason)

    def _compensate(self, acted: OperatorActed) -> None:
        if self._undoing.status == "running":
            self._undoing.stop("failed", acted.reason)
            self._undoing.next()

    def _abandon(self, acted: OperatorActed) -> None:
        undoing, record = self._undoing, self._stack.record
        for step in list(record.steps):
            if step.batch:
                self._stack.batches.abandon(step)
            elif step.state == "sent":
                self._flights.give_up(step.id)
            elif step.state in ("undoing", "undo_failed"):
                self._writing.withdraw(step.undo_id)
                self._stack.failed(step, step.undo_error or f"abandoned: {acted.reason}")
        undoing.close_code()
        self._timers.clear()
        undoing.broken = None
        record.undoing, record.reason = True, acted.reason
        record.cause = record.cause or "cancelled"
        undoing.status = "abandoned"

    def _resume(self, acted: OperatorActed) -> None:
        for step in reversed(self._stack.record.steps):
            if step.state == "undo_failed":
                self._stack.undo_again(step)
        self._go_on()

    def _run_again(self, acted: OperatorActed) -> None:
        if self._stack.record.batches:
            self._stack.batches.run_again(step_of(acted))

    # ------------------------------------------------------------------ one step

    def _skip(self, acted: OperatorActed) -> None:
        if self._timers.known(acted.command_id):
            self._wake(acted.command_id)
            return
        step, do = self._flight(acted.command_id)
        if do.then is not None and not isinstance(do.at, str):
            raise NotPossible(
                f"step {step.ordinal} ({step.type}): its code needs a result to go on: give one "
                f"({' or '.join(codec_name(self._around, cls) for cls in do.then)}) instead of skipping it"
            )
        flight = self._flights.land(acted.command_id)
        assert flight is not None
        self._writing.withdraw(acted.command_id)
        self._stack.succeeded(step, None)
        flight[0].resume(None)

    def _wake(self, timer_id: str) -> None:
        """Wait no longer for a time: it is as if it had come."""
        self._timers.fired(timer_id)
        sleeper = self._timers.woken(timer_id)
        if sleeper is None or sleeper.command_id:
            raise NotPossible("it does not sleep: that time has come already, or is the timeout of a step")
        self._writing.forget(timer_id)
        self._arrivals.withdraw((sleeper.branch,))
        sleeper.branch.resume()

    def _give(self, acted: OperatorActed) -> None:
        message = self._around.codecs.decode(acted.type, acted.version, bytes(acted.payload))
        if not acted.command_id:
            branch = self._arrivals.take(message)
            if branch is None:
                raise NotPossible(f"it does not wait for {acted.type}")
            self._timers.settled(branch)
            branch.resume(message)
            return
        step, do = self._flight(acted.command_id)
        declared = {*self._around.outcomes.get(do.command.__class__, ()), *(do.then or ())}
        if message.__class__ not in declared and not self._around.open:
            known = ", ".join(sorted(codec_name(self._around, cls) for cls in declared))
            raise NotPossible(f"step {step.ordinal} ({step.type}) has no outcome {acted.type}; it has: {known}")
        self._writing.withdraw(acted.command_id)
        self._settling.outcome(acted.command_id, (message,))

    def _flight(self, command_id: str) -> tuple[Step, Do]:
        step, flight = self._stack.of(command_id), self._flights.out.get(command_id)
        if self._undoing.broken is not None:
            raise NotPossible(f"its code cannot go on: {self._undoing.broken}")
        if step is None or flight is None:
            raise NotPossible(f"no step of it waits for the outcome of a command with the id {command_id!r}")
        return step, flight[1]

    # ------------------------------------------------------------------ an undo that was given up

    def _retry_undo(self, acted: OperatorActed) -> None:
        step = self._undo(acted.command_id)
        if step is not None and step.state == "undo_failed":
            self._stack.undo_again(step)
            self._go_on()

    def _edit_undo(self, acted: OperatorActed) -> None:
        step = self._undo(acted.command_id)
        if step is not None:
            undo = Recorded(acted.type, acted.version, msgspec.Raw(bytes(acted.payload)))
            self._stack.undo_edited(step, undo, acted.details["message_id"])
            self._go_on()

    def _drop_undo(self, acted: OperatorActed) -> None:
        step = self._undo(acted.command_id)
        if step is not None:
            self._undoing.answered(step, None)

    def _undo(self, undo_id: str) -> Step | None:
        step = self._stack.of(undo_id) if undo_id else None
        if step is None or step.undo_id != undo_id or step.state not in ("undoing", "undo_failed"):
            return None
        return step

    def _go_on(self) -> None:
        self._undoing.settled_by_hand()


def codec_name(around: Surroundings, cls: type[Any]) -> str:
    """The wire name of a class."""
    codec = around.codecs.by_class.get(cls)
    return cls.__name__ if codec is None else codec.name
