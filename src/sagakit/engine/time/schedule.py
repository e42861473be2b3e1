"""What is scheduled in the store: read as it comes due, and fired, each in a Commit of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import structlog

from sagakit.core.cluster.members import Owned
from sagakit.core.commit import Delivery, Rejected
from sagakit.engine.draft import Draft
from sagakit.engine.time.timers import Timer, Timers
from sagakit.engine.time.window import SIZE, Window
from sagakit.errors import StoreFailed, StoreUnusable
from sagakit.ports import Store

AT_ONCE = 100
"""Firings under way at the same time: group commit makes few transactions of them."""
SLOWLY = 1_000_000
"""Microseconds between two groups while too much is unfinished, and between two tries to read from the store."""

_log = structlog.get_logger("sagakit.schedule")


class Firing(Protocol):
    """Makes the Commit with which a scheduled delivery becomes a message."""

    async def __call__(self, draft: Draft, delivery: Delivery, *, inline: bool) -> None:
        """Add to a draft that a delivery is due. Not `inline`: nothing reacts to it in this Commit."""
        ...


class Schedule:
    """Fires scheduled deliveries when they are due. Between them nothing runs: one timer stands for the next one.

    Those that were due when the engine before this one crashed may have brought it down: they are fired without any
    code of the user's in their Commit, and are handled as deliveries, which a crash is charged to.
    """

    def __init__(
        self,
        store: Store,
        timers: Timers,
        fire: Firing,
        claims: Callable[[Delivery], bool],
        submit: Callable[[Draft], None],
        abandon: Callable[[Draft], None],
        has_room: Callable[[], bool],
        die: Callable[[BaseException], None],
    ) -> None:
        self._store = store
        self._timers = timers
        self._clock = timers.clock
        self._fire = fire
        self._submit = submit
        self._abandon = abandon
        self._has_room = has_room
        self._die = die
        self._window = Window(lambda delivery: delivery.id not in self._firing and claims(delivery))
        self._suspect_upto = 0
        self.owned: Callable[[], Owned | None] = lambda: None
        """What of the store this engine owns; None: all of it."""
        self._timer: Timer | None = None
        self._timer_due = 0
        self._next_group = 0
        self.running = False
        self._firing: dict[int, Delivery] = {}
        """Those whose Commit is not settled yet."""
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._reader: asyncio.Task[None] | None = None

    async def start(self, *, suspect: bool) -> None:
        """Read what is due soon, and begin to fire. `suspect`: the engine before this one has crashed."""
        if suspect:
            self._suspect_upto = self._clock.now()
        while self._window.wants_more:  # what nobody claims is passed over
            after = self._window.begin()
            self._window.end(await self._store.read_scheduled(after=after, limit=SIZE, of=self.owned()), SIZE)
        self.running = True
        self._go_on()

    def gained(self, *, suspect: bool) -> None:
        """More is owned than before. `suspect`: the engine that had it has crashed."""
        if suspect:
            self._suspect_upto = self._clock.now()
        self._window.begin_anew()
        self._go_on()

    def lost(self) -> None:
        """Less is owned than before."""
        self._window.sift()
        self._go_on()

    def firing(self) -> Iterable[Delivery]:
        """Those whose Commit is not settled yet."""
        return self._firing.values()

    async def stop(self, within: float) -> None:
        """Fire no more; what is on its way to its Commit has some seconds to get there."""
        self.running = False
        if self._timer is not None:
            self._timer.cancel()
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=within)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def idle(self) -> bool:
        """Whether nothing is being fired or read."""
        return not self._firing and self._reader is None

    def deliveries(self) -> Iterator[Delivery]:
        """Those in memory: all that are due next."""
        return self._window.deliveries()

    def put(self, delivery: Delivery) -> None:
        """A Commit has written this scheduled delivery."""
        self._window.put(delivery)
        self._go_on()

    def forget(self, message_ids: list[str]) -> None:
        """A Commit has deleted these, as far as they were still there."""
        for message_id in message_ids:
            self._window.forget(message_id)
        self._go_on()

    # ------------------------------------------------------------------ when

    def _go_on(self) -> None:
        """Fire what is due and has room, and see to it that somebody comes back for what is due next."""
        if not self.running:
            return
        if self._window.wants_more and self._reader is None:
            self._reader = asyncio.create_task(self._read(), name="sagakit schedule")
        now = self._clock.now()
        first = self._window.first()
        if first is not None and first.due_at <= now:
            if not self._may_fire(now):
                return
            while first is not None and first.due_at <= now:
                if len(self._firing) == AT_ONCE:
                    return  # the next to be settled comes back
                self._begin(self._window.take())
                first = self._window.first()
        if first is not None:
            self._come_back(first.due_at)
        elif self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _may_fire(self, now: int) -> bool:
        """Whether memory has room for what is due. If not, some goes on all the same: what is there may wait for it."""
        if self._has_room():
            return True
        if now < self._next_group:
            self._come_back(self._next_group)
            return False
        self._next_group = now + SLOWLY
        return True

    def _come_back(self, due: int) -> None:
        if self._timer is not None:
            if self._timer_due == due and self._timer.call is not None:
                return
            self._timer.cancel()
        self._timer, self._timer_due = self._timers.at(due, self._due), due

    def _due(self) -> None:
        self._timer = None
        self._go_on()

    async def _read(self) -> None:
        after, page = self._window.begin(), None
        try:
            page = await self._store.read_scheduled(after=after, limit=SIZE, of=self.owned())
        except StoreFailed as failure:
            _log.warning("the schedule cannot be read; trying again", error=str(failure))
            await self._clock.pause(SLOWLY)
        except StoreUnusable as error:
            self._die(error)
        finally:
            self._window.end(page, SIZE)
            self._reader = None
        self._go_on()

    # ------------------------------------------------------------------ firing

    def _begin(self, delivery: Delivery) -> None:
        self._firing[delivery.id] = delivery
        task = asyncio.create_task(self._make(delivery), name="sagakit timer")
        self._tasks[task] = None
        task.add_done_callback(self._made)

    def _made(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._die(error)

    async def _make(self, delivery: Delivery) -> None:
        inline = delivery.due_at > self._suspect_upto
        try:
            draft = await self._draft(delivery, inline=inline)
        except StoreUnusable:
            raise
        except Exception:  # the engine's own bug: it stays in the store, and nobody else waits for it
            _log.exception("a firing failed inside the engine", message=delivery.envelope.type, id=delivery.id)
            self._firing.pop(delivery.id, None)
            self._go_on()
        else:
            self._submit(draft)

    async def _draft(self, delivery: Delivery, *, inline: bool) -> Draft:
        draft = Draft(self._settled, delivery)
        try:
            await self._fire(draft, delivery, inline=inline)
        except BaseException:
            self._abandon(draft)
            raise
        return draft

    def _settled(self, draft: Draft, result: Rejected | BaseException | None) -> None:
        self._firing.pop(draft.subject.id, None)
        if isinstance(result, Rejected) and result.why != "gone":  # an instance has moved on: once more
            self._window.put(draft.subject)
        self._go_on()
