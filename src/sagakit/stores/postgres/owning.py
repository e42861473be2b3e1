"""Being the one owner of a store: a lock of the connection that writes, and the only worker's row."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Sequence
from uuid import uuid4

from sagakit.core.commit import Subscription
from sagakit.errors import StoreInUse, StoreUnusable
from sagakit.stores.postgres.address import Address
from sagakit.stores.postgres.connection import Connection, connect, explained, sqlstate
from sagakit.stores.postgres.queries import QUERIES
from sagakit.stores.postgres.reading.upkeep import columns
from sagakit.stores.postgres.schema import LOCKS, check_server, lock_key, migrate
from sagakit.stores.postgres.writing.writer import STEERED, Writer

LOCK_WITHIN = "1s"
"""For the lock of an owner that has just ended."""


async def take_ownership(address: Address) -> tuple[Writer, bool]:
    """Migrate the store and own it alone: its writer, and whether the last one ended cleanly."""
    connection = await connect(address, opening=True, settings=STEERED)
    try:
        await check_server(connection, address)
        await migrate(connection, address)
        await _lock(connection, address)
        return await _take_over(connection, address)
    except BaseException:
        connection.terminate()
        raise


async def _lock(connection: Connection, address: Address) -> None:
    """Held until the connection ends: whoever lives has it."""
    with explained(address):
        try:
            await connection.execute(f"SET lock_timeout = '{LOCK_WITHIN}'")
            await connection.execute("SELECT pg_advisory_lock($1, $2)", LOCKS, lock_key(address, "own"))
        except Exception as error:
            if sqlstate(error) != "55P03":
                raise
            owner = await connection.fetchrow(QUERIES["read_owners"])
            by = f"process {owner[1]}" if owner is not None else "another engine"
            raise StoreInUse(f"{address} is in use by {by}: stop it first") from None
        await connection.execute("SET lock_timeout = 0")


async def _take_over(connection: Connection, address: Address) -> tuple[Writer, bool]:
    writer = Writer(address, uuid4().hex, StoreInUse)
    session = secrets.randbits(62)
    with explained(address):
        async with connection.transaction():
            await connection.execute(QUERIES["forget_workers"])  # waits for what they are committing
            await connection.execute(QUERIES["forget_leases"])
            clean = bool(await connection.fetchval("SELECT clean FROM store"))
            await connection.execute(QUERIES["set_clean"], False)
            routing = await connection.fetchval(
                QUERIES["own"], writer.worker, session, socket.gethostname(), os.getpid()
            )
        await writer.open(connection, session, routing)
    return writer, clean


async def disown(writer: Writer, *, clean: bool) -> None:
    """Own it no more. After a failure nothing is said about its end."""

    async def end(connection: Connection) -> None:
        async with connection.transaction():
            ended = await connection.execute(QUERIES["end_worker"], writer.worker)
            if ended != "DELETE 0":
                await connection.execute(QUERIES["set_clean"], clean)

    try:
        if not writer.failed:
            await writer.alone(end)
    except StoreUnusable:
        if clean:
            raise
    finally:
        await writer.close()


async def subscribe(writer: Writer, subscriptions: Sequence[Subscription]) -> None:
    """Record these subscriptions, and only these."""
    given = columns(subscriptions)

    async def write(connection: Connection) -> None:
        async with connection.transaction():
            if await connection.fetchval(QUERIES["is_worker"], writer.worker) is None:
                raise writer.expelled()
            await connection.execute(QUERIES["unsubscribe_others"], *given[:2])
            await connection.execute(QUERIES["subscribe"], *given, "")

    await writer.alone(write)
