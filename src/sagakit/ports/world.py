"""What an engine cannot foresee: the time and chance."""

from __future__ import annotations

from typing import Protocol


class Chance(Protocol):
    """What nobody can foresee: a simulation draws it from a seed."""

    def new_id(self) -> str:
        """The id of a message from outside: 32 hexadecimal digits, told once."""
        ...

    def share(self) -> float:
        """A number in [0, 1)."""
        ...


class Clock(Protocol):
    """The time that timers and records use: microseconds since 1970 (UTC), never going back."""

    def now(self) -> int:
        """The time now, at least as late as ever told before."""
        ...

    def has_been(self, seen: int) -> None:
        """This time was told before, by another clock perhaps: never tell an earlier one."""
        ...

    async def sleep_until(self, due: int) -> None:
        """Return once `now()` has reached `due`."""
        ...

    async def pause(self, microseconds: int) -> None:
        """Return after so long, also if `now()` stands still."""
        ...
