"""The store on PostgreSQL: one connection writes, a few others read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Concatenate, ParamSpec, TypeVar

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
from sagakit.stores.postgres.address import parse
from sagakit.stores.postgres.connection import Connection, connect, end, writable
from sagakit.stores.postgres.owning import disown, subscribe, take_ownership
from sagakit.stores.postgres.queries import QUERIES
from sagakit.stores.postgres.readers import Readers
from sagakit.stores.postgres.reading import deliveries, instances, log, upkeep
from sagakit.stores.postgres.schema import LOCKS, check_readable, lock_key
from sagakit.stores.postgres.sharing.cluster import PostgresCluster
from sagakit.stores.postgres.writing.writer import Writer

P = ParamSpec("P")
T = TypeVar("T")


class PostgresStore:
    """A `Store` in a schema of a PostgreSQL database. Any number of readers may stand beside those who write."""

    def __init__(self, url: str) -> None:
        self.address = parse(url)
        self._writer: Writer | None = None
        self._readers: Readers | None = None
        self._cluster = PostgresCluster(self.address, self._reads, self._joined)

    @property
    def cluster(self) -> PostgresCluster:
        """What the workers on this store share."""
        return self._cluster

    def _joined(self, writer: Writer | None) -> None:
        self._writer = writer

    async def open(self, *, own: bool = True) -> bool:
        """Open and migrate, and take ownership if `own`; True if the last owner ended cleanly."""
        await self.close(clean=False)
        if own:
            self._writer, clean = await take_ownership(self.address)
        else:
            connection = await connect(self.address, opening=True)
            try:
                clean = (await check_readable(connection, self.address)).clean
            finally:
                await end(connection)
        self._readers = Readers(self.address)
        return clean

    async def close(self, *, clean: bool = True) -> None:
        """Give up ownership, or leave; what is still queued is written first."""
        await self._cluster.leave()
        writer, self._writer = self._writer, None
        readers, self._readers = self._readers, None
        if readers is not None:
            await readers.close()
        if writer is not None:
            await disown(writer, clean=clean)

    async def commit(self, commits: Sequence[Commit]) -> list[Rejected | None]:
        """Write all that match, durable when this returns."""
        return await self._writes().commit(commits)

    async def committed(self, commits: Sequence[Commit]) -> list[bool]:
        """After CommitLost: ask which were written after all."""
        return await self._writes().committed(commits)

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
        return await self._read(deliveries.read_delivery, id)

    async def find_deliveries(self, query: DeliveryQuery) -> list[Delivery]:
        """A page of outstanding deliveries, by id, scheduled ones too."""
        return await self._read(deliveries.find_deliveries, query)

    async def read_messages(self, *, after: int = 0, limit: int = 1000) -> list[Envelope]:
        """The log above a position. While others write, one may still come in between: see `read_settled`."""
        return await self._read(log.read_messages, after, limit)

    async def read_settled(
        self, *, after: tuple[int, int] = (0, 0), limit: int = 1000
    ) -> list[tuple[tuple[int, int], Envelope]]:
        """The log behind a cursor, each message with its own: nothing can come in between any more."""
        return await self._read(log.read_settled, after, limit)

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
        return await self._read(log.read_snapshot, stream)

    async def read_instance(self, id: str) -> Instance | None:
        """The hot row of an instance."""
        return await self._read(instances.read_instance, id)

    async def read_search(self, id: str) -> Search | None:
        """What is listed of one instance."""
        return await self._read(instances.read_search, id)

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
        return await self._read(log.last_recorded)

    async def announce(self, url: str | None) -> None:
        """Say where this engine's HTTP door is."""
        writer = self._writes()

        async def announce(connection: Connection) -> None:
            if await connection.fetchval(QUERIES["announce"], writer.worker, url) is None:
                raise writer.expelled()

        await writer.alone(announce)

    async def read_owner(self) -> OwnerSeen | None:
        """Who owns the store now."""
        return await self._read(upkeep.read_owner, (LOCKS, lock_key(self.address, "own")))

    async def read_inbox(self, scope: str, key: str) -> Inbox | None:
        """What the door remembers of a key."""
        return await self._read(upkeep.read_inbox, scope, key)

    async def read_subscriptions(self) -> list[Subscription]:
        """Which consumers take which message types."""
        return await self._read(upkeep.read_subscriptions)

    async def subscribe(self, subscriptions: Iterable[Subscription]) -> None:
        """Record these, and only these."""
        await subscribe(self._writes(), list(subscriptions))

    async def read_checkpoint(self, consumer: str) -> Checkpoint | None:
        """How far a reader has come."""
        return await self._read(upkeep.read_checkpoint, consumer)

    def _writes(self) -> Writer:
        if self._writer is None:
            raise StoreFailed(f"{self.address} is not open for writing")
        return self._writer

    async def _read(
        self, ask: Callable[Concatenate[Connection, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        asked = [writable(arg) if isinstance(arg, str) else arg for arg in args]
        return await self._reads().read(lambda connection: ask(connection, *asked, **kwargs))  # pyright: ignore[reportCallIssue]

    def _reads(self) -> Readers:
        if self._readers is None:
            raise StoreFailed(f"{self.address} is not open")
        return self._readers
