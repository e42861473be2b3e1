"""A circuit breaker: a server that fails again and again is left alone for a while."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

State: TypeAlias = Literal["closed", "open", "half_open"]


class Breaker:
    """Closed: calls are made. Open: none. Half open: one probe is under way, and decides."""

    def __init__(self, failures: int, rest: float, now: Callable[[], float]) -> None:
        """`failures` in a row open it; after `rest` seconds of `now` a probe is due."""
        self._most = failures
        self._rest = rest
        self._now = now
        self._failures = 0
        self._until = 0.0
        self.state: State = "closed"

    def probe(self) -> bool:
        """Whether the caller is to probe: True once after each rest."""
        if self.state != "open" or self._now() < self._until:
            return False
        self.state = "half_open"
        return True

    def succeeded(self) -> bool:
        """A call has succeeded. True if that closes it: one that was made before it opened says nothing."""
        if self.state == "open":
            return False
        self._failures = 0
        closes, self.state = self.state == "half_open", "closed"
        return closes

    def failed(self) -> bool:
        """A call has failed. True if that opens it."""
        if self.state == "open":
            return False
        self._failures += 1
        if self.state == "closed" and self._failures < self._most:
            return False
        self.state, self._until = "open", self._now() + self._rest
        return True
