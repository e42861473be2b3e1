"""Several workers on one store: rows that are fences, leases of partitions, what others have written."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from sagakit.core.cluster.members import BESIDE, WITHDRAW, Claim, Lease, Notice, Owned, Routes, Unclaimed, Worker
from sagakit.core.commit import Delivery, Subscription
from sagakit.errors import StoreFailed, StoreInUse, StoreUnusable
from sagakit.stores.postgres.address import Address, channel_of
from sagakit.stores.postgres.connection import Connection, connect, explained, sqlstate
from sagakit.stores.postgres.queries import QUERIES
from sagakit.stores.postgres.readers import Readers
from sagakit.stores.postgres.reading import deliveries, upkeep
from sagakit.stores.postgres.schema import LOCKS, lock_key, migrate_at
from sagakit.stores.postgres.sharing.arrivals import Arrivals
from sagakit.stores.postgres.sharing.notices import Listener, payloads
from sagakit.stores.postgres.sharing.pulse import Pulse
from sagakit.stores.postgres.writing.writer import STEERED, Writer


class PostgresCluster:
    """The workers of a schema. Its store is opened with `own=False`, after `prepare`."""

    def __init__(
        self, address: Address, readers: Callable[[], Readers], joined: Callable[[Writer | None], None]
    ) -> None:
        self._address = address
        self._readers = readers
        self._joined = joined
        self._writer: Writer | None = None
        self._owned: set[tuple[str, int]] = set()
        self._arrivals = Arrivals()
        self._listener: Listener | None = None
        self._pulse: Pulse | None = None

    # ------------------------------------------------------------------ members

    async def prepare(self) -> None:
        """Create the schema, or bring it to the newest version: workers of older versions may go on meanwhile."""
        await migrate_at(self._address)

    async def join(self, me: Worker, subscriptions: Sequence[Subscription]) -> Routes:
        """Live from now on, and subscribe."""
        await self.leave()
        connection = await connect(self._address, opening=True, settings=STEERED)
        try:
            await _not_alone(connection, self._address)
            session = secrets.randbits(62)
            with explained(self._address):
                async with connection.transaction():
                    routes = await _join(connection, me, session, subscriptions)
                    self._arrivals = Arrivals(await connection.fetchval(QUERIES["snapshot"]))
            writer = Writer(self._address, me.id)
            await writer.open(connection, session, routes.version)
        except BaseException:
            connection.terminate()
            raise
        self._owned.clear()
        writer.is_foreign = lambda consumer, partition: (consumer, partition) not in self._owned
        self._writer = writer
        self._pulse = Pulse(self._address, me.id)
        self._listener = Listener(self._address, me.id)
        await self._listener.start()
        self._joined(writer)
        return routes

    async def renew(self) -> list[Worker]:
        """My lease lasts anew; all who live."""
        return [_worker(row) for row in await self._beats().renew()]

    async def expel_expired(self) -> list[str]:
        """Expel those whose lease has expired, but for those that are committing now: they are next time."""
        return await self._beats().expel_expired()

    async def leave(self) -> None:
        """Live no more."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        self._joined(None)
        assert self._listener is not None
        assert self._pulse is not None
        await self._listener.stop()
        self._pulse.stop()

        async def leave(connection: Connection) -> None:
            async with connection.transaction():
                await connection.execute(QUERIES["end_worker"], writer.worker)
                await connection.execute(QUERIES["free_leases"], [writer.worker])

        try:
            with suppress(StoreFailed, StoreUnusable):  # else its lease expires
                await writer.alone(leave)
        finally:
            await writer.close()

    async def workers(self) -> list[Worker]:
        """All who live."""
        found = await self._readers().read(lambda connection: connection.fetch(QUERIES["read_workers"]))
        return [_worker(row) for row in found]

    # ------------------------------------------------------------------ partitions

    async def leases(self) -> list[Lease]:
        """Who owns what."""
        found = await self._readers().read(lambda connection: connection.fetch(QUERIES["read_leases"]))
        return [Lease(*row) for row in found]

    async def read_unclaimed(self) -> list[Unclaimed]:
        """Consumers that no living worker declares and for which deliveries are outstanding."""
        query = QUERIES["read_unclaimed"]
        found = await self._readers().read(lambda connection: connection.fetch(query, list(BESIDE)))
        return [Unclaimed(*row) for row in found]

    async def claim(self, wanted: Owned) -> list[Claim]:
        """Those that nobody else owns."""
        writer, pairs = self._mine(), deliveries.pairs(wanted)

        async def claim(connection: Connection) -> list[Any]:
            async with connection.transaction():
                await _check_alive(connection, writer)
                return await connection.fetch(QUERIES["claim"], writer.worker, *pairs)

        claims = [Claim(*row) for row in await writer.alone(claim)]
        self._owned.update((one.consumer, one.partition) for one in claims)
        return sorted(claims, key=lambda one: (one.consumer, one.partition))

    async def release(self, given: Owned, *, clean: bool) -> None:
        """These are not mine any more."""
        writer, pairs = self._mine(), deliveries.pairs(given)

        async def release(connection: Connection) -> None:
            # nothing is being committed now, and what is committed later is for their next owner to find
            self._owned.difference_update(zip(*pairs, strict=True))
            async with connection.transaction():
                await _check_alive(connection, writer)
                await connection.execute(QUERIES["release"], writer.worker, clean, *pairs)

        await writer.alone(release)

    # ------------------------------------------------------------------ what others have written

    async def read_arrivals(self, owned: Owned) -> list[Delivery]:
        """What others have written into these partitions."""
        me = self._mine().worker
        return await self._readers().read(lambda connection: self._arrivals.read(connection, me, owned))

    async def find_delivery(self, position: int) -> Delivery | None:
        """The outstanding delivery to a command's handler."""
        statement = deliveries.OF_MESSAGE
        found = await self._readers().read(
            lambda connection: deliveries.read(connection, statement, position, WITHDRAW)
        )
        return next(iter(found), None)

    async def read_outstanding(self, correlation_id: str) -> list[Delivery]:
        """The outstanding deliveries of a story."""
        statement = deliveries.OF_STORY
        return await self._readers().read(lambda connection: deliveries.read(connection, statement, correlation_id))

    async def withdrawing(self, message_ids: Collection[str]) -> set[str]:
        """Those of these messages that are still being withdrawn."""
        query, ids = QUERIES["withdrawn"], list(message_ids)
        found = await self._readers().read(lambda connection: connection.fetch(query, ids, WITHDRAW))
        return {row[0] for row in found}

    async def read_routes(self) -> Routes:
        """The subscriptions as they are now, and their version."""
        routes = await self._readers().read(_read_routes)
        if self._writer is not None:
            self._writer.routing = max(self._writer.routing, routes.version)
        return routes

    # ------------------------------------------------------------------ notices

    def listen(self, on_notice: Callable[[Notice], None]) -> None:
        """Call this with each notice of others."""
        self._mine()
        assert self._listener is not None
        self._listener.on_notice = on_notice

    async def notify(self, notices: Sequence[Notice]) -> None:
        """Tell the others."""
        sender = "" if self._listener is None else self._listener.me
        said = [text for notice in notices for text in payloads(notice, sender)]
        channel = channel_of(self._address.schema)
        with suppress(StoreFailed):
            await self._readers().read(lambda connection: connection.execute(QUERIES["notify"], channel, said))

    def _mine(self) -> Writer:
        if self._writer is None:
            raise StoreFailed(f"{self._address}: nobody has joined")
        return self._writer

    def _beats(self) -> Pulse:
        self._mine()
        assert self._pulse is not None
        return self._pulse


