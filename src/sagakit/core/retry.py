"""How often, and when, a failed delivery is tried again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from sagakit.core.messages import Seconds, seconds
from sagakit.errors import RetryableError, TerminalError

Errors: TypeAlias = type[Exception] | tuple[type[Exception], ...]


@dataclass(frozen=True, init=False)
class Retry:
    """Try again after `first` seconds, `factor` times longer each time up to `cap`, `attempts` times in all.

    `attempts` None never gives up. `jitter` shortens a delay by up to this share, so that many failures do not
    come back at once. It holds for errors of the types `on`, but not of those `never`; a TerminalError is never
    tried again, whatever is declared.
    """

    attempts: int | None
    first: float
    factor: float
    cap: float
    jitter: float
    on: Errors
    never: Errors

    def __init__(
        self,
        attempts: int | None = 8,
        *,
        first: Seconds = 0.2,
        factor: float = 2.0,
        cap: Seconds = 60.0,
        jitter: float = 0.1,
        on: Errors = Exception,
        never: Errors = (),
    ) -> None:
        if attempts is not None and attempts < 1:
            raise ValueError(f"attempts={attempts}: at least 1, or None for no end")
        if seconds(first) < 0 or seconds(cap) < 0 or factor < 1 or not 0 <= jitter <= 1:
            raise ValueError("first and cap: not below 0; factor: at least 1; jitter: between 0 and 1")
        put = object.__setattr__
        put(self, "attempts", attempts)
        put(self, "first", seconds(first))
        put(self, "factor", factor)
        put(self, "cap", seconds(cap))
        put(self, "jitter", jitter)
        put(self, "on", on)
        put(self, "never", never)

    def delay(self, attempt: int, chance: float) -> float | None:
        """Seconds to wait after attempt number `attempt` (from 1) failed; None: used up. `chance` is in [0, 1)."""
        if self.attempts is not None and attempt >= self.attempts:
            return None
        # 64 doublings are past any cap, and a float would overflow later on
        wait = min(self.cap, self.first * self.factor ** min(attempt - 1, 64))
        return wait * (1 - self.jitter * chance)


DEFAULT = (Retry(),)


def next_delay(retries: Sequence[Retry], error: BaseException, attempt: int, chance: float) -> float | None:
    """Seconds until the next attempt after `error`; None: give up. The first Retry that names the error decides."""
    if isinstance(error, TerminalError):
        return None
    for retry in retries:
        if isinstance(error, retry.never):
            return None
        if isinstance(error, retry.on):
            return _not_before(error, retry.delay(attempt, chance))
    return None


def _not_before(error: BaseException, wait: float | None) -> float | None:
    """A wait, or a longer one that whoever refused has asked for."""
    asked = error.retry_after if isinstance(error, RetryableError) else None
    return wait if wait is None or asked is None else max(wait, asked)
