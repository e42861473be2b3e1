"""Partitions that were claimed: what is outstanding in them is read in pages, before anything new is handled."""

from __future__ import annotations

import asyncio
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from typing import Any

import structlog

from sagakit.core.cluster.members import Claim
from sagakit.core.commit import Delivery
from sagakit.engine.handlers.reading import Reader
from sagakit.engine.lanes.lanes import Lanes
from sagakit.engine.recovery import PAGES, SLOWLY, Recovery
from sagakit.engine.time.timers import Timers
from sagakit.engine.workers.owning.ownership import Home, Ownership
from sagakit.ports import Store

KEPT = 60.0
"""Seconds for which it is known what a takeover has read: the answer of an own Commit may come later than its row."""

_log = structlog.get_logger("sagakit.workers")


class Takeover:
    """One batch of claims. While its deliveries are read, new ones are left in the store: nothing overtakes.

    `after`: up to this id all is in memory already, and `known` beyond it.
    """

    def __init__(self, claims: Sequence[Claim], after: int = 0, known: Collection[int] = ()) -> None:
        self.known = known
        self.suspect: set[Home] = {(one.consumer, one.partition) for one in claims if not one.clean}
        """Where somebody has crashed: what is found there may have been running."""
        self.claims = [(one.consumer, one.partition) for one in claims]
        self.full = False
        """Whether the last page was: there may be a backlog behind it."""
        self._cursor = after
        self._upto = 0
        """The highest id that was left in the store."""
        self._first_left: int | None = None
        self.ended_at = 0.0
        """When all was read, by the loop's time."""
        self._read = array("q")
        """The ids of all that was read, in their order: what others wrote comes a second time as an arrival."""

    def leaves(self, delivery: Delivery, *, own: bool) -> bool:
        """Whether a delivery stays in the store for now, or was read from there already."""
        if delivery.id <= self._cursor:  # else it was committed late, behind the page that it belongs to
            return self.has_read(delivery.id)
        self._upto = max(self._upto, delivery.id)
        if own:  # what others wrote may have been there before, and may have been running
            self._first_left = min(self._first_left or delivery.id, delivery.id)
        return True

    def has_read(self, id: int) -> bool:
        """Whether this delivery was found in the store."""
        at = bisect_left(self._read, id)
        return at < len(self._read) and self._read[at] == id

    def is_old(self, delivery: Delivery) -> bool:
        """Whether it was there before the partition was claimed."""
        return self._first_left is None or delivery.id < self._first_left

    def apart(self, claims: Sequence[Home]) -> list[Takeover]:
        """The same for these of its claims, one for each consumer: each goes on by itself."""
        parts: dict[str, Takeover] = {}
        for home in claims:
            part = parts.get(home[0])
            if part is None:
                part = parts[home[0]] = Takeover((), known=self.known)
                part._cursor, part._upto, part._first_left = self._cursor, self._upto, self._first_left
                part._read = self._read[:]
            part.claims.append(home)
            if home in self.suspect:
                part.suspect.add(home)
        return list(parts.values())

    def begin(self) -> tuple[int, int]:
        """What the next page comes after, and what has to be in it."""
        return self._cursor, self._upto

    def end(self, page: Sequence[Delivery], upto: int, limit: int) -> bool:
        """A page is here. Whether it was the last one."""
        self._read.extend(one.id for one in page)
        last = page[-1].id if page else self._cursor
        self.full = len(page) == limit
        self._cursor = last if self.full else max(last, upto)
        return not self.full and self._upto <= self._cursor


