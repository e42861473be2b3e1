"""The stores that a test of an engine runs on, one after another, each empty: memory, SQLite and PostgreSQL.

    pytestmark = ON_EACH_STORE

    async def test_something() -> None:
        store = new_store()
        async with engine(app, store=store) as running: ...
        async with engine(app, store=store.again()) as running: ...      # a new engine on the same data

    @only_on("memory", because="it looks into the data itself")
    async def test_something_else() -> None: ...

An `engine(app)` without a store is on a new one of the same kind, and so is an `app.engine(new_url())`.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from sagakit.core import streams
from sagakit.engine.workers.owning import assignment
from sagakit.engine.workers.owning.assignment import shared_out
from sagakit.ports import Store
from sagakit.stores.memory import MemoryStore
from sagakit.stores.postgres import connection as postgres
from sagakit.stores.postgres.address import parse, quoted
from sagakit.stores.postgres.connection import Connection
from sagakit.stores.postgres.sharing.pulse import Pulse
from sagakit.stores.postgres.store import PostgresStore
from sagakit.stores.sqlite import SqliteStore
from sagakit.stores.sqlite import connection as sqlite
from sagakit.testing import manual

PARTITIONS = 4
KINDS = ("memory", "sqlite", "postgresql")
ON_EACH_STORE = pytest.mark.usefixtures("each_store")


def only_on(*kinds: str, because: str) -> pytest.MarkDecorator:
    """One test of a module that runs on each store runs on these alone."""
    assert set(kinds) < set(KINDS)
    assert because
    return pytest.mark.only_on(*kinds, because=because)


class AnyStore(Store, Protocol):
    """A store of a test."""

    def again(self) -> AnyStore:
        """Another one on the same data: an engine that starts on it takes the data away from this one's."""
        ...


class AnySqlite(SqliteStore):
    """In a file of the test's own."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._file = path

    def again(self) -> AnySqlite:
        """Another one on the same file."""
        return AnySqlite(self._file)


class AnyPostgres(PostgresStore):
    """In a schema that the tests of a process use one after another."""

    def __init__(self, url: str, all: list[AnyPostgres] | None = None) -> None:
        super().__init__(url)
        self.url = url
        self.all = [] if all is None else all
        """All on the same schema, this one too."""
        self.all.append(self)
        self._engines = 0
        """How many have started on this one."""
        self._prepare, self.cluster.prepare = self.cluster.prepare, self._prepare_alone  # type: ignore[method-assign]

    def again(self) -> AnyPostgres:
        """Another one on the same schema."""
        return AnyPostgres(self.url, self.all)

    async def _prepare_alone(self) -> None:
        """An engine that is still there has crashed, or hangs: its lease runs out, and nobody is left but this one."""
        await self._prepare()
        if any(one is not self and one._engines for one in self.all):
            pulse = Pulse(self.address, "")
            connection = await pulse._connected()
            async with asyncio.timeout(60):  # the last commit of one that was killed may still be under way
                while await connection.fetchval("SELECT count(*) FROM workers"):
                    await connection.execute("UPDATE workers SET expires_at = 0")
                    await pulse.expel_expired()
            pulse.stop()
        self._engines += 1


class Around:
    """A store with another one inside, which does all that a test does not do in its place."""

    def __init__(self, inner: AnyStore | None = None) -> None:
        self.inner = inner or new_store()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class Schemas:
    """Schemas on PostgreSQL, made empty to be used again: far cheaper than new ones."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._run = uuid4().hex[:12]
        self._count = 0
        self._free: list[str] = []
        self._connection = psycopg.connect(server, autocommit=True)
        self._connection.execute("SET lock_timeout = '60s'")

    def take(self) -> str:
        """The URL of one that is empty, or is still to be made."""
        if self._free:
            url = self._free.pop()
            self._empty(parse(url).schema)
            return url
        self._count += 1
        return f"{self._server}{'&' if '?' in self._server else '?'}schema=each_{self._run}_{self._count}"

    def give(self, url: str) -> None:
        """It is not used any more."""
        self._free.append(url)

    def close(self) -> None:
        """Remove those that were used."""
        with self._connection as connection:
            connection.execute("SET client_min_messages = warning")
            for url in self._free:
                drop = sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE")
                connection.execute(drop.format(sql.Identifier(parse(url).schema)))

    def _empty(self, schema: str) -> None:
        found = self._connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [schema])
        names = [row[0] for row in found.fetchall() if row[0] != "store"]
        if names:
            commands = [sql.SQL("DELETE FROM {}").format(sql.Identifier(schema, name)) for name in names]
            commands.append(sql.SQL("ALTER SEQUENCE {} RESTART").format(sql.Identifier(schema, "numbers")))
            commands.append(sql.SQL("UPDATE {} SET clean = true, routing = 1").format(sql.Identifier(schema, "store")))
            self._connection.execute(sql.SQL("; ").join(commands))


