"""The system's time, played: a wall clock that a test sets, and sleeps that pass at once."""

from __future__ import annotations

import asyncio
import time

import pytest

SECOND = 1_000_000
BEGIN = 1_800_000_000 * SECOND


class Wall:
    """What `time` and `asyncio.sleep` tell the system's clock."""

    def __init__(self) -> None:
        self.passed = 0.0
        """Seconds that were slept, whatever the wall clock says."""
        self.shift = 0
        """By how much somebody has set the wall clock."""
        self.frozen = False
        self.jumps: list[tuple[float, int]] = []
        """(when, by how much) it will be set."""
        self.sleeps: list[float] = []

    def time_ns(self) -> int:
        return (BEGIN + self.shift + (0 if self.frozen else round(self.passed * SECOND))) * 1000

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.passed += seconds
        while self.jumps and self.jumps[0][0] <= self.passed:
            self.shift += self.jumps.pop(0)[1]


def play(monkeypatch: pytest.MonkeyPatch) -> Wall:
    wall = Wall()
    monkeypatch.setattr(time, "time_ns", wall.time_ns)
    monkeypatch.setattr(asyncio, "sleep", wall.sleep)
    return wall
