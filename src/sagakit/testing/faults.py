"""A store that fails where a test says so: for showing that an app survives it.

counting = FaultyStore(MemoryStore())                    # run once without faults ...
for number in range(1, len(counting.operations) + 1):    # ... then again, with a crash at each operation
    store = FaultyStore(MemoryStore(), At(number, Fault.CRASH_AFTER))
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from enum import Enum
from functools import partial
from typing import NamedTuple, TypeVar

from sagakit.core.cluster.members import Owned
from sagakit.core.commit import (
    Checkpoint,
    Commit,
    Delivery,
    Envelope,
    History,
    Inbox,
    Instance,
    Item,
    ItemState,
    Pause,
    Rejected,
    Search,
    Snapshot,
    Subscription,
)
from sagakit.core.queries import Counted, DeliveryQuery, InstanceQuery, Listed, OwnerSeen
from sagakit.errors import CommitLost, StoreFailed
from sagakit.ports import Cluster, Store

T = TypeVar("T")


class SimulatedCrash(BaseException):
    """The process has died, as far as the code under test can tell."""


class Fault(Enum):
    """What goes wrong at an operation."""

    CRASH_BEFORE = "the process dies before the operation is done"
    CRASH_AFTER = "the process dies when the operation is done, before its answer arrives"
    ANSWER_LOST = "the operation is done, and fails all the same: a commit with CommitLost, others with StoreFailed"
    COMMIT_LOST = "the operation is not done, and fails without saying so: a commit with CommitLost"
    FAILED = "the operation is not done, and fails with StoreFailed"


class At(NamedTuple):
    """Where a fault strikes: at the `number`-th call (from 1) of one operation, or of any."""

    number: int
    fault: Fault
    operation: str | None = None


class FaultyStore:
    """A `Store` around another one, with scripted faults. It also records which operations were called."""

    def __init__(self, store: Store, *faults: At) -> None:
        self.operations: list[str] = []
        """The names of the operations so far, in order."""
        self.crashed = asyncio.Event()
        """Set by a crash. The store inside is then closed, uncleanly, and can be opened again by another engine."""
        self._store = store
        self._faults = {(fault.operation, fault.number): fault.fault for fault in faults}
        self._lost: list[tuple[Commit, bool]] = []

    @property
    def cluster(self) -> Cluster | None:
        """That of the store inside."""
        return self._store.cluster

    async def open(self, *, own: bool = True) -> bool:
        """Open the store inside."""
        return await self._do("open", lambda: self._store.open(own=own))

    async def close(self, *, clean: bool = True) -> None:
        """Close the store inside; after a crash there is nothing left to close."""
        if not self.crashed.is_set():
            await self._do("close", lambda: self._store.close(clean=clean))

    async def commit(self, commits: Sequence[Commit]) -> list[Rejected | None]:
        """Write the Commits, unless a fault strikes."""
        fault = self._next("commit")
        await self._before(fault, lost="the answer to this commit was lost", kept=commits)
        answers = await self._store.commit(commits)
        if fault is Fault.ANSWER_LOST:
            self._lost = [(commit, answer is None) for commit, answer in zip(commits, answers, strict=True)]
            raise CommitLost("the answer to this commit was lost")
        await self._after(fault)
        return answers

    async def committed(self, commits: Sequence[Commit]) -> list[bool]:
        """Which of them were written, if it was this store that lost the answer; else the store inside knows."""
        return await self._do("committed", lambda: self._committed(commits))

    async def read_deliveries(self, *, after: int = 0, limit: int = 1000, of: Owned | None = None) -> list[Delivery]:
        """Read from the store inside, as all that follow."""
        return await self._do("read_deliveries", lambda: self._store.read_deliveries(after=after, limit=limit, of=of))

    async def read_scheduled(
        self, *, after: tuple[int, int] = (0, 0), limit: int = 1000, of: Owned | None = None
    ) -> list[Delivery]:
        """Scheduled deliveries, as they come due."""
        return await self._do("read_scheduled", lambda: self._store.read_scheduled(after=after, limit=limit, of=of))

    async def read_delivery(self, id: int) -> Delivery | None:
        """One outstanding delivery."""
        return await self._do("read_delivery", lambda: self._store.read_delivery(id))

    async def find_deliveries(self, query: DeliveryQuery) -> list[Delivery]:
        """A page of outstanding deliveries."""
        return await self._do("find_deliveries", lambda: self._store.find_deliveries(query))

    async def read_messages(self, *, after: int = 0, limit: int = 1000) -> list[Envelope]:
        """The log above a position."""
        return await self._do("read_messages", lambda: self._store.read_messages(after=after, limit=limit))

    async def read_story(self, correlation_id: str, *, after: int = 0, limit: int = 1000) -> list[Envelope]:
        """The messages of one correlation id."""
        return await self._do("read_story", lambda: self._store.read_story(correlation_id, after=after, limit=limit))

    async def read_message(self, correlation_id: str, id: str) -> Envelope | None:
        """One message of the log."""
        return await self._do("read_message", lambda: self._store.read_message(correlation_id, id))

    async def read_stream(self, stream: str, *, after: int = 0, limit: int = 1000) -> list[Envelope]:
        """The events of a stream."""
        return await self._do("read_stream", lambda: self._store.read_stream(stream, after=after, limit=limit))

    async def read_snapshot(self, stream: str) -> Snapshot | None:
        """The newest snapshot of a stream."""
        return await self._do("read_snapshot", lambda: self._store.read_snapshot(stream))

    async def read_instance(self, id: str) -> Instance | None:
        """The hot row of an instance."""
        return await self._do("read_instance", lambda: self._store.read_instance(id))

    async def read_search(self, id: str) -> Search | None:
        """What is listed of one instance."""
        return await self._do("read_search", lambda: self._store.read_search(id))

    async def read_instances(self, query: InstanceQuery) -> list[Listed]:
        """A page of instances."""
        return await self._do("read_instances", lambda: self._store.read_instances(query))

    async def read_history(self, instance: str, *, after: int = 0, limit: int = 1000) -> list[History]:
        """The reactions of an instance."""
        return await self._do("read_history", lambda: self._store.read_history(instance, after=after, limit=limit))

    async def read_items(
        self,
        instance: str,
        step: int,
        *,
        states: Sequence[ItemState] = (),
        after: int | None = None,
        before: int | None = None,
        limit: int = 1000,
    ) -> list[Item]:
        """Items of a batch."""
        read = partial(self._store.read_items, instance, step, states=states, after=after, before=before, limit=limit)
        return await self._do("read_items", read)

    async def count_items(self, instance: str) -> list[Counted]:
        """How the items of an instance's batches stand."""
        return await self._do("count_items", lambda: self._store.count_items(instance))

    async def read_pauses(self) -> list[Pause]:
        """All that stands still."""
        return await self._do("read_pauses", self._store.read_pauses)

    async def last_recorded(self) -> int:
        """When the newest message was recorded."""
        return await self._do("last_recorded", self._store.last_recorded)

    async def announce(self, url: str | None) -> None:
        """Say where the owner's HTTP door is."""
        await self._do("announce", lambda: self._store.announce(url))

    async def read_owner(self) -> OwnerSeen | None:
        """Who owns the store inside."""
        return await self._do("read_owner", self._store.read_owner)

    async def read_inbox(self, scope: str, key: str) -> Inbox | None:
        """What the door remembers of a key."""
        return await self._do("read_inbox", lambda: self._store.read_inbox(scope, key))

    async def read_subscriptions(self) -> list[Subscription]:
        """Which consumers take which message types."""
        return await self._do("read_subscriptions", self._store.read_subscriptions)

    async def subscribe(self, subscriptions: Iterable[Subscription]) -> None:
        """Record these, and only these."""
        await self._do("subscribe", lambda: self._store.subscribe(subscriptions))

    async def read_checkpoint(self, consumer: str) -> Checkpoint | None:
        """How far a reader has come."""
        return await self._do("read_checkpoint", lambda: self._store.read_checkpoint(consumer))

    async def _do(self, operation: str, call: Callable[[], Awaitable[T]]) -> T:
        fault = self._next(operation)
        await self._before(fault)
        result = await call()
        if fault is Fault.ANSWER_LOST:
            raise StoreFailed("the answer was lost")
        await self._after(fault)
        return result

    def _next(self, operation: str) -> Fault | None:
        """Count this operation; the fault that strikes at it."""
        if self.crashed.is_set():
            raise SimulatedCrash(f"{operation} after the crash")
        self.operations.append(operation)
        by_name = self._faults.get((operation, self.operations.count(operation)))
        return by_name or self._faults.get((None, len(self.operations)))

    async def _before(self, fault: Fault | None, lost: str = "", kept: Sequence[Commit] = ()) -> None:
        if fault is Fault.CRASH_BEFORE:
            await self._crash()
        if fault is Fault.COMMIT_LOST and lost:
            self._lost = [(commit, False) for commit in kept]
            raise CommitLost(lost)
        if fault in (Fault.COMMIT_LOST, Fault.FAILED):
            raise StoreFailed("the store could not write, as the test wants it")

    async def _after(self, fault: Fault | None) -> None:
        if fault is Fault.CRASH_AFTER or self.crashed.is_set():
            await self._crash()

    async def _crash(self) -> None:
        self.crashed.set()
        await self._store.close(clean=False)
        raise SimulatedCrash(f"at operation {len(self.operations)}: {self.operations[-1]}")

    async def _committed(self, commits: Sequence[Commit]) -> list[bool]:
        known = {id(commit): written for commit, written in self._lost}
        if all(id(commit) in known for commit in commits):
            return [known[id(commit)] for commit in commits]
        return await self._store.committed(commits)
