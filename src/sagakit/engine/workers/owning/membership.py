"""One of several workers: joins, sees who else lives, claims what should be its own and is free, gives what is not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import structlog

from sagakit.core.cluster.members import Worker
from sagakit.engine.handlers.reading import Reader
from sagakit.engine.workers.owning.assignment import share_of
from sagakit.engine.workers.owning.handover import Handover
from sagakit.engine.workers.owning.ownership import Ownership, without
from sagakit.engine.workers.owning.takeover import Takeovers
from sagakit.ports import Cluster

_log = structlog.get_logger("sagakit.workers")


class Membership:
    """Moves partitions to where they should be. Each look goes as far as it can; the next one goes on."""

    def __init__(
        self,
        cluster: Cluster,
        read: Reader,
        ownership: Ownership,
        takeovers: Takeovers,
        handover: Handover,
        within: float,
    ) -> None:
        self._cluster = cluster
        self._read = read
        self._ownership = ownership
        self._takeovers = takeovers
        self._handover = handover
        self._within = within
        self.me = ""
        self.members: Sequence[Worker] = ()
        """All who live, as they were seen last."""
        self._leaving: set[str] = set()
        """Those who have said that they are about to end."""
        self._wanted = False
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._looking = False
        self.ending = False
        """This worker claims nothing any more."""
        self.on_members: Callable[[Sequence[Worker]], None] = lambda members: None
        self.on_error: Callable[[BaseException], None] = lambda error: None

    @property
    def busy(self) -> bool:
        """Whether partitions are on the move here."""
        return bool(self._tasks)

    @property
    def alone(self) -> bool:
        """Whether no other worker lives, as far as is known."""
        return len(self.members) < 2

    def saw(self, members: Sequence[Worker], expelled: Sequence[str] = ()) -> None:
        """These live."""
        before = {one.id: one for one in self.members}
        known = before | {one.id: one for one in members}
        self.members = [one for one in members if one.id not in expelled]
        for id in expelled:
            gone = known.get(id, Worker(id))  # one that lived and died between two beats is known by its id alone
            _log.warning("a worker is gone: its lease has expired", worker=gone.name or id, host=gone.host, id=id)
        for one in members:
            if one.id not in before and one.id != self.me:
                _log.info("a worker has come", worker=one.name or one.id, host=one.host, pid=one.pid)
        self.look()

    def leaves(self, id: str) -> None:
        """A worker is about to end: its share is for the others."""
        self._leaving.add(id)
        self.look()

    def look(self, *, anew: bool = False) -> None:
        """See what is to be claimed and what is to be given. `anew`: who lives may have changed."""
        self._wanted = self._wanted or anew
        if not self._looking and not self.ending:
            self._looking = True
            self._run(self._look())

    async def stop(self) -> None:
        """Move nothing any more."""
        self.ending = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _run(self, what: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(what, name="sagakit membership")
        self._tasks[task] = None
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.on_error(error)

    async def _look(self) -> None:
        try:
            while True:
                if self._wanted:
                    self._wanted = False
                    self.members = await self._read(self._cluster.workers)
                await self._move()
                if not self._wanted:
                    return
        finally:
            self._looking = False

    async def _move(self) -> None:
        self.on_members(self.members)
        share = share_of(self.me, [one for one in self.members if one.id not in self._leaving])
        given = without(self._ownership.held(), share)
        if given:
            self._run(self._handover.give(given, self._within))
        wanted = without(share, self._ownership.all())
        if wanted and not self.ending:
            claims = await self._read(self._cluster.claim, wanted)
            if claims:
                self._takeovers.begin(claims)

    async def give_all(self, within: float) -> None:
        """Hand everything over: this worker is about to end."""
        self.ending = True
        await asyncio.gather(*self._tasks, return_exceptions=True)
        held = self._ownership.held()
        if held:
            await self._handover.give(held, within)
