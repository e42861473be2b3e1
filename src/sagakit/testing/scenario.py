"""given, when, then: what an aggregate or a process decides, without a store, an engine or an app."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Self

from sagakit.core.decider import Decider
from sagakit.core.messages import Message
from sagakit.core.process_manager.answers import Reactor
from sagakit.core.saga.code_saga import CodeSaga
from sagakit.core.saga.step_saga import StepSaga
from sagakit.testing.compile import subject_of
from sagakit.testing.differences import difference
from sagakit.testing.subjects import Subject

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
START = datetime(2026, 1, 1, tzinfo=UTC)


def given(subject: type[Decider] | type[Reactor] | CodeSaga[Any] | StepSaga[Any], *history: Message) -> Scenario:
    """A new aggregate or instance of a process, to which this has happened: events of the aggregate, or what the
    process was told."""
    scenario = Scenario(subject_of(subject, sys._getframe(1)))  # pyright: ignore[reportPrivateUsage]
    return scenario.after(*history)


class Scenario:
    """A story told step by step; each step fails the test where the subject does something else."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._now = START
        self._said = "given nothing"
        self._answers: list[Any] = []

    def after(self, *history: Message) -> Self:
        """What lies behind it."""
        for message in history:
            self._subject.happened(message, self._time())
        if history:
            self._said = f"given {history[-1]!r}"
        return self

    def when(self, *messages: Message, now: datetime | None = None, to: type | None = None) -> Self:
        """Tell it these messages, one after the other: commands to an aggregate, events to a process.

        An event answers the command that waits for it; where several wait, `to` names its class. No message at all
        says that the command has led to no event. `Cancelled(reason)` asks a process to be undone. `now`: when it is
        recorded; timers that are due by then fire first.
        """
        self._subject.standing_well()
        self._now = now or self._now
        self._said = f"after {', '.join(repr(message) for message in messages) or 'an outcome without events'}"
        self._answers = self._subject.pass_until(self._time())
        if not messages:
            self._subject.standing_well()
            self._answers += self._subject.tell_nothing(self._time(), to)
            return self
        for message in messages:
            self._subject.standing_well()
            self._answers += self._subject.tell(message, self._time(), to)
        return self

    def when_failed(self, reason: str, *, to: type | None = None) -> Self:
        """Its command was given up with this error: it may or may not have been done. `to`: as for `when`."""
        self._subject.standing_well()
        self._said = f"after a failure ({reason})"
        self._answers = self._subject.fail(reason, self._time(), to)
        return self

    def when_timed_out(self, *, to: type | None = None) -> Self:
        """The time of what it waits for has passed: of its step, or of a `receive` (`to`: of this class).

        A command without a timeout is given up, as when its handler never answers.
        """
        self._subject.standing_well()
        due = self._subject.next_timeout(to)
        if due is None:
            return self.when_failed("timed out", to=to)
        self._now = max(self._now, EPOCH + timedelta(microseconds=due))
        self._said = "after a timeout"
        self._answers = self._subject.pass_until(due)
        return self

    def when_passed(self, *, days: float = 0, hours: float = 0, seconds: float = 0) -> Self:
        """So much time passes: what is due on the way happens, in its order."""
        self._subject.standing_well()
        passed = timedelta(days=days, hours=hours, seconds=seconds)
        self._now += passed
        self._said = f"after {passed}"
        self._answers = self._subject.pass_until(self._time())
        return self

    def then(self, *messages: Message, undo: Message | None = None) -> Self:
        """It sends exactly these messages, in this order. `undo`: what is recorded to undo the last of them."""
        self._subject.standing_well()
        if list(messages) != self._answers:
            self._fail("sends other messages than expected", difference(messages, self._answers))
        if undo is not None:
            recorded = self._subject.undo_of_last()
            if recorded != undo:
                found = [] if recorded is None else [recorded]
                self._fail("records another undo than expected", difference([undo], found))
        return self

    def nothing(self) -> Self:
        """It sends nothing."""
        return self.then()

    def ends(self, status: Literal["completed", "compensated", "abandoned"], reason: str = "") -> Self:
        """It has ended like this, for this reason."""
        self._subject.standing_well()
        standing = self._subject.standing()
        if standing.status != status or (reason and standing.reason != reason):
            expected = f"{status} ({reason})" if reason else status
            self._fail("does not end as expected", f"  - expected: {expected}\n  + found:    {standing}")
        return self

    def waits(self, status: Literal["parked", "compensation_failed"], reason: str = "") -> Self:
        """It waits for a person; `reason` is part of what that person is told."""
        standing = self._subject.standing()
        if standing.status != status or reason not in standing.reason:
            expected = f"{status} ({reason})" if reason else status
            self._fail("does not wait as expected", f"  - expected: {expected}\n  + found:    {standing}")
        return self

    def _time(self) -> int:
        return (self._now - EPOCH) // timedelta(microseconds=1)

    def _fail(self, what: str, detail: str) -> None:
        raise AssertionError(f"{self._said}, the {self._subject.kind} {what}\n{detail}")
