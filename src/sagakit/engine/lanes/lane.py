"""A lane: what is still to be done of one key at one consumer."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from sagakit.core.commit import Delivery
from sagakit.errors import NotPossible


class Moved(NotPossible):
    """The lane that an operator's action waits for has become another worker's: that one can do it."""


class Lane:
    """The deliveries of one key at one consumer, and what is known of that key while it is in memory."""

    __slots__ = ("alone", "busy", "cache", "claimed", "claims", "home", "key", "queue", "rests", "ticket", "worker")

    def __init__(self, key: str) -> None:
        self.key = key
        self.queue: deque[Delivery] = deque()
        self.busy = False
        """Something of this lane runs, waits for its Commit, waits to be tried again, or is parked."""
        self.cache: Any = None
        """The aggregate or the process instance, as committed."""
        self.alone = False
        """Handle the next delivery by itself: a run of several has failed."""
        self.rests = False
        """It is paused: its head is ready, and nobody comes back to it by himself."""
        self.claimed = False
        """An operator's action has it: nothing is handled in it meanwhile."""
        self.worker: asyncio.Task[None] | None = None
        """Who handles it, or did so last: asking asyncio for the current task costs a system call."""
        self.claims: deque[asyncio.Future[None]] | None = None
        """Operators' actions that wait for it."""
        self.home: tuple[str, int] | None = None
        """Consumer and partition, where several engines share a store and the key does not tell them."""
        self.ticket: Any = None
        """What its head has of the limits of its handler, or waits for; None: there is no limit on it."""

    @property
    def at_rest(self) -> bool:
        """Whether it is nobody's although it is busy."""
        return self.rests or (bool(self.queue) and self.queue[0].state in ("parked", "retrying"))

    def refuse(self, why: Exception) -> None:
        """No operator's action that waits for it gets it."""
        claims, self.claims = self.claims, None
        for claim in claims or ():
            if not claim.done():
                claim.set_exception(why)
