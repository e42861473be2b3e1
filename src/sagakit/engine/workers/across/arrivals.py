"""What other workers wrote for this one: read when they say so, and every few seconds in case a word got lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from sagakit.core.commit import Delivery
from sagakit.core.streams import partition_of
from sagakit.engine.handlers.reading import Reader
from sagakit.engine.time.schedule import Schedule
from sagakit.engine.workers.owning.ownership import Ownership
from sagakit.engine.workers.owning.takeover import Takeovers
from sagakit.ports import Cluster


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
        self._after: list[Delivery] = []
        self._held: Counter[str] = Counter()
        """The lanes of these."""
        self._passing: list[asyncio.Future[None]] = []
        self._reading = False
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

    def after_them(self, delivery: Delivery) -> None:
        """One of this worker's own, which clients may take to be later than what they sent to another worker."""
        self._after.append(delivery)
        self._held[delivery.lane] += 1
        self.look()

    def hold(self, lane: str) -> bool:
        """Whether something is to come into a lane before what is new."""
        return bool(self._held) and lane in self._held

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

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._task = None
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.on_error(error)
        elif self._wanted:
            self.look()

    async def _run(self) -> None:
        while self._wanted:
            self._wanted = False
            after, self._after = self._after, []
            finished = list(self._takeovers.finished)
            self._reading = True
            try:
                found = await self._read(self._cluster.read_arrivals, self._ownership.arriving())
            finally:
                self._reading = False
                passing, self._passing = self._passing, []
                for future in passing:
                    future.set_result(None)
            for delivery in after:
                self._held[delivery.lane] -= 1
            self._held += Counter()  # without those at zero
            taken = [*self._takeovers.finished]
            own = {delivery.id for delivery in after}
            for delivery in sorted((*found, *after), key=lambda one: one.id):
                if not any(takeover.has_read(delivery.id) for takeover in taken):
                    self._bring(delivery, own=delivery.id in own)
            self._takeovers.finished = [one for one in self._takeovers.finished if one not in finished]

    def _bring(self, delivery: Delivery, *, own: bool) -> None:
        delivery.partition = partition_of(delivery)
        if delivery.state == "scheduled":
            if self.schedule is not None:
                self.schedule.put(delivery)
        elif not self._ownership.leaves(delivery, own=own):
            self._into_lane(delivery)