class Stores:
    """Makes the stores of one test."""

    connections: defaultdict[str, list[Connection]]
    """All that were made to PostgreSQL, by their search path: an engine that a test kills closes none of its own."""

    def __init__(self, kind: str, folder: Path, schemas: Schemas | None = None) -> None:
        self.kind = kind
        self._folder = folder
        self._schemas = schemas
        self._count = 0
        self._used: list[AnyPostgres] = []
        self.connections = defaultdict(list)

    def new(self) -> AnyStore:
        """One that is empty."""
        if self._schemas is not None:
            self._used.append(AnyPostgres(self._schemas.take()))
            return self._used[-1]
        if self.kind == "memory":
            return MemoryStore()
        self._count += 1
        return AnySqlite(self._folder / f"store-{self._count}.db")

    def new_url(self) -> str:
        """The URL of one that is empty."""
        store = self.new()
        if isinstance(store, AnyPostgres):
            return store.url
        return str(store.path) if isinstance(store, AnySqlite) else "memory://"

    async def discard(self, store: AnyStore) -> None:
        """Close it, and all on the same data: nobody will ask for that again."""
        if isinstance(store, AnyPostgres) and self._schemas is not None:
            for one in store.all:
                await one.close(clean=False)
            for connection in self.connections.pop(f"{quoted(store.address.schema)}, pg_catalog", ()):
                connection.terminate()
            await asyncio.sleep(0)  # so they are closed
            self._used.remove(store.all[0])
            self._schemas.give(store.url)

    async def close(self) -> None:
        """Close all."""
        for store in list(self._used):
            await self.discard(store)


def prepare(patch: pytest.MonkeyPatch, stores: Stores) -> None:
    """What makes a test fast that runs on these, and what a test changes by the kind of its store."""
    patch.setattr(manual, "MemoryStore", stores.new)
    if stores.kind == "sqlite":  # what a disk does is tested with the store
        patch.setattr(sqlite, "SETTINGS", {**sqlite.SETTINGS, "synchronous": "off"})
    if stores.kind != "postgresql":
        return
    shared_out.cache_clear()
    # one engine claims them all, thousands at each start; tests of workers have as many as there are
    for module in (streams, assignment):
        patch.setattr(module, "PARTITIONS", PARTITIONS)
    connect = postgres._connect

    async def remembered(dsn: str, *, server_settings: Mapping[str, str], **named: Any) -> Connection:
        made = await connect(dsn, server_settings=server_settings, **named)
        stores.connections[server_settings["search_path"]].append(made)
        return made

    patch.setattr(postgres, "_connect", remembered)


IN_MEMORY = Stores("memory", Path())
NOW: list[Stores] = [IN_MEMORY]
"""The last one is that of the test that runs."""


def new_store() -> AnyStore:
    """An empty store, of the kind that this test runs on now; in memory if it does not say that it runs on each."""
    return NOW[-1].new()


def new_url() -> str:
    """The URL of an empty store, for what opens its store itself; of which kind is said as with `new_store()`."""
    return NOW[-1].new_url()


async def discard(store: AnyStore) -> None:
    """It is not needed any more: for tests that make very many."""
    await NOW[-1].discard(store)
