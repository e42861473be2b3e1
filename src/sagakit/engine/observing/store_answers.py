"""Whether the store answers at all: one that hangs fails nothing, it only lets everybody wait."""

from __future__ import annotations

import asyncio

from sagakit.engine.committer import Committer
from sagakit.errors import StoreFailed, StoreUnusable
from sagakit.ports import Clock, Store

OVERDUE = 5_000_000
"""Microseconds after which an answer is missed."""
PATIENCE = 0.2
"""Seconds that whoever asks waits for an answer; whoever asks next has it."""


class StoreAnswers:
    """Asks the store something small while somebody wants to know, and looks how long it has owed an answer."""

    def __init__(self, store: Store, clock: Clock, committer: Committer) -> None:
        self._store = store
        self._clock = clock
        self._committer = committer
        self._asking: asyncio.Task[None] | None = None
        self._asked_at: int | None = None
        self._failed: str | None = None

    async def ask(self) -> bool:
        """Ask, if no question is open, and wait a moment: whether it answers."""
        if self._asking is None:
            self._asked_at = self._clock.now()
            self._asking = asyncio.create_task(self._ask(), name="sagakit does the store answer")
        done, _ = await asyncio.wait({self._asking}, timeout=PATIENCE)
        return bool(done) and self._failed is None

    def close(self) -> None:
        """Wait for no answer any more."""
        if self._asking is not None:
            self._asking.cancel()

    def trouble(self) -> str | None:
        """None, or why the store is of no use at the moment, as of late."""
        open_since = [at for at in (self._asked_at, self._committer.asked_at) if at is not None]
        waited = self._clock.now() - min(open_since, default=self._clock.now())
        if waited >= OVERDUE:
            return f"the store does not answer: it was asked {waited // 1_000_000} s ago"
        return self._failed

    async def _ask(self) -> None:
        try:
            await self._store.read_delivery(0)
            self._failed = None
        except Exception as error:
            self._failed = str(error) if isinstance(error, StoreFailed | StoreUnusable) else repr(error)
        finally:
            self._asking = self._asked_at = None
