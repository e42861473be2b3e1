"""Commits that were routed before somebody subscribed: made again with what is missing; nothing runs twice for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sagakit.core.commit import Rejected
from sagakit.engine.draft import Draft
from sagakit.engine.handlers.reading import Reader
from sagakit.engine.workers.across.routes import Foreign
from sagakit.ports import Cluster

STALE = Rejected("conflict", "routing")


class Rerouting:
    """Reads the subscriptions anew, and submits again what was rejected for them."""

    def __init__(
        self,
        cluster: Cluster,
        read: Reader,
        foreign: Foreign,
        submit: Callable[[Draft], None],
        on_error: Callable[[BaseException], None],
    ) -> None:
        self._cluster = cluster
        self._read = read
        self._foreign = foreign
        self._submit = submit
        self._on_error = on_error
        self.on_learnt: Callable[[], None] = lambda: None
        """They may be others by now: who has joined since is to be reckoned with."""
        self.give_back: Callable[[Draft, Rejected], None] = lambda draft, rejected: None
        """What whoever made a draft anew is told by."""
        self._waiting: list[Draft] = []
        self._task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether something is made again."""
        return self._task is not None

    def again(self, draft: Draft) -> None:
        """This was rejected."""
        self._waiting.append(draft)
        self._begin()

    def _begin(self) -> None:
        if self._task is None and self._waiting:
            self._task = asyncio.create_task(self._run(), name="sagakit routes")
            self._task.add_done_callback(self._ended)

    async def _run(self) -> None:
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            self._foreign.learn(await self._read(self._cluster.read_routes))
            self.on_learnt()
            for draft in waiting:
                if draft.remade:
                    self.give_back(draft, STALE)
                    continue
                self._foreign.complete(draft)
                self._submit(draft)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._task = None
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._on_error(error)
        else:
            self._begin()
