"""Schemas of a PostgreSQL database."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg  # pyright: ignore[reportMissingTypeStubs]

from sagakit.bench.grounds.ground import ROUNDS, ROW, Ground, streams
from sagakit.bench.sizes import BenchFailed
from sagakit.stores.postgres.address import parse, quoted

_ERRORS = (OSError, asyncpg.PostgresError)


@asynccontextmanager
async def postgres(url: str) -> AsyncGenerator[Ground]:
    """A new schema, kept, in the database of this URL. BenchFailed if it is there already, or the server is not."""
    server, schema, _ = parse(url)
    try:
        connection = await _connect(server)
    except _ERRORS as error:
        raise BenchFailed(f"PostgreSQL cannot be reached: {error}") from None
    try:
        if await connection.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname = $1", schema):
            raise BenchFailed(f"the schema {schema} exists already: the bench makes a new one, ?schema= names another")
        found = PostgresGround(url, server, schema, connection)
        try:
            yield found
        finally:
            for other in found.others:
                await connection.execute(f"DROP SCHEMA IF EXISTS {quoted(other)} CASCADE")
    finally:
        await connection.close()


class PostgresGround:
    """A schema, and others beside it."""

    def __init__(self, url: str, server: str, schema: str, connection: Any) -> None:
        self.url = url
        self._server = server
        self._schema = schema
        self._connection = connection
        self.others: list[str] = []
        """Those that are gone at the end."""

    @property
    def versions(self) -> Mapping[str, str]:
        """Of the server and its driver."""
        server = self._connection.get_server_version()
        return {"asyncpg": version("asyncpg"), "postgresql": f"{server.major}.{server.minor}"}

    def beside(self, name: str) -> str:
        """The URL of another schema."""
        self.others.append(f"{self._schema}_{name}")
        return _with_schema(self.url, self.others[-1])

    @asynccontextmanager
    async def floor(self) -> AsyncGenerator[PostgresFloor]:
        """The floor in a schema of its own."""
        self.beside("floor")
        schema = quoted(self.others[-1])
        connection = await _connect(self._server, server_settings={"synchronous_commit": "on"})
        try:
            await connection.execute(f"CREATE SCHEMA {schema}")
            await connection.execute(
                f"CREATE TABLE {schema}.events (position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
                "stream text NOT NULL, version integer NOT NULL, body bytea NOT NULL, UNIQUE (stream, version))"
            )
            write = await connection.prepare(
                f"INSERT INTO {schema}.events (stream, version, body) "  # noqa: S608  (a name of our own)
                "SELECT stream, version, body FROM unnest($1::text[], $2::integer[], $3::bytea[]) "
                "WITH ORDINALITY AS given (stream, version, body, place) ORDER BY place RETURNING position"
            )
            yield PostgresFloor(connection, write)
        finally:
            await connection.close()


class PostgresFloor:
    """One table, written set-based, a transaction a round."""

    def __init__(self, connection: Any, write: Any) -> None:
        self._connection = connection
        self._write = write

    async def run(self, sagas: int) -> float:
        """Write the rows of so many sagas; the sagas per second."""
        begun = time.perf_counter()
        for together in streams(sagas):
            last = 0
            for rows in ROUNDS:
                numbers = range(last + 1, last + rows + 1)
                of_rows = [stream for stream in together for _ in numbers]
                async with self._connection.transaction():
                    await self._write.fetch(of_rows, list(numbers) * len(together), [ROW] * len(of_rows))
                last += rows
        return sagas / (time.perf_counter() - begun)


async def _connect(server: str, **options: Any) -> Any:
    connect: Any = asyncpg.connect  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return await connect(server, **options)


def _with_schema(url: str, schema: str) -> str:
    split = urlsplit(url)
    words = [one for one in parse_qsl(split.query) if one[0] != "schema"]
    return urlunsplit(split._replace(query=urlencode([*words, ("schema", schema)])))
