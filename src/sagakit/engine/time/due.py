"""When something that is asked for later is due, from what a caller gave: a delay, or a time."""

from __future__ import annotations

from datetime import UTC, datetime
from math import isfinite

from sagakit.core.messages import Seconds, seconds

LATEST = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp()) * 1_000_000


def due_at(now: int, after: Seconds | None, at: datetime | None) -> int | None:
    """Microseconds since 1970 (UTC); None for at once. What is in the past is due at once."""
    if after is not None and at is not None:
        raise ValueError(f"after={after!r} and at={at!r}: give one of them")
    if after is not None:
        due = now + _delay(after, now)
    elif at is not None:
        due = _time(at)
    else:
        return None
    return due if due > now else None


def _delay(after: Seconds, now: int) -> int:
    try:
        delay = float(seconds(after))
    except (TypeError, ValueError):
        raise TypeError(f"after={after!r}: give seconds, or a timedelta") from None
    if not isfinite(delay) or delay < 0:
        raise ValueError(f"after={after!r}: give seconds from 0 on, or a timedelta")
    if delay > (LATEST - now) / 1_000_000:
        raise ValueError(f"after={after!r}: that is past the year 9999")
    return round(delay * 1_000_000)


def _time(at: datetime) -> int:
    if not isinstance(at, datetime):  # pyright: ignore[reportUnnecessaryIsInstance] (callers may not be type-checked)
        raise TypeError(f"at={at!r}: give a datetime with a time zone; for a delay use after=")
    if at.utcoffset() is None:
        raise ValueError(
            f"at={at!r}: it has no time zone, so nobody can say when that is: "
            "give it one by at.replace(tzinfo=UTC), or by at.astimezone() if it is local time"
        )
    # not timestamp(): as a float it would be early or late by some microseconds
    passed = at.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds
