"""What those who watch are told, and the bounded memory of each of them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from msgspec import Struct

from sagakit.core.messages import Message
from sagakit.core.saga.batches.progress import Progress

MOST = 100
"""Updates that wait for one who is slow; with one more it skips to the newest."""


class Update(Struct, frozen=True):
    """What an instance, or a story, has come to."""

    status: str
    """Of an instance as `Engine.status` has it; of a story "running", "parked" or "ended"."""
    state: str
    """The name of an instance's state: what it waits for; of a story the type of its message."""
    event: Message | None
    """What an instance took, the first of several; the message of a story. None: where it stands."""
    cursor: str
    """Watch with `after=` this to go on behind this update."""
    skipped: int = 0
    """How many updates were left out before this one, because they are not kept or the watcher was too slow."""
    progress: Sequence[Progress] = ()
    """How far the batches of an instance have come."""


class Watcher:
    """One who watches."""

    __slots__ = ("_on_end", "_updates", "_wake", "_why", "skipped")

    def __init__(self, on_end: Callable[[Watcher], None]) -> None:
        self._on_end = on_end
        self._updates: deque[tuple[int, Update]] = deque()
        self._wake: asyncio.Future[None] | None = None
        self._why: Exception | None = None
        self.skipped = 0
        """How many it was too slow for, before what it is told next."""

    def tell(self, number: int, update: Update) -> None:
        """There is something new. `number`: its place, which grows."""
        if len(self._updates) == MOST:
            self._updates.clear()
            self.skipped += MOST
        self._updates.append((number, update))
        self._go_on()

    def fail(self, why: Exception) -> None:
        """Nothing will be told any more."""
        self._why = why
        self._go_on()

    def forget(self) -> None:
        """What was told and not taken yet will be told again."""
        self._updates.clear()

    def leave(self) -> None:
        """Watch no longer."""
        self._on_end(self)

    async def next(self) -> tuple[int, Update]:
        """What was told next; waits for it."""
        while not self._updates:
            if self._why is not None:
                raise self._why
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
        return self._updates.popleft()

    def _go_on(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)


def place(cursor: str) -> int | None:
    """The place that a cursor names; None if it is none."""
    return int(cursor) if cursor.isascii() and cursor.isdigit() and len(cursor) <= 18 else None
