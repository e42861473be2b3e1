"""What a user declares of a handler: how many of its handlings run at once, and how many begin in a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, NamedTuple, TypeAlias

from sagakit.core.messages import Seconds


@dataclass(frozen=True)
class AtOnce:
    """At most so many handlings run at the same time; with `key`, so many of each value of that field.

    `key`: a field path of the handled messages. Messages whose value is None are not held by this limit.
    """

    most: int
    _: KW_ONLY
    key: str | None = None


@dataclass(frozen=True)
class Rate:
    """At most so many handlings begin in each `per` (seconds, or a timedelta), evenly spaced; retries count.

    `burst`: so many may begin at the same time after a quiet time; in any time, however short or long, no more begin
    than `burst` and what the rate gives for that time. `key`: as for `AtOnce`.
    """

    most: int
    _: KW_ONLY
    per: Seconds
    key: str | None = None
    burst: int = 1


Limit: TypeAlias = AtOnce | Rate

AtOnces: TypeAlias = int | AtOnce | Sequence[int | AtOnce]
Rates: TypeAlias = Rate | Sequence[Rate]


class Limiting(NamedTuple):
    """A limit as it is applied: with what finds the value that it counts by."""

    limit: Limit
    key: Callable[[Any], str | None] | None
    """None: all messages count together."""
    home: bool = False
    """Of several workers one has all messages of a value, and with them the whole limit of that."""

    @property
    def words(self) -> str:
        """The limit in words: what `explain` says of it."""
        limit = self.limit
        each = f" for each {limit.key}" if limit.key else ""
        if isinstance(limit, AtOnce):
            return f"at most {limit.most} at once{each}"
        return f"at most {limit.most} in {_length(limit.per)}{each}"


def limits_of(at_once: AtOnces | None, rate: Rates | None) -> tuple[Limit, ...]:
    """What was declared, as limits; a number is one for all messages. Odd values stay, for the checks to tell of."""
    several: list[Any] = []
    for given in (at_once, rate):
        some: Any = given if isinstance(given, list | tuple) else () if given is None else (given,)
        several.extend(AtOnce(one) if given is at_once and not isinstance(one, AtOnce) else one for one in some)
    return tuple(several)


def _length(per: Any) -> str:
    length = per.total_seconds() if hasattr(per, "total_seconds") else per
    return f"{length:g} s"
