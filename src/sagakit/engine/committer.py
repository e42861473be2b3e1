"""Group commit: one writer takes the Commits that wait, writes them in one transaction, and tells everyone.

Where more wait already, the next transaction is on its way before those of the last one are told: the store writes
while the engine goes on with what is durable. Where others share the store, a transaction that would be smaller than
the last one waits for what that leads to: fewer, larger transactions cost all of them less.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from time import perf_counter

import structlog

from sagakit.core.commit import Rejected
from sagakit.engine.draft import Draft
from sagakit.errors import CommitLost, Stopping, StoreFailed
from sagakit.observer import Observer
from sagakit.ports import Clock, Store

FIRST_PAUSE = 200_000
LONGEST_PAUSE = 5_000_000
TO_BEGIN = 2
"""Turns of the loop after which a store has begun to write: it may do so in a task of its own."""
TURNS = 5
"""Turns of the loop that a transaction waits at most for what is about to be submitted, if it does at all."""

_log = structlog.get_logger("sagakit.committer")


class Committer:
    """Writes drafts in the order in which they are submitted. A store failure is nobody's attempt: it tries again."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        settled: Callable[[Draft, Rejected | BaseException | None], None],
        on_fatal: Callable[[BaseException], None],
        observer: Observer | None = None,
    ) -> None:
        self._settled = settled
        self._observer = observer
        self._store = store
        self._clock = clock
        self._on_fatal = on_fatal
        self._waiting: list[Draft] = []
        self._writing: deque[Draft] = deque()
        """The transaction that is being written, without those that were told already."""
        self._answered: deque[tuple[Draft, Rejected | None]] = deque()
        """What was written, or dropped, and was not told yet."""
        self._last = 0
        """Commits of the last transaction."""
        self._wake = asyncio.Event()
        self._drained = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._ended: BaseException | None = None
        """Why nothing is written any more."""
        self.busy = False
        """Whether a transaction is being written."""
        self.gathers: Callable[[], bool] = lambda: False
        """Whether a transaction that is smaller than the last one waits for what that has set going."""
        self.failure: StoreFailed | None = None
        """Why the store cannot write at the moment."""
        self.asked_at: int | None = None
        """Since when the store owes an answer."""

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._run(), name="sagakit committer")

    async def stop(self) -> None:
        """Stop; what was not written yet is not written."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self.end(Stopping("the engine has stopped"))

    def end(self, why: BaseException) -> None:
        """Write nothing any more: whoever waits is told why."""
        self._ended = self._ended or why
        self._tell()
        untold = [*self._writing, *self._waiting]
        self._writing.clear()
        self._waiting.clear()
        for draft in untold:
            self._settled(draft, why)

    async def drain(self) -> None:
        """Wait until what was submitted is written, or cannot be."""
        while not self.idle and self.failure is None and self._task is not None and not self._task.done():
            self._drained.clear()
            await self._drained.wait()

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be written."""
        return not self._waiting and not self.busy

    def submit(self, draft: Draft) -> None:
        """Write this with the next transaction; it is settled with the result."""
        if self._ended is not None:
            self._settled(draft, self._ended)
            return
        self._waiting.append(draft)
        if not self.busy:
            self._wake.set()

    async def _run(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                self.busy = True
                while self._waiting:
                    if len(self._waiting) < self._last and self.gathers():
                        self._tell()
                        await self._gather()
                    drafts, self._waiting = self._waiting, []
                    self._last = len(drafts)
                    await self._write(drafts)
                    if not self._waiting:
                        self._tell()
                self.busy = False
                self._drained.set()
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._on_fatal(error)
        finally:
            self.busy = False
            self._drained.set()

    async def _gather(self) -> None:
        """Wait for what is about to be submitted: as long as each turn of the loop brings more."""
        for _ in range(TURNS):
            before = len(self._waiting)
            await asyncio.sleep(0)
            if len(self._waiting) == before:
                return

    async def _write(self, drafts: list[Draft]) -> None:
        pause = FIRST_PAUSE
        while drafts:
            self._writing = deque(drafts)
            observer, began = self._observer, 0.0
            if observer is not None:
                observer.committing(drafts)
                began = perf_counter()
            try:
                results = await self._commit(drafts)
            except CommitLost as lost:
                drafts = await self._look_up(drafts, lost)
                continue
            except StoreFailed as failure:
                self._writing.clear()
                drafts = self._refuse_doors(drafts, failure)
                self._writing.extend(drafts)
                await self._pause(failure, pause)
                pause = min(pause * 2, LONGEST_PAUSE)
                continue
            self._recovered()
            if observer is not None:
                observer.committed(drafts, results, began, perf_counter())
            self._answered.extend(zip(self._writing, results, strict=False))  # none where it has ended meanwhile
            self._writing.clear()
            return
        self.failure = None  # nothing is left to try it with: the next one at a door will

    async def _commit(self, drafts: list[Draft]) -> list[Rejected | None]:
        """Have it written, and meanwhile tell those whose transaction was answered before."""
        commits = [draft.commit for draft in drafts]
        self.asked_at = self._clock.now()
        try:
            if not self._answered:
                return await self._store.commit(commits)
            writing = asyncio.ensure_future(self._store.commit(commits))
            try:
                for _ in range(TO_BEGIN):
                    await asyncio.sleep(0)
                self._tell()
                return await writing
            finally:
                writing.cancel()
        finally:
            self.asked_at = None

    def _tell(self) -> None:
        answered = self._answered
        while answered:
            self._settled(*answered.popleft())

    async def _look_up(self, drafts: list[Draft], lost: CommitLost) -> list[Draft]:
        """The answer was lost: find out which were written. Returns those that were not."""
        pause, began = FIRST_PAUSE, perf_counter()
        while True:
            self.asked_at = self._clock.now()
            try:
                written = await self._store.committed([draft.commit for draft in drafts])
                break
            except StoreFailed as failure:
                self.asked_at = None
                await self._pause(failure, pause)
                pause = min(pause * 2, LONGEST_PAUSE)
        self.asked_at = None
        _log.warning("the answer of a commit was lost", error=str(lost), written=sum(written), commits=len(drafts))
        self._recovered()
        if self._observer is not None:
            stood = [draft for draft, stands in zip(drafts, written, strict=True) if stands]
            self._observer.committed(stood, [None] * len(stood), began, perf_counter())
        left = [draft for draft, stands in zip(drafts, written, strict=True) if not stands]
        self._writing = deque(left)
        for draft, stands in zip(drafts, written, strict=True):
            if stands:
                self._settled(draft, None)
        return left

    def _refuse_doors(self, drafts: list[Draft], failure: StoreFailed) -> list[Draft]:
        kept = [draft for draft in drafts if not draft.at_door]
        for draft in drafts:
            if draft.at_door:
                self._settled(draft, StoreFailed(str(failure)))
        return kept

    async def _pause(self, failure: StoreFailed, pause: int) -> None:
        if self.failure is None:
            _log.error("the store cannot write; trying again", error=str(failure))
        self.failure = failure
        self._drained.set()
        waiting, self._waiting = self._waiting, []
        self._waiting[:0] = self._refuse_doors(waiting, failure)
        await self._clock.pause(pause)

    def _recovered(self) -> None:
        if self.failure is not None:
            _log.info("the store can write again")
            self.failure = None
