"""The times of a saga that has some: branches wait for them, they fire, and its deadline passes."""

from __future__ import annotations

from typing import Any

from sagakit.core.messages import Seconds, microseconds
from sagakit.core.process import Input, TimerKind
from sagakit.core.saga.coroutine.branches import Branch
from sagakit.core.saga.coroutine.running import Running
from sagakit.core.saga.coroutine.waits import Arrivals
from sagakit.core.saga.operations import Operation
from sagakit.core.saga.settling.passing import Passing, timer_ids
from sagakit.core.saga.settling.settling import Settling
from sagakit.core.saga.settling.undoing import Undoing
from sagakit.core.saga.timing.timers import Timers
from sagakit.errors import Nondeterminism, ProcessBug


class Times:
    """Sets timers for branches, and wakes them."""

    __slots__ = ("_arrivals", "_code", "_settling", "_timers", "_undoing", "passing")

    def __init__(
        self,
        passing: Passing | None,
        timers: Timers,
        undoing: Undoing,
        settling: Settling,
        arrivals: Arrivals,
        code: Running,
    ) -> None:
        self.passing = passing
        """The deadline, if the code has one."""
        self._timers, self._undoing, self._settling = timers, undoing, settling
        self._arrivals, self._code = arrivals, code

    def wait(self, branch: Branch, operation: Operation[Any], delay: Seconds, kind: TimerKind, what: str = "") -> bool:
        """Set a timer for a branch. True if there is no time to wait."""
        try:
            after = microseconds(delay, "sleep()" if kind == "sleep" else "timeout=")
        except ValueError as error:
            raise ProcessBug(f"{operation.where()}: {operation.what()}: {error}") from error
        if after:
            self._timers.wake(branch, kind, after, what)
        return not after

    def fire(self, given: Input, *, started_by: str, instance: str) -> None:
        """A timer fires. One that is not waited for any more changes nothing."""
        timer = self._timers.fired(given.id)
        broken = self._undoing.broken
        if timer is None:
            replayed = self._code.silent and broken is None
            of_code = given.id not in timer_ids(started_by, instance).values()
            if replayed and of_code and not self._timers.known(given.id):
                raise Nondeterminism(f"{given.messages[0].what} is recorded, the code sets no such timer any more")
        elif timer.kind in ("deadline", "warning"):
            if self.passing is not None:  # else the code has none any more
                self.passing.passed(timer, self._code.author)
        elif broken is not None:
            raise broken
        else:
            self._wake(given.id, timer.after)

    def _wake(self, id: str, after: int) -> None:
        sleeper = self._timers.woken(id)
        assert sleeper is not None
        if sleeper.command_id:
            self._settling.timed_out(sleeper.command_id, sleeper.branch, after)
        else:
            self._arrivals.withdraw((sleeper.branch,))
            sleeper.branch.resume()