def _worker(row: Sequence[Any]) -> Worker:
    id, name, host, pid, app, versions, url, declares, *times = row
    return Worker(id, name, host, pid, app, versions, url, tuple(declares), *times)


async def _not_alone(connection: Connection, address: Address) -> None:
    """Refuse to join where one engine owns the store alone; whoever wants that has to wait for this connection."""
    with explained(address):
        try:
            await connection.execute("SET lock_timeout = '1s'")
            await connection.execute("SELECT pg_advisory_lock_shared($1, $2)", LOCKS, lock_key(address, "own"))
            await connection.execute("SET lock_timeout = 0")
        except Exception as error:
            if sqlstate(error) != "55P03":
                raise
            raise StoreInUse(f"{address} is in use by one that owns it alone: stop it first") from None


async def _join(connection: Connection, me: Worker, session: int, subscriptions: Sequence[Subscription]) -> Routes:
    await connection.execute(QUERIES["begin_joining"])  # one at a time
    await connection.execute(QUERIES["forget_owner"])  # it is dead, or would hold its lock
    columns = upkeep.columns(subscriptions)
    if await connection.fetchval(QUERIES["is_news"], *columns):
        # waits for what others are committing; what they have routed by now is dropped, and is routed anew: so they
        # also learn of this one, at the latest with their next Commit
        await connection.execute(QUERIES["reroute"])
    await connection.execute(QUERIES["subscribe"], *columns, me.app)
    takes = msgspec.json.encode([(one.consumer, one.type) for one in subscriptions]).decode()
    values = (me.id, me.name, me.host, me.pid, me.app, me.versions, me.url, list(me.declares), me.lasts)
    await connection.execute(QUERIES["join"], *values, session, takes)
    if me.declares:
        await connection.execute(QUERIES["unsubscribe_unasked"], me.app)
    return await _read_routes(connection)


async def _read_routes(connection: Connection) -> Routes:
    found = await connection.fetch(QUERIES["read_routes"])
    return Routes(found[0][0], tuple(Subscription(*row[1:]) for row in found if row[1] is not None))


async def _check_alive(connection: Connection, writer: Writer) -> None:
    if await connection.fetchval(QUERIES["is_worker"], writer.worker) is None:
        raise writer.expelled()
