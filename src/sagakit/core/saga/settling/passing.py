"""What happens when the deadline of a saga passes, and before."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from types import CodeType
from typing import Any

from sagakit.core.bugs import bug_of
from sagakit.core.lifecycle import DeadlineNear
from sagakit.core.messages import Seconds, derived_id, in_seconds, microseconds
from sagakit.core.process import Input, PendingTimer
from sagakit.core.saga.settling.undoing import Undoing
from sagakit.core.saga.timing.deadline import Deadline
from sagakit.core.saga.timing.timers import Timers
from sagakit.core.saga.writing import Writing
from sagakit.errors import ProcessBug, TerminalError


class Passing:
    """The deadline of one saga while it runs.

    Its two timers have ids of their own, which do not depend on what the code does: a deadline that is declared
    anew is for instances that start from then on, and the recorded one of an older instance stands.
    """

    def __init__(
        self,
        deadline: Deadline,
        name: str,
        key: str,
        id: str,
        writing: Writing,
        timers: Timers,
        undoing: Undoing,
    ) -> None:
        self._deadline = deadline
        self._process, self._key, self._id = name, key, id
        self._writing, self._timers, self._undoing = writing, timers, undoing
        self._start: Any = None

    def begin(self, given: Input) -> None:
        """The saga starts."""
        deadline, ids = self._deadline, timer_ids(given.id, self._id)
        self._start = given.messages[0]
        after = self._length(deadline.after, "the deadline")
        if deadline.warn is not None:
            before = self._length(deadline.warn, "the warning before the deadline")
            self._timers.set("warning", max(after - before, 0), id=ids["warning"])
        self._timers.set("deadline", after, id=ids["deadline"])

    def begin_anew(self, start: Any) -> None:
        """The saga goes on anew with another start message, under the same deadline."""
        self._start = start

    def passed(self, timer: PendingTimer, author: CodeType | None) -> None:
        """One of its timers fires."""
        deadline = self._deadline
        if timer.kind == "warning":
            self._near(timer)
        elif deadline.then == "compensate":
            self._undoing.stop("timed_out", f"deadline of {in_seconds(timer.after)} passed")
            self._undoing.next()
        elif callable(deadline.then):
            self._send(deadline.then, author)
        else:
            self._near(timer)

    def _near(self, timer: PendingTimer) -> None:
        due = timer.due_at
        if timer.kind == "warning":
            due = self._timers.due("deadline") or due
        at = datetime.fromtimestamp(due / 1_000_000, UTC)
        self._writing.event(DeadlineNear(self._process, self._key, self._id, at))

    def _send(self, build: Callable[[Any], Any], author: CodeType | None) -> None:
        name = getattr(build, "__name__", str(build))
        try:
            command = build(self._start)
        except Exception as error:
            raise ProcessBug(f"what the deadline does ({name}): {bug_of(error, author)}") from error
        try:
            self._writing.command(command)
        except TerminalError as error:
            raise ProcessBug(f"what the deadline does ({name}): {error}") from error

    def _length(self, value: Seconds, what: str) -> int:
        try:
            return microseconds(value, what)
        except ValueError as error:
            raise ProcessBug(str(error)) from error


def timer_ids(started_by: str, instance: str) -> dict[str, str]:
    """The ids of the timers of an instance's deadline, whatever the code declares now."""
    return {kind: derived_id(started_by, f"{instance}/{kind}", 0) for kind in ("deadline", "warning")}
