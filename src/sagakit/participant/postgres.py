"""What a participant remembers, in its service's own PostgreSQL, on connections that the service opens."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from sagakit.core.messages import Seconds, seconds
from sagakit.core.participation.messages import Known

SCHEMA = """
CREATE TABLE IF NOT EXISTS {table} (
    participant text NOT NULL,
    command_id text NOT NULL,
    reply bytea,
    undone boolean NOT NULL DEFAULT false,
    since timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (participant, command_id)
)
"""
LOCK = 7_239_471_003
BEGIN = "INSERT INTO {table} (participant, command_id) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING 1"
RECALL = "SELECT reply, undone FROM {table} WHERE participant = $1 AND command_id = $2 FOR UPDATE"
REMEMBER = "UPDATE {table} SET reply = $3 WHERE participant = $1 AND command_id = $2"
MARK_UNDONE = "UPDATE {table} SET undone = true WHERE participant = $1 AND command_id = $2"
FORGET = (
    "WITH gone AS (DELETE FROM {table} WHERE participant = $1 AND since <= now() - make_interval(secs => $2) "
    "RETURNING 1) SELECT count(*) FROM gone"
)


class PostgresMemory:
    """A durable memory in a table beside the service's own.

    `begin`: a context with a connection in a transaction that commits at its end: asyncpg's or psycopg's (async).
    Two of one command wait for each other; what was rolled back was never begun. A handler that takes the `connection`
    writes into the same transaction.
    """

    def __init__(
        self, begin: Callable[[], AbstractAsyncContextManager[Any]], *, table: str = "sagakit_participants"
    ) -> None:
        if not all(part.isidentifier() for part in table.split(".")):
            raise ValueError(f"table={table!r}: give a plain name, with its schema or without")
        self._begin = begin
        self._table = table

    @property
    def schema(self) -> str:
        """What makes the table, for migrations of one's own."""
        return SCHEMA.format(table=self._table)

    async def open(self) -> None:
        """Make the table, if it is not there."""
        async with self._begin() as connection:
            # two that make it at the same time would fail, in spite of IF NOT EXISTS
            await _rows(connection, f"SELECT pg_advisory_xact_lock({LOCK})")
            await _run(connection, self.schema)

    async def close(self) -> None:
        """Nothing to do: the connections are the service's."""

    @asynccontextmanager
    async def transaction(self, participant: str) -> AsyncGenerator[_Writing]:
        """Begin a transaction."""
        async with self._begin() as connection:
            yield _Writing(connection, participant, self._table)

    async def forget(self, participant: str, older_than: Seconds) -> int:
        """Forget what is older."""
        async with self._begin() as connection:
            found = await _rows(connection, FORGET.format(table=self._table), participant, seconds(older_than))
            return int(found[0][0])


class _Writing:
    """One transaction."""

    def __init__(self, connection: Any, participant: str, table: str) -> None:
        self.connection = connection
        self._participant = participant
        self._table = table

    async def recall(self, id: str) -> Known:
        """What is known of a command, which is begun with this if it is new."""
        if await self._rows(BEGIN, id):
            return Known()
        ((reply, undone),) = await self._rows(RECALL, id)
        return Known(new=False, reply=None if reply is None else bytes(reply), undone=undone)

    async def remember(self, id: str, reply: bytes) -> None:
        """The answer to a command."""
        await _run(self.connection, REMEMBER.format(table=self._table), self._participant, id, reply)

    async def mark_undone(self, id: str) -> None:
        """A command is not to be done any more."""
        await _run(self.connection, MARK_UNDONE.format(table=self._table), self._participant, id)

    async def _rows(self, statement: str, id: str) -> Sequence[Any]:
        return await _rows(self.connection, statement.format(table=self._table), self._participant, id)


async def _rows(connection: Any, statement: str, *values: Any) -> Sequence[Any]:
    """Rows by either driver: asyncpg numbers its places, psycopg takes `%s` in their order."""
    if hasattr(connection, "fetch"):
        return await connection.fetch(statement, *values)
    cursor = await connection.execute(*_in_order(statement, values))
    return await cursor.fetchall()


async def _run(connection: Any, statement: str, *values: Any) -> None:
    if hasattr(connection, "fetch"):
        await connection.execute(statement, *values)
    else:
        await connection.execute(*_in_order(statement, values))


def _in_order(statement: str, values: Sequence[Any]) -> tuple[str, Sequence[Any]]:
    """The statement with `%s` for each place, and the values in the order of the places."""
    places = {f"${number}": value for number, value in enumerate(values, 1)}
    ordered = sorted(places, key=statement.index)
    for place in places:
        statement = statement.replace(place, "%s")
    return statement, [places[place] for place in ordered]
