"""How often, and when, a failed delivery is tried again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagakit.core.retry import DEFAULT, Retry, next_delay
from sagakit.errors import Busy, InvalidMessage


def delays(*retries: Retry, error: BaseException | None = None, attempts: int = 12) -> list[float | None]:
    return [next_delay(retries, error or ValueError(), attempt, 0.0) for attempt in range(1, attempts + 1)]


def test_delays_grow_by_the_factor_up_to_the_cap_and_end() -> None:
    assert delays(Retry(6, first=1, factor=3, cap=10), attempts=7) == [1, 3, 9, 10, 10, None, None]


def test_without_a_number_it_never_ends() -> None:
    assert next_delay([Retry(None)], ValueError(), 10_000, 0.0) == 60.0


def test_one_attempt_is_no_retry() -> None:
    assert delays(Retry(1), attempts=1) == [None]


def test_the_default_tries_eight_times() -> None:
    assert delays(*DEFAULT, attempts=8) == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, None]


@given(st.integers(1, 7), st.floats(0, 1, exclude_max=True))
def test_jitter_only_shortens(attempt: int, chance: float) -> None:
    retry = Retry(8, first=2, jitter=0.5)
    whole = retry.delay(attempt, 0.0)
    found = retry.delay(attempt, chance)
    assert whole is not None
    assert found is not None
    assert whole / 2 <= found <= whole


def test_durations_may_be_timedeltas() -> None:
    retry = Retry(first=timedelta(minutes=1), cap=timedelta(hours=1))
    assert (retry.first, retry.cap) == (60.0, 3600.0)


def test_a_terminal_error_is_never_tried_again() -> None:
    assert next_delay([Retry(None)], InvalidMessage("bad"), 1, 0.0) is None


def test_the_first_that_names_the_error_decides() -> None:
    retries = (Retry(3, first=5, on=ConnectionError), Retry(2, first=1, on=OSError), Retry(9, on=ValueError))
    assert delays(*retries, error=ConnectionResetError(), attempts=3) == [5, 10, None]
    assert delays(*retries, error=FileNotFoundError(), attempts=2) == [1, None]
    assert delays(*retries, error=KeyError(), attempts=1) == [None], "nobody names it"


def test_never_means_never() -> None:
    retries = (Retry(never=KeyError), Retry(9))
    assert delays(*retries, error=KeyError(), attempts=1) == [None]
    assert delays(*retries, error=ValueError(), attempts=1) == [0.2]


@pytest.mark.parametrize(
    "wrong", [{"attempts": 0}, {"first": -1}, {"cap": -1}, {"factor": 0.5}, {"jitter": 2}, {"jitter": -0.1}]
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"at least 1|not below 0"):
        Retry(**wrong)


def test_whoever_refuses_may_ask_for_a_longer_wait() -> None:
    patient, hasty = Busy(7, retry_after=9), Busy(7, retry_after=0.1)
    assert delays(Retry(3, first=1), error=patient, attempts=3) == [9, 9, None]
    assert delays(Retry(3, first=1), error=hasty, attempts=3) == [1, 2, None]
