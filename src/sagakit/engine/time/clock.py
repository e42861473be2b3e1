"""The system's clock."""

from __future__ import annotations

import asyncio
import time

LONGEST_SLEEP = 30.0
"""Seconds after which a sleeper looks at the clock: so long it may take to notice one that was set forward."""
SHORTEST_SLEEP = 0.001
LONGEST_STANDSTILL = 1.0
"""Seconds between two looks at a clock that stands still."""


class SystemClock:
    """Wall-clock time that never goes back: stepped back, it stands at the highest time seen."""

    def __init__(self) -> None:
        self._highest = 0

    def now(self) -> int:
        """Microseconds since 1970 (UTC)."""
        now = time.time_ns() // 1000
        if now < self._highest:
            return self._highest
        self._highest = now
        return now

    def has_been(self, seen: int) -> None:
        """This time was told before: never tell an earlier one."""
        self._highest = max(self._highest, seen)

    async def sleep_until(self, due: int) -> None:
        """Return once it is `due`: not before, however the clock was set meanwhile.

        This is no poll: one sleep, cut into pieces of 30 s so that a clock set forward is noticed. One that stands
        still is looked at once a second when it has to be.
        """
        left, shortest = due - self.now(), SHORTEST_SLEEP
        while left > 0:
            await asyncio.sleep(min(max(left / 1_000_000, shortest), LONGEST_SLEEP))
            before, left = left, due - self.now()
            shortest = min(shortest * 2, LONGEST_STANDSTILL) if left == before else SHORTEST_SLEEP

    async def pause(self, microseconds: int) -> None:
        """Return after so long, whatever the clock says."""
        await asyncio.sleep(microseconds / 1_000_000)
