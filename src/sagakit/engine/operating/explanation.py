"""What an explanation says: why something stands still, since when, who can unblock it, and which command does."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

Situation: TypeAlias = Literal[
    "ended",
    "under_way",
    "waiting_for_limit",
    "retrying",
    "parked_command",
    "parked_event",
    "behind_another",
    "unreadable",
    "waiting_for_event",
    "waiting_for_child",
    "handed_over",
    "sleeping",
    "paused",
    "compensation_failed",
    "code_contradicts_record",
    "no_code",
    "no_engine",
    "outcome_lost",
]


class Wait(Struct, frozen=True):
    """One thing that is waited for. Times are microseconds since 1970 (UTC)."""

    kind: Literal["message", "timer", "delivery", "event", "person"]
    what: str
    """The type of the message or event, or the time in words."""
    id: str = ""
    """The delivery, where there is one; else the message or timer."""
    since: int | None = None
    attempts: int = 0
    last_error: str | None = None
    due_at: int | None = None


class Blocker(Struct, frozen=True):
    """The head of a lane that others wait behind."""

    delivery: int
    message: str
    state: str
    lane: str
    last_error: str | None = None


class Explanation(Struct, frozen=True, kw_only=True):
    """Why an instance or a delivery stands where it stands."""

    id: str
    type: str
    key: str = ""
    status: str
    situation: Situation
    why: str
    """In a sentence."""
    since: int | None = None
    waits_for: list[Wait] = []
    blocked_by: Blocker | None = None
    who: str
    """Who can unblock it."""
    mend: list[str] = []
    """The commands that do; where there are several, the first is the one to try first."""
    next_step: str = ""
    """What happens then."""
    engine: bool = True
    """Whether an engine runs on the database."""
