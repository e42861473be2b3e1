"""Who of a saga's code waits until when."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from sagakit.core.process import PendingTimer, TimerKind
from sagakit.core.saga.compensation import Compensation
from sagakit.core.saga.coroutine.branches import Branch
from sagakit.core.saga.writing import Writing


class Sleeper(NamedTuple):
    """The branch that a timer is for, and the command that it waits for; "" if it waits for none."""

    branch: Branch
    command_id: str


class Timers:
    """The timers of one saga: set, and forgotten when what they are for has come first."""

    __slots__ = ("_of", "_set", "_sleepers", "_stack", "_writing")

    def __init__(self, writing: Writing, stack: Compensation) -> None:
        self._writing, self._stack = writing, stack
        self._sleepers: dict[str, Sleeper] = {}
        self._of: dict[Branch, str] = {}
        self._set: set[str] = set()

    def set(self, kind: TimerKind, after: int, what: str = "", *, id: str = "") -> str:
        """Set a timer; its id. `after`: microseconds from now."""
        timer = self._writing.timer(kind, after, what, id=id)
        self._stack.record.timers.append(timer)
        return timer.id

    def wake(self, branch: Branch, kind: TimerKind, after: int, what: str = "", *, command_id: str = "") -> None:
        """Set a timer for a branch."""
        id = self.set(kind, after, what)
        self._set.add(id)
        self._sleepers[id] = Sleeper(branch, command_id)
        self._of[branch] = id

    def known(self, id: str) -> bool:
        """Whether the code has set this timer, also if it was forgotten since."""
        return id in self._set

    def fired(self, id: str) -> PendingTimer | None:
        """The timer that fires; None if it was forgotten before."""
        timers = self._stack.record.timers
        for index, timer in enumerate(timers):
            if timer.id == id:
                return timers.pop(index)
        return None

    def due(self, kind: TimerKind) -> int:
        """When the timer of this kind is due; 0 if there is none."""
        return next((timer.due_at for timer in self._stack.record.timers if timer.kind == kind), 0)

    def woken(self, id: str) -> Sleeper | None:
        """Who waited for a timer that fires."""
        sleeper = self._sleepers.pop(id, None)
        if sleeper is not None:
            del self._of[sleeper.branch]
        return sleeper

    def settled(self, branch: Branch) -> None:
        """What a branch waited for has come before its time was over."""
        id = self._of.pop(branch, None)
        if id is not None:
            del self._sleepers[id]
            self._forget(id)

    def withdraw(self, branches: Collection[object]) -> None:
        """These wait no more."""
        for branch in [one for one in self._of if one in branches]:
            self.settled(branch)

    def clear(self) -> None:
        """Nothing is waited for any more."""
        record = self._stack.record
        if record.timers:
            for timer in record.timers:
                self._writing.forget(timer.id)
            record.timers = []
        self.let_go()

    def let_go(self) -> None:
        """The branches are gone; what is set stays set."""
        self._sleepers.clear()
        self._of.clear()

    def _forget(self, id: str) -> None:
        if self.fired(id) is not None:
            self._writing.forget(id)
