"""Links: what brings messages to the doors runs beside the engine, and is run again where it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import structlog

from sagakit.ports import Behind, Clock, Doors, Link

FIRST_WAIT = 500_000
LONGEST_WAIT = 30_000_000
"""Microseconds before a link that has failed is run again: doubled each time, up to this."""
GRACE = 5.0
"""Seconds that links have to end once they are cancelled."""

_log = structlog.get_logger("sagakit.links")


@runtime_checkable
class Checked(Protocol):
    """A link that may be set up so that no trying again would mend it."""

    def check(self) -> None:
        """Called before the engine opens anything. Raises a TerminalError: then the engine does not start."""
        ...


class Links:
    """Runs the links of an app."""

    def __init__(self, links: Sequence[Link], doors: Doors, clock: Clock) -> None:
        self._links = links
        self._doors = doors
        self._clock = clock
        self._tasks: list[asyncio.Task[None]] = []
        self._failed: dict[str, str] = {}
        """Why a link does not run at the moment."""

    def check(self) -> None:
        """Raise what keeps one of them from ever running."""
        for link in self._links:
            if isinstance(link, Checked):
                link.check()

    def start(self) -> None:
        """Begin to run them."""
        self._tasks = [asyncio.create_task(self._run(link), name=f"sagakit link {link.name}") for link in self._links]

    async def stop(self) -> None:
        """Cancel them, and wait until they have ended."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            _, left = await asyncio.wait(tasks, timeout=GRACE)
            for task in left:
                _log.warning("does not end", task=task.get_name())

    def ready(self) -> str | None:
        """None if messages come in through all of them; else what stands in the way."""
        reasons = {link.name: self._failed.get(link.name) or link.ready() for link in self._links}
        return "; ".join(f"{name}: {reason}" for name, reason in reasons.items() if reason) or None

    def behind(self) -> Mapping[tuple[str, str], int]:
        """What waits where they read, by topic and group."""
        found: dict[tuple[str, str], int] = {}
        for link in self._links:
            if isinstance(link, Behind):
                for place, count in link.behind().items():
                    found[place] = found.get(place, 0) + count
        return found

    async def _run(self, link: Link) -> None:
        wait = FIRST_WAIT
        while True:
            began = self._clock.now()
            try:
                await link.run(self._doors)
                self._failed[link.name] = "it has ended"
            except Exception as error:  # a link's own: the engine goes on without it
                _log.warning("a link failed", link=link.name, error=f"{type(error).__name__}: {error}")
                self._failed[link.name] = f"{type(error).__name__}: {error}"
            if self._clock.now() - began > LONGEST_WAIT:
                wait = FIRST_WAIT  # it had run well
            await self._clock.pause(wait)
            wait = min(wait * 2, LONGEST_WAIT)
            self._failed.pop(link.name, None)
