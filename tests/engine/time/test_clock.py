"""The system's clock: never back, sleeps never over too early, and a clock that was set is noticed in time."""

from __future__ import annotations

import asyncio
import time

import pytest
from tests.engine.time.wall import BEGIN, SECOND, Wall, play

from sagakit.engine.time.clock import LONGEST_SLEEP, SystemClock

HOUR = 3_600


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    return play(monkeypatch)


def test_the_clock_never_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([5_000_000_000, 3_000_000_000, 6_000_000_000])
    monkeypatch.setattr(time, "time_ns", lambda: next(times))
    clock = SystemClock()
    assert [clock.now(), clock.now(), clock.now()] == [5_000_000, 5_000_000, 6_000_000]


def test_it_never_tells_an_earlier_time_than_was_told_before(wall: Wall) -> None:
    clock = SystemClock()
    clock.has_been(BEGIN + HOUR * SECOND)
    assert clock.now() == BEGIN + HOUR * SECOND
    wall.shift = 2 * HOUR * SECOND
    clock.has_been(BEGIN)
    assert clock.now() == BEGIN + 2 * HOUR * SECOND


async def test_a_sleep_is_over_when_it_is_due(wall: Wall) -> None:
    await SystemClock().sleep_until(BEGIN + 2 * HOUR * SECOND)
    assert wall.passed == 2 * HOUR
    assert max(wall.sleeps) == LONGEST_SLEEP


async def test_what_is_due_is_not_slept_for(wall: Wall) -> None:
    await SystemClock().sleep_until(BEGIN)
    assert wall.sleeps == []


@pytest.mark.parametrize("left", [1, 999, 10 * SECOND + 1])
async def test_a_sleep_is_hardly_late(wall: Wall, left: int) -> None:
    clock = SystemClock()
    await clock.sleep_until(BEGIN + left)
    assert BEGIN + left <= clock.now() <= BEGIN + left + SECOND // 100


@pytest.mark.parametrize("when", [0.5, 29.9, 61.0, 1_000.0])
async def test_a_clock_set_forward_is_noticed_within_half_a_minute(wall: Wall, when: float) -> None:
    wall.jumps = [(when, 10 * HOUR * SECOND)]
    await SystemClock().sleep_until(BEGIN + 10 * HOUR * SECOND)
    assert when <= wall.passed <= when + LONGEST_SLEEP


async def test_a_clock_set_back_ends_no_sleep_early(wall: Wall) -> None:
    wall.jumps = [(30.0, -HOUR * SECOND)]
    clock = SystemClock()
    await clock.sleep_until(BEGIN + 60 * SECOND)
    assert HOUR + 60 <= wall.passed <= HOUR + 61
    assert clock.now() >= BEGIN + 60 * SECOND


async def test_a_clock_that_stands_still_is_not_waited_for_busily(wall: Wall) -> None:
    """Due in a microsecond, and it stays so for an hour."""
    wall.frozen = True
    wall.jumps = [(HOUR, SECOND)]
    await SystemClock().sleep_until(BEGIN + 1)
    assert len(wall.sleeps) <= HOUR + 20
    assert HOUR <= wall.passed <= HOUR + 1


async def test_a_pause_ends_also_while_the_clock_stands_still(wall: Wall) -> None:
    wall.frozen = True
    async with asyncio.timeout(1):
        await SystemClock().pause(5 * SECOND)
    assert wall.passed == 5
