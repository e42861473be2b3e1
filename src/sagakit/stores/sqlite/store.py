"""The store on one SQLite file: one thread writes, another reads.

Only lookups by key stay on the event loop's thread: they take 5 us there, and ten times as much through another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar, TypeVarTuple

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
from sagakit.errors import StoreFailed
from sagakit.ports import Cluster
from sagakit.stores.sqlite.connection import Connection, connect_reading, explained
from sagakit.stores.sqlite.lock import OwnerLock
from sagakit.stores.sqlite.owner import Owner
from sagakit.stores.sqlite.reading import deliveries, instances, log, upkeep
from sagakit.stores.sqlite.schema import check_readable, read_store

Ts = TypeVarTuple("Ts")
T = TypeVar("T")


class SqliteStore:
    """A `Store` in a file. Any number of readers (`open(own=False)`) may stand beside its one owner."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.cluster: Cluster | None = None
        self._owner: Owner | None = None
        self._reader: Connection | None = None
        self._lookups: Connection | None = None
        self._writing: ThreadPoolExecutor | None = None
        self._reading: ThreadPoolExecutor | None = None

    async def open(self, *, own: bool = True) -> bool:
        """Open and migrate, and take ownership if `own`; True if the last owner ended cleanly."""
        await self.close(clean=False)
        self._writing = ThreadPoolExecutor(1, "sagakit-store-writer") if own else None
        self._reading = ThreadPoolExecutor(1, "sagakit-store-reader")
        try:
            if self._writing is None:
                return await self._on(self._reading, self._open_reader)
            return await self._on(self._writing, self._open_owner)
        except BaseException:
            if self._writing is not None:
                self._writing.submit(self._close_owner, False)  # it may still be opening: the caller has given up
            self._end_threads()
            raise

    async def close(self, *, clean: bool = True) -> None:
        """Give up ownership; what is still queued is written first."""
        self._close_lookups()
        try:
            if self._reading is not None:
                await self._on(self._reading, self._close_reader)
            if self._writing is not None:
                await self._on(self._writing, self._close_owner, clean)
        finally:
            self._end_threads()

    async def commit(self, commits: Sequence[Commit]) -> list[Rejected | None]:
        """Write all of them in one transaction, durable when this returns."""
        return await self._on(self._writing, self._owned().commit, commits)

    async def committed(self, commits: Sequence[Commit]) -> list[bool]:
        """After CommitLost: open the file again and tell which were written after all."""
        if self._owned().failure:
            self._close_lookups()
            await self._on(self._reading, self._close_reader)
        return await self._on(self._writing, self._owned().committed, commits)

    async def read_deliveries(self, *, after: int = 0, limit: int = 1000, of: Owned | None = None) -> list[Delivery]:
        """Outstanding deliveries with an id above `after`, in the order of their ids, without the scheduled ones."""
        return await self._read(deliveries.read_deliveries, after, limit, of)

    async def read_scheduled(
        self, *, after: tuple[int, int] = (0, 0), limit: int = 1000, of: Owned | None = None
    ) -> list[Delivery]:
        """Scheduled deliveries in the order of (due_at, id), above this."""
        return await self._read(deliveries.read_scheduled, *after, limit, of)

    async def read_delivery(self, id: int) -> Delivery | None:
        """One outstanding delivery, whatever its state."""
        return self._look_up(deliveries.read_delivery, id)

    async def find_deliveries(self, query: DeliveryQuery) -> list[Delivery]:
        """A page of outstanding deliveries, by id, scheduled ones too."""
        return await self._read(deliveries.find_deliveries, query)

    async def read_messages(self, *, after: int = 0, limit: int = 1000) -> list[Envelope]:
        """The log above a position."""
        return await self._read(log.read_messages, after, limit)

    async def read_story(self, correlation_id: str, *, after: int = 0, limit: int = 1000) -> list[Envelope]:
        """The messages of one correlation id above a position."""
        return await self._read(log.read_story, correlation_id, after, limit)

    async def read_message(self, correlation_id: str, id: str) -> Envelope | None:
        """One message of the log."""
        return await self._read(log.read_message, correlation_id, id)

    async def read_stream(self, stream: str, *, after: int = 0, limit: int = 1000) -> list[Envelope]:
        """The events of a stream above a version."""
        return await self._read(log.read_stream, stream, after, limit)

    async def read_snapshot(self, stream: str) -> Snapshot | None:
        """The newest snapshot of a stream."""
        return self._look_up(log.read_snapshot, stream)

    async def read_instance(self, id: str) -> Instance | None:
        """The hot row of an instance."""
        return self._look_up(instances.read_instance, id)

    async def read_search(self, id: str) -> Search | None:
        """What is listed of one instance."""
        return self._look_up(instances.read_search, id)

    async def read_instances(self, query: InstanceQuery) -> list[Listed]:
        """A page of instances, newest first unless asked otherwise."""
        return await self._read(instances.read_instances, query)

    async def read_history(self, instance: str, *, after: int = 0, limit: int = 1000) -> list[History]:
        """The reactions of an instance above a row version."""
        return await self._read(log.read_history, instance, after, limit)

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
        """Items of a batch by index, upwards, or downwards from below `before`."""
        return await self._read(instances.read_items, instance, step, states, after, before, limit)

    async def count_items(self, instance: str) -> list[Counted]:
        """How the items of an instance's batches stand."""
        return await self._read(instances.count_items, instance)

    async def read_pauses(self) -> list[Pause]:
        """All that stands still."""
        return await self._read(upkeep.read_pauses)

    async def last_recorded(self) -> int:
        """When the newest message of the log was recorded."""
        return self._look_up(log.last_recorded)

    async def announce(self, url: str | None) -> None:
        """The owner says where its HTTP door is."""
        await self._on(self._writing, self._owned().announce, url)

    async def read_owner(self) -> OwnerSeen | None:
        """Who owns the file now. One that was killed is still written in, but its lock is free."""
        pid, url = await self._read(upkeep.read_owner)
        alive = pid is not None and OwnerLock(self.path).is_held()
        return OwnerSeen(pid, url) if alive else None

    async def read_inbox(self, scope: str, key: str) -> Inbox | None:
        """What the door remembers of a key."""
        return self._look_up(upkeep.read_inbox, scope, key)

    async def read_subscriptions(self) -> list[Subscription]:
        """Which consumers take which message types."""
        return await self._read(upkeep.read_subscriptions)

    async def subscribe(self, subscriptions: Iterable[Subscription]) -> None:
        """Record these, and only these."""
        await self._on(self._writing, self._owned().subscribe, list(subscriptions))

    async def read_checkpoint(self, consumer: str) -> Checkpoint | None:
        """How far a reader has come."""
        return self._look_up(upkeep.read_checkpoint, consumer)

    async def _on(self, thread: ThreadPoolExecutor | None, work: Callable[[*Ts], T], *args: *Ts) -> T:
        if thread is None:
            raise StoreFailed(f"{self.path} is not open")
        return await asyncio.get_running_loop().run_in_executor(thread, work, *args)

    async def _read(self, work: Callable[[Connection, *Ts], T], *args: *Ts) -> T:
        def read() -> T:
            with self._reads():
                self._reader = self._reader or connect_reading(self.path)
                return work(self._reader, *args)

        return await self._on(self._reading, read)

    def _look_up(self, work: Callable[[Connection, *Ts], T], *args: *Ts) -> T:
        if self._reading is None:
            raise StoreFailed(f"{self.path} is not open")
        with self._reads():
            self._lookups = self._lookups or connect_reading(self.path)
            return work(self._lookups, *args)

    @contextmanager
    def _reads(self) -> Generator[None]:
        """Refuse to read what may never have been written, and say SQLite's errors in words."""
        if self._owner is not None and self._owner.failure:
            raise StoreFailed(self._owner.failure)
        with explained(self.path):
            yield

    def _owned(self) -> Owner:
        if self._owner is None:
            raise StoreFailed(f"{self.path} is not open for writing")
        return self._owner

    def _open_owner(self) -> bool:
        self._owner = Owner(self.path)
        return self._owner.clean

    def _open_reader(self) -> bool:
        with explained(self.path):
            self._reader = connect_reading(self.path)
            check_readable(self._reader, self.path)
            return bool(read_store(self._reader).clean)

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _close_lookups(self) -> None:
        if self._lookups is not None:
            self._lookups.close()
            self._lookups = None

    def _close_owner(self, clean: bool) -> None:
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.close(clean)

    def _end_threads(self) -> None:
        for thread in (self._writing, self._reading):
            if thread is not None:
                thread.shutdown(wait=False)
        self._writing = self._reading = None
        self._close_lookups()
