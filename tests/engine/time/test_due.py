"""When something asked for later is due; and what is wrong with a time that nobody can keep, in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from sagakit.engine.time.due import due_at

NOW = 1_800_000_000_000_000
TIME = datetime.fromtimestamp(1_800_000_000, UTC)


def test_nothing_said_is_at_once() -> None:
    assert due_at(NOW, None, None) is None


@pytest.mark.parametrize(
    ("after", "microseconds"),
    [(1, 1_000_000), (0.1, 100_000), (timedelta(days=30, microseconds=1), 30 * 86_400_000_000 + 1)],
)
def test_after_a_delay(after: Any, microseconds: int) -> None:
    assert due_at(NOW, after, None) == NOW + microseconds


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=5, minutes=30))])
def test_at_a_time_to_the_microsecond(zone: timezone) -> None:
    at = (TIME + timedelta(days=1, microseconds=7)).astimezone(zone)
    assert due_at(NOW, None, at) == NOW + 86_400_000_007


@pytest.mark.parametrize(
    ("after", "at"), [(0, None), (0.0, None), (timedelta(0), None), (None, TIME), (None, TIME - timedelta(days=9))]
)
def test_what_is_past_is_due_at_once(after: Any, at: datetime | None) -> None:
    assert due_at(NOW, after, at) is None


def test_a_time_without_a_zone_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match=r"at=datetime\.datetime\(2030, 1, 1.*no time zone.*replace\(tzinfo=UTC\)"):
        due_at(NOW, None, datetime(2030, 1, 1))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("after", "at", "error", "words"),
    [
        (1, TIME, ValueError, "after=1 and at=.*give one of them"),
        (-1, None, ValueError, "after=-1: give seconds from 0 on"),
        (timedelta(seconds=-1), None, ValueError, "from 0 on"),
        (float("nan"), None, ValueError, "after=nan"),
        (float("inf"), None, ValueError, "after=inf"),
        (1e12, None, ValueError, "past the year 9999"),
        ("soon", None, TypeError, "after='soon': give seconds, or a timedelta"),
        (TIME, None, TypeError, "give seconds, or a timedelta"),
        (None, 5, TypeError, "at=5: give a datetime with a time zone; for a delay use after="),
        (None, "2030-01-01", TypeError, "give a datetime"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_words(after: Any, at: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        due_at(NOW, after, at)
