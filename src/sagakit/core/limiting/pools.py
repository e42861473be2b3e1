"""What a limit gives out: slots, which come back, and tokens, which come anew with time.

A limit is one for all workers, and each of them gives out its share: the shares add up to the limit.
"""

from __future__ import annotations

from typing import NamedTuple

NANO = 1_000
"""Nanoseconds in a microsecond: a token every 333 µs would otherwise come too early or too late."""


class Share(NamedTuple):
    """Which part of a limit is a worker's: one of so many, and which of them."""

    of: int = 1
    place: int = 0

    def part(self, whole: int, turn: int = 0) -> int:
        """Its part of a number; `turn` moves what is left over to another worker. All parts add up to it."""
        if not self.of:
            return 0
        each, over = divmod(whole, self.of)
        return each + ((self.place + turn) % self.of < over)


WHOLE = Share()
"""The share of an engine that is alone."""
NOTHING = Share(0)
"""The share of a worker that owns nothing of a handler: it is handing over what it had."""


class Slots:
    """So many at the same time."""

    __slots__ = ("_most", "_turn", "_whole", "used")

    def __init__(self, most: int, share: Share = WHOLE, turn: int = 0) -> None:
        self._whole, self._turn, self.used = most, turn, 0
        self.shared(share, 0)

    def shared(self, share: Share, now: int) -> None:
        """This is this worker's share from now on; what runs goes on."""
        self._most = share.part(self._whole, self._turn)

    def free(self, now: int) -> int:
        """How many may begin now."""
        return self._most - self.used

    def take(self, now: int) -> None:
        """One begins."""
        self.used += 1

    def give_back(self) -> None:
        """It has ended."""
        self.used -= 1

    def opens_at(self) -> int | None:
        """When one more may begin, as far as time brings that about."""
        return None

    def at_rest(self, now: int) -> bool:
        """Whether it is as it was made."""
        return not self.used


class Tokens:
    """So many in a time: a bucket that holds `burst` tokens and fills evenly (the generic cell rate algorithm).

    Times are microseconds.
    """

    __slots__ = ("_burst", "_full_at", "_interval", "_per", "_turn", "_whole", "_whole_burst")

    def __init__(self, most: int, per: int, burst: int, share: Share = WHOLE, turn: int = 0) -> None:
        self._whole, self._per, self._whole_burst, self._turn = most, per, burst, turn
        self._interval = self._burst = self._full_at = 0
        self.shared(share, 0)

    def shared(self, share: Share, now: int) -> None:
        """This is this worker's share from now on; what is in the bucket stays in it, as far as there is room."""
        interval, burst = self._interval, self._burst
        behind = max(self._full_at - now * NANO, 0)
        self._interval = -(-self._per * NANO * max(share.of, 1) // self._whole)
        self._burst = max(1, share.part(self._whole_burst, self._turn)) if share.of else 0
        if interval:
            missing = (self._burst - burst) * self._interval - (-behind * self._interval // interval)
            self._full_at = now * NANO + max(missing, 0)

    def free(self, now: int) -> int:
        """How many may begin now."""
        behind = self._full_at - now * NANO
        return self._burst if behind <= 0 else self._burst + (-behind // self._interval)

    def take(self, now: int) -> None:
        """One begins."""
        self._full_at = max(self._full_at, now * NANO) + self._interval

    def give_back(self) -> None:
        """It has ended: that brings no token back."""

    def opens_at(self) -> int | None:
        """When one more may begin."""
        return None if not self._burst else -(-(self._full_at - (self._burst - 1) * self._interval) // NANO)

    def at_rest(self, now: int) -> bool:
        """Whether it is as it was made."""
        return self._full_at <= now * NANO
