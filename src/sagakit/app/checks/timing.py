"""Times: timeouts and deadlines that can pass, and reminders that somebody takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sagakit.app.reading.parts import Parts
from sagakit.core.messages import LONGEST, in_seconds, microseconds
from sagakit.core.saga.code_saga import CodeSaga
from sagakit.core.saga.step_saga import StepSaga
from sagakit.core.saga.timing.deadline import Deadline


def that_cannot_pass(parts: Parts) -> Iterator[str]:
    """Timeouts of steps, and deadlines, that are no time at all or do nothing."""
    for process in parts.processes:
        saga = process.declared
        if isinstance(saga, StepSaga):
            for number, step in enumerate(saga.steps, 1):
                at = f"{process.where}, step {number} ({step.name})"
                yield from _length(step.timeout, f"{at}: timeout=")
        if not 0 <= saga.early_for <= LONGEST:
            yield f"{process.where}: early_for={saga.early_for!r}: give seconds, or a timedelta, of 0 or more"
        if isinstance(saga, CodeSaga | StepSaga) and saga.deadline is not None:
            for problem in _deadline(saga.deadline):
                yield f"{process.where}, {problem}"


def reminders_without_taker(parts: Parts) -> Iterator[str]:
    """Messages that a process manager is reminded of and does not take."""
    for process in parts.processes:
        for cls in sorted(process.made.reminded - process.evolves - process.reacts, key=lambda one: one.__qualname__):
            yield (
                f"{process.where}: Remind tells it {cls.__qualname__}, which neither react nor evolve takes: "
                "add it to the annotation of react, and a case for it"
            )


def _deadline(deadline: Deadline) -> Iterator[str]:
    yield from _length(deadline.after, "deadline=")
    yield from _length(deadline.warn, "deadline, warn=")
    then: Any = deadline.then
    if isinstance(then, type) or not (callable(then) or then in ("compensate", "warn")):
        found = then.__qualname__ if isinstance(then, type) else repr(then)
        yield f"deadline, then={found}: give 'compensate', 'warn', or a function of its start message"
    if deadline.warn is not None and not any((*_length(deadline.after, ""), *_length(deadline.warn, ""))):
        after, warn = microseconds(deadline.after, ""), microseconds(deadline.warn, "")
        if warn >= after:
            yield (
                f"deadline, warn={deadline.warn!r}: the warning comes so long before the deadline, "
                f"which is {in_seconds(after)} after the start: make it shorter"
            )


def _length(value: Any, what: str) -> Iterator[str]:
    try:
        if value is not None and not microseconds(value, what):
            yield f"{what}{value!r}: it passes at once: give seconds, or a timedelta, above 0"
    except (TypeError, ValueError):
        yield f"{what}{value!r}: give seconds, or a timedelta, of ten thousand years at most"