class Takeovers:
    """Reads what was claimed."""

    def __init__(
        self,
        store: Store,
        read: Reader,
        ownership: Ownership,
        recovery: Recovery,
        lanes: Lanes,
        timers: Timers,
        page: int,
        bring: Callable[[Delivery], None],
    ) -> None:
        self._store = store
        self._read = read
        self._ownership = ownership
        self._recovery = recovery
        self._lanes = lanes
        self._timers = timers
        self._page = page
        self._bring = bring
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._has_room = asyncio.Event()
        self._crowding: set[str] = set()
        self._counted = 0
        """How much there was in memory when it was counted for whom; 0: not since it was full."""
        self.waiting = 0
        """How many of them go on when memory has room."""
        self.finished: list[Takeover] = []
        """What arrives, or is written here, may have been read by one of these."""
        self.arrivals_pass: Callable[[], asyncio.Future[None]] | None = None
        """Ends when no arrivals are being read that were asked for earlier."""
        self.through_arrivals: Callable[[], Awaitable[None]] | None = None
        """Returns when all is in its lane that others had written by then."""
        self.on_live: Callable[[Takeover], None] = lambda takeover: None
        self.on_error: Callable[[BaseException], None] = lambda error: None

    @property
    def busy(self) -> bool:
        """Whether something is being taken over."""
        return bool(self._tasks)

    @property
    def reading(self) -> bool:
        """Whether one of them goes on by itself: the others wait until memory has room."""
        return len(self._tasks) > self.waiting

    def begin(self, claims: Sequence[Claim]) -> None:
        """These are ours: read what is outstanding in them."""
        self._begin(Takeover(claims))

    def make_room(self, consumer: str, before: int) -> None:
        """Memory holds too much for a consumer: what comes for it from this id on waits in the store, for its page."""
        claims = [Claim(consumer, number, True) for number in self._ownership.live.get(consumer, ())]
        homes = {(one.consumer, one.partition) for one in claims}
        there = ((one.id, self._ownership.home_of_delivery(one)) for one in self._lanes.deliveries())
        known = {id for id, home in there if id >= before and home in homes}
        _log.warning("memory is full: what comes is read in pages", consumer=consumer, partitions=len(claims))
        self._ownership.read_anew(consumer)
        self._begin(Takeover(claims, before - 1, known))

    def crowds(self, consumer: str) -> bool:
        """Whether memory holds too much, and more than a page of that is for this consumer."""
        there = self._lanes.unfinished
        if there < PAGES * self._page:
            self._counted = 0
            return False
        if not self._counted or there >= self._counted + self._page:
            self._counted = there
            counted = Counter(one.consumer for one in self._lanes.deliveries())
            self._crowding = {name for name, count in counted.items() if count >= self._page}
        return consumer in self._crowding

    def _begin(self, takeover: Takeover) -> None:
        self._ownership.take(takeover.claims, takeover)
        self._start(self._run(takeover))

    def _start(self, run: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(run, name="sagakit takeover")
        self._tasks[task] = None
        task.add_done_callback(self._ended)

    def has_read(self, id: int) -> bool:
        """Whether one that has just finished has brought this delivery into its lane."""
        return any(takeover.has_read(id) for takeover in self.finished)

    def arrived(self, finished: Sequence[Takeover]) -> None:
        """The arrivals were read once more since these had finished."""
        past = asyncio.get_running_loop().time() - KEPT
        self.finished = [one for one in self.finished if one.ended_at > past or one not in finished]

    async def stop(self) -> None:
        """Read no more."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.on_error(error)

    async def _run(self, takeover: Takeover) -> None:
        if self.arrivals_pass is not None:
            await self.arrivals_pass()
        for _ in range(PAGES):
            await self._room()
            if await self._read_page(takeover):
                return
        # more than memory has room for: a consumer whose backlog is short does not wait for that of another
        left = [home for home in takeover.claims if self._is_taking(takeover, home)]
        for part in takeover.apart(left):
            self._ownership.take(part.claims, part)
            self._start(self._read_on(part))

    async def _read_on(self, takeover: Takeover) -> None:
        while not await self._read_page(takeover):
            if takeover.full:  # the little that came while it was read does not wait for the backlog of others
                await self._room()

    async def _read_page(self, takeover: Takeover) -> bool:
        """Whether it was the last one."""
        of = self._of(takeover)
        if not of:  # all of it was handed over meanwhile
            return True
        after, upto = takeover.begin()
        limit = self._page
        page = await self._read(self._store.read_deliveries, after=after, limit=limit, of=self._ownership.with_own(of))
        if after and self.through_arrivals is not None:
            # what was committed late, behind an earlier page, may be older than what this page holds
            await self._read(self.through_arrivals)
        self._take(takeover, page)
        if not takeover.end(page, upto, limit):
            return False
        for consumer, number in takeover.claims:
            if self._is_taking(takeover, (consumer, number)):
                self._ownership.taken(consumer, number)
        takeover.ended_at = asyncio.get_running_loop().time()
        self.finished.append(takeover)
        _log.info("taken over", partitions=len(takeover.claims), suspect=len(takeover.suspect))
        self.on_live(takeover)
        return True

    def _is_taking(self, takeover: Takeover, home: Home) -> bool:
        return self._ownership.taking.get(home[0], {}).get(home[1]) is takeover

    def _of(self, takeover: Takeover) -> dict[str, set[int]]:
        of: dict[str, set[int]] = {}
        for consumer, number in takeover.claims:
            if self._is_taking(takeover, (consumer, number)):
                of.setdefault(consumer, set()).add(number)
        return of

    def _take(self, takeover: Takeover, page: Sequence[Delivery]) -> None:
        for delivery in page:
            if delivery.id in takeover.known:
                continue
            home = self._ownership.home_of_delivery(delivery)
            delivery.partition = home[1]
            if not self._is_taking(takeover, home):
                continue  # handed over while it was read, or of the engine's own and for another
            if delivery.consumer != home[0]:  # the engine's own
                self._bring(delivery)
                continue
            self._recovery.bring(delivery, suspect=home in takeover.suspect and takeover.is_old(delivery))
            lane = self._lanes.find(delivery.lane)
            if lane is not None:
                lane.home = home

    async def _room(self) -> None:
        """Wait until memory has room. What is there may wait for long: so some comes all the same, slowly."""
        if self._lanes.unfinished >= PAGES * self._page:
            self._has_room.clear()
            timer = self._timers.at(self._timers.clock.now() + SLOWLY, self._has_room.set)
            self.waiting += 1
            try:
                await self._has_room.wait()
            finally:
                self.waiting -= 1
                timer.cancel()

    def written(self) -> None:
        """A Commit was written."""
        if self._tasks and self._lanes.unfinished < PAGES * self._page // 2:
            self._has_room.set()
