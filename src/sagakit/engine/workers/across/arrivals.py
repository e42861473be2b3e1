"""What other workers wrote for this one: read when they say so, and every few seconds in case a word got lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sagakit.core.commit import Delivery
from sagakit.core.streams import partition_of
from sagakit.engine.handlers.reading import Reader
from sagakit.engine.time.schedule import Schedule
from sagakit.engine.workers.owning.ownership import Ownership
from sagakit.engine.workers.owning.takeover import Takeovers
from sagakit.errors import Stopping, StoreFailed
from sagakit.ports import Cluster

LONGEST_REST = 0.01
"""Seconds."""


class Arrivals:
    """Brings them into their lanes, in the order of their ids."""

    def __init__(
        self,
        cluster: Cluster,
        read: Reader,
        ownership: Ownership,
        takeovers: Takeovers,
        bring: Callable[[Delivery], None],
    ) -> None:
        self._cluster = cluster
        self._read = read
        self._ownership = ownership
        self._takeovers = takeovers
        self._into_lane = bring
        self.schedule: Schedule | None = None
        self._wanted = False
        self._task: asyncio.Task[None] | None = None
        self._waiting: list[asyncio.Future[None]] = []
        """Those who want what is there already to be in its lanes."""
        self._failure: StoreFailed | None = None
        """Why they cannot be read at the moment."""
        self._passing: list[asyncio.Future[None]] = []
        self._reading = False
        self._rests_until = 0.0
        """By the loop's time, for twice as long as the last read took: else one would follow another without end."""
        self.on_error: Callable[[BaseException], None] = lambda error: None
        self._over = False

    @property
    def busy(self) -> bool:
        """Whether they are being read."""
        return self._task is not None

    def look(self) -> None:
        """There may be some."""
        self._wanted = True
        if self._task is None and not self._over:
            self._task = asyncio.create_task(self._run(), name="sagakit arrivals")
            self._task.add_done_callback(self._ended)

    async def through(self) -> None:
        """Return once all that others have written by now is in its lanes, or left for its turn.

        StoreFailed if that cannot be told now; Stopping at the end.
        """
        if self._over:
            raise Stopping("the engine is being stopped")
        self.look()
        if self._failure is not None:
            raise StoreFailed(str(self._failure))
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future

    def passed(self) -> asyncio.Future[None]:
        """Done once no read is under way that was asked for before now."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._reading:
            self._passing.append(future)
        else:
            future.set_result(None)
        return future

    async def stop(self) -> None:
        """Read no more."""
        self._over = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._disappoint(Stopping("the engine is being stopped"))

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._task = None
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._disappoint(error)
            self.on_error(error)
        elif self._wanted:
            self.look()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._wanted:
            rest = self._rests_until - loop.time()
            if rest > 0:  # words come all the time: what they tell of is read together
                await asyncio.sleep(rest)
            self._wanted, began = False, loop.time()
            waiting, self._waiting = self._waiting, []
            finished = list(self._takeovers.finished)
            self._reading = True
            try:
                found = await self._read(self._find, waiting)
            except BaseException:  # they are told why by whoever ends this
                self._waiting += waiting
                raise
            finally:
                self._reading, ended = False, loop.time()
                self._rests_until = ended + min(2 * (ended - began), LONGEST_REST)
                passing, self._passing = self._passing, []
                for future in passing:
                    if not future.done():  # whoever has waited for it may have been cancelled
                        future.set_result(None)
            for delivery in found:
                if not self._takeovers.has_read(delivery.id):
                    self._bring(delivery)
            self._takeovers.arrived(finished)
            for future in waiting:
                if not future.done():
                    future.set_result(None)

    async def _find(self, waiting: list[asyncio.Future[None]]) -> list[Delivery]:
        try:
            found = await self._cluster.read_arrivals(self._ownership.arriving())
        except StoreFailed as failure:  # it is tried again; who waits at a door is told
            self._failure = failure
            self._waiting += waiting
            waiting.clear()
            self._disappoint(StoreFailed(str(failure)))
            raise
        self._failure = None
        return found

    def _disappoint(self, why: BaseException) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_exception(why)

    def _bring(self, delivery: Delivery) -> None:
        delivery.partition = partition_of(delivery)
        if delivery.state == "scheduled":
            if self.schedule is not None:
                self.schedule.put(delivery)
            return
        if self._ownership.here(delivery.consumer, delivery.partition) and self._takeovers.crowds(delivery.consumer):
            self._takeovers.make_room(delivery.consumer, delivery.id)
            if self.schedule is not None:
                self.schedule.lost()
        if not self._ownership.leaves(delivery, own=False):
            self._into_lane(delivery)
