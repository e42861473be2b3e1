"""The deadline of a saga as its author declares it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal, TypeAlias

from sagakit.core.messages import Message, Seconds

AtDeadline: TypeAlias = Literal["compensate", "warn"] | Callable[[Any], Message]


@dataclass(frozen=True)
class Deadline:
    """So long after its start a saga has to have ended.

    `then`, if it has not: "compensate" undoes it (cause `timed_out`); "warn" publishes a `DeadlineNear` and lets it
    go on; a function of its start message makes a command that is sent, and the saga goes on. `warn`: so long before
    the deadline a `DeadlineNear` is published first.
    """

    after: Seconds
    _: KW_ONLY
    then: AtDeadline = "compensate"
    warn: Seconds | None = None


def deadline_of(declared: Seconds | Deadline | None) -> Deadline | None:
    """A deadline as it was given, in full."""
    return declared if declared is None or isinstance(declared, Deadline) else Deadline(declared)
