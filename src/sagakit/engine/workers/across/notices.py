"""Words between workers: those of one turn of the loop are sent together, and those that come while that goes on.

They are sent after what they speak of is durable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import structlog

from sagakit.core.cluster.members import Notice
from sagakit.errors import TerminalError
from sagakit.ports import Cluster

CAME = "came"
"""There is something new in these partitions."""
WORKERS = "workers"
"""Somebody has come or gone, or given partitions back."""
LEAVING = "leaving"
"""The sender is about to end: its share is for the others."""
WAITS = "waits"
"""Somebody waits for news of these stories or instances."""
AWAITS = "awaits"
"""Somebody waits for events (of the types that follow the id) of these stories."""
ANSWERED = "answered"
"""These events, for which somebody waits, have come."""
NEWS = "news"
"""There is news of these stories or instances."""
FAILED = "failed"
"""A story (the first word) has come to nothing: why (the second)."""
OVER = "over"
"""The runs of these commands have ended: what undoes them may begin."""
PAUSES = "pauses"
"""Something stands still, or goes on."""
STALE = "stale"
"""These lanes were written to by another: what is known of them in memory is not true any more."""

MOST = 100
"""Words of one notice."""

_log = structlog.get_logger("sagakit.workers")


class Notices:
    """Sends, and hands out what comes."""

    def __init__(self, cluster: Cluster, on_error: Callable[[BaseException], None]) -> None:
        self._cluster = cluster
        self._on_error = on_error
        self._gathered: dict[tuple[str, str | None], dict[str, None]] = {}
        self._whole: list[Notice] = []
        self._task: asyncio.Task[None] | None = None
        self._takers: dict[str, Callable[[Notice], None]] = {}

    @property
    def busy(self) -> bool:
        """Whether something is still to be sent."""
        return self._task is not None

    def taken_by(self, kind: str, taker: Callable[[Notice], None]) -> None:
        """Whom to call with the notices of a kind."""
        self._takers[kind] = taker

    def came(self, notice: Notice) -> None:
        """One has come."""
        taker = self._takers.get(notice.kind)
        if taker is not None:  # else a newer version's word
            taker(notice)

    def add(self, kind: str, about: Iterable[str] = (), to: str | None = None) -> None:
        """Tell the others, or one of them, in a moment."""
        self._gathered.setdefault((kind, to), {}).update(dict.fromkeys(about))
        self._send_soon()

    def add_whole(self, kind: str, *about: str) -> None:
        """Tell the others these words, in their order."""
        self._whole.append(Notice(kind, about))
        self._send_soon()

    async def stop(self) -> None:
        """Send what is left."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    def _send_soon(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._send(), name="sagakit notices")

    async def _send(self) -> None:
        try:
            while self._gathered or self._whole:
                await asyncio.sleep(0)  # what belongs together is said in one turn of the loop
                gathered, self._gathered = self._gathered, {}
                notices, self._whole = self._whole, []
                for (kind, to), words in gathered.items():
                    about = tuple(words)
                    notices += [Notice(kind, about[at : at + MOST], to) for at in range(0, max(len(about), 1), MOST)]
                await self._cluster.notify(notices)
        except TerminalError as error:
            self._on_error(error)
        finally:
            self._task = None
