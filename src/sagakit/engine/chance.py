"""The system's own chance."""

from __future__ import annotations

import random

from uuid_utils import uuid7


class SystemChance:
    """Ids that rise with time, and Python's generator of random numbers."""

    def new_id(self) -> str:
        """A UUID of version 7."""
        return uuid7().hex

    def share(self) -> float:
        """A number in [0, 1)."""
        return random.random()  # noqa: S311 (it spreads retries)
