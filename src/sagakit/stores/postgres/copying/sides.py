"""Reading and writing the tables of a schema for a copy: in one transaction, while no engine runs on it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol, cast

from sagakit.errors import StoreInUse, StoreUnusable
from sagakit.stores.copying.tables import BATCH, TABLES, Row, Standing, Table
from sagakit.stores.postgres.address import Address
from sagakit.stores.postgres.connection import Connection, connect, explained
from sagakit.stores.postgres.queries import QUERIES
from sagakit.stores.postgres.schema import LOCKS, check_readable, check_server, lock_key, migrate

SETTINGS = {"idle_in_transaction_session_timeout": "0", "lock_timeout": "5s"}
"""The other side may be slow; an engine that joins or leaves is not."""


class _Copying(Connection, Protocol):
    """What a copy uses of asyncpg besides."""

    def cursor(self, query: str, *, prefetch: int) -> AsyncIterator[Row]: ...
    async def copy_records_to_table(self, name: str, *, records: list[Row], columns: tuple[str, ...]) -> str: ...


@asynccontextmanager
async def postgres_source(address: Address) -> AsyncGenerator[PostgresSide]:
    """A store that is there; StoreInUse if an engine runs on it."""
    connection = await connect(address, opening=True, settings=SETTINGS)
    try:
        await check_readable(connection, address)
        with explained(address):
            async with connection.transaction(isolation="repeatable_read"):
                await _alone(connection, address)
                yield PostgresSide(connection)
    finally:
        connection.terminate()


@asynccontextmanager
async def postgres_target(address: Address) -> AsyncGenerator[PostgresSide]:
    """A new or empty store: all that is written to it is there once this ends well, else nothing."""
    connection = await connect(address, opening=True, settings=SETTINGS)
    try:
        await check_server(connection, address)
        await migrate(connection, address)
        with explained(address):
            async with connection.transaction():
                await _alone(connection, address)
                await _check_empty(connection, address)
                yield PostgresSide(connection)
            await connection.execute("ANALYZE " + ", ".join(table.name for table in TABLES))
    finally:
        connection.terminate()


async def _alone(connection: Connection, address: Address) -> None:
    """Let no engine in until the end of the transaction; StoreInUse if one is there.

    The locks come before the transaction's first look at anything.
    """
    await connection.execute("LOCK TABLE store, workers IN EXCLUSIVE MODE")  # in the order in which workers join
    mine = await connection.fetchval("SELECT pg_try_advisory_xact_lock($1, $2)", LOCKS, lock_key(address, "own"))
    others = await connection.fetchval(QUERIES["count_living_workers"])
    if not mine or others:
        raise StoreInUse(f"{address} is in use by {'workers: stop them' if others else 'an engine: stop it'} first")


async def _check_empty(connection: Connection, address: Address) -> None:
    for table in TABLES:
        if await connection.fetchval(f"SELECT EXISTS (SELECT FROM {table.name})"):  # noqa: S608
            raise StoreUnusable(f"{address} is not empty ({table.name}): give another schema with ?schema=NAME")


class PostgresSide:
    """The tables of a schema, in an open transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = cast(_Copying, connection)

    async def standing(self) -> Standing:
        """All numbers come of one sequence."""
        row = await self._connection.fetchrow(QUERIES["standing"])
        assert row is not None
        clean, number = row
        return Standing(clean, 0, number, number, number)

    async def count(self, table: Table) -> int:
        """How many rows a table has."""
        return cast(int, await self._connection.fetchval(f"SELECT count(*) FROM {table.name}"))  # noqa: S608

    async def read(self, table: Table) -> AsyncIterator[list[Row]]:
        """All rows, in any order."""
        batch: list[Row] = []
        query = f"SELECT {', '.join(table.columns)} FROM {table.name}"  # noqa: S608
        async for record in self._connection.cursor(query, prefetch=BATCH):
            batch.append(tuple(record))
            if len(batch) >= BATCH:
                yield batch
                batch = []
        if batch:
            yield batch

    async def clear(self, table: Table) -> None:
        """Remove what triggers have put there."""
        await self._connection.execute(f"DELETE FROM {table.name}")  # noqa: S608

    async def write(self, table: Table, rows: list[Row]) -> None:
        """Add these rows. No reader of the log has seen any: they are older than every transaction."""
        columns, records = table.columns, rows
        if constant := _CONSTANTS.get(table.name):
            columns, records = (*columns, *constant), [(*row, *constant.values()) for row in rows]
        await self._connection.copy_records_to_table(table.name, records=records, columns=columns)

    async def stand(self, standing: Standing) -> None:
        """Go on behind the highest number."""
        highest = max(standing.last_position, standing.last_delivery, standing.last_instance, 1)
        await self._connection.execute(QUERIES["stand"], standing.clean)
        await self._connection.fetchval(QUERIES["stand_numbers"], highest)
        await self._connection.fetchval(QUERIES["stand_pauses"])


_CONSTANTS: dict[str, dict[str, Any]] = {
    "messages": {"xid": 0},
    "subscriptions": {"kind": "", "key": "", "app": ""},  # who has the code says so when it joins
}
