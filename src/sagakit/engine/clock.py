"""The system's clock, as the engine uses it."""

from __future__ import annotations

import asyncio
import time

LONGEST_SLEEP = 3600.0


class SystemClock:
    """Wall-clock time that never goes back: stepped back, it stands at the highest time seen."""

    def __init__(self) -> None:
        self._highest = 0

    def now(self) -> int:
        """Microseconds since 1970 (UTC)."""
        now = time.time_ns() // 1000
        self._highest = max(self._highest, now)
        return self._highest

    async def sleep_until(self, due: int) -> None:
        """Return once it is `due`. Sleeps at most an hour at a time, so that a clock set forward is noticed."""
        while (left := due - self.now()) > 0:  # noqa: ASYNC110
            # not a poll: one sleep, cut into hours so that a clock set forward is noticed
            await asyncio.sleep(min(left / 1_000_000, LONGEST_SLEEP))
