"""The schema's versions: numbered migrations, and who may open what."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from importlib.resources import files
from typing import NamedTuple
from zlib import crc32

import structlog

from sagakit.errors import SchemaTooNew, StoreUnusable
from sagakit.stores.postgres.address import Address, quoted
from sagakit.stores.postgres.connection import AGAIN, OLDEST_SERVER, Connection, connect, end, explained, sqlstate

OURS = "sagakit store"
"""The comment on the table `store`: tells our schema from another program's."""
LOCKS = 0x5A6A
"""The first half of the keys of our advisory locks; the second is made of the schema's name."""
TRIES = 10
"""How often a migration is begun anew while workers stand in its way."""

_log = structlog.get_logger("sagakit.store")


class StoreRow(NamedTuple):
    """The one row about the store itself."""

    schema_version: int
    oldest_code: int
    clean: bool


def migrations() -> list[str]:
    """The scripts, in their order: number n makes schema n of schema n - 1."""
    folder = files("sagakit.stores.postgres").joinpath("migrations")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [folder.joinpath(name).read_text(encoding="utf-8") for name in names]


def lock_key(address: Address, purpose: str) -> int:
    """The second half of an advisory lock's key: one for each schema and purpose."""
    return crc32(f"{purpose} {address.schema}".encode()) - 2**31


async def check_server(connection: Connection, address: Address) -> None:
    """Refuse a server that is too old; say so where it may lose what it has confirmed."""
    with explained(address):
        row = await connection.fetchrow(
            "SELECT current_setting('server_version_num')::integer, current_setting('fsync')"
        )
    assert row is not None
    if row[0] < OLDEST_SERVER:
        raise StoreUnusable(f"{address} is PostgreSQL {row[0] // 10_000}: at least {OLDEST_SERVER // 10_000} is needed")
    if row[1] != "on":
        _log.warning("fsync is off: after a power cut this server may have lost what it confirmed", store=str(address))


async def read_version(connection: Connection, address: Address) -> StoreRow | None:
    """What is said of the store in its own row; None if there is none. Refuses what this code must not open."""
    with explained(address):
        tables = await connection.fetchval(
            "SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace($1)", quoted(address.schema)
        )
        # after the count: while others create it, whoever sees its tables sees the comment too
        found = await connection.fetchval(
            "SELECT obj_description(to_regclass($1), 'pg_class')", f"{quoted(address.schema)}.store"
        )
        if found != OURS:
            if tables:
                raise StoreUnusable(
                    f"{address}: the schema {address.schema!r} holds another program's tables: "
                    "give another one with ?schema=NAME"
                )
            return None
        row = await connection.fetchrow("SELECT schema_version, oldest_code, clean FROM store")
    assert row is not None
    store, known = StoreRow(*row), len(migrations())
    if store.oldest_code > known:
        raise SchemaTooNew(
            f"{address} has schema {store.schema_version}, which needs a sagakit that knows schema "
            f"{store.oldest_code}; this one knows {known}: upgrade sagakit"
        )
    return store


async def check_readable(connection: Connection, address: Address) -> StoreRow:
    """Refuse a store that a reader cannot understand as it is."""
    store, known = await read_version(connection, address), len(migrations())
    if store is None:
        raise StoreUnusable(f"{address} holds no sagakit store: check the URL, or start the app once to create it")
    if store.schema_version < known:
        raise StoreUnusable(
            f"{address} has schema {store.schema_version}, older than this sagakit's {known}: run `sagakit migrate`"
        )
    return store


async def migrate_at(address: Address) -> tuple[int, int]:
    """Create the schema, or bring it to the newest version: (from, to). Workers of older versions may go on."""
    connection = await connect(address, opening=True)
    try:
        await check_server(connection, address)
        return await migrate(connection, address)
    finally:
        await end(connection)


async def migrate(connection: Connection, address: Address) -> tuple[int, int]:
    """Bring the schema to the newest version that this code knows: (from, to). One at a time, under a lock.

    Workers of an older version may go on meanwhile: a migration adds, and takes nothing away that they use.
    """
    store, scripts = await read_version(connection, address), migrations()
    if store is not None and store.schema_version >= len(scripts):
        return store.schema_version, store.schema_version
    with explained(address, opening=True):
        tries = 0
        while True:
            try:
                return await _run(connection, address, scripts)
            except Exception as error:
                # it takes whole tables, and workers their rows: of two that wait for each other the server ends one
                tries += 1
                if sqlstate(error) not in AGAIN or tries == TRIES:
                    raise
            await asyncio.sleep(0.01 * 2**tries)


async def _run(connection: Connection, address: Address, scripts: Sequence[str]) -> tuple[int, int]:
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1, $2)", LOCKS, lock_key(address, "migrate"))
        store = await read_version(connection, address)
        found = 0 if store is None else store.schema_version
        if store is None:
            await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(address.schema)}")
        for number in range(found + 1, len(scripts) + 1):
            await connection.execute(scripts[number - 1])
            await connection.execute("UPDATE store SET schema_version = $1", number)
    return found, max(found, len(scripts))
