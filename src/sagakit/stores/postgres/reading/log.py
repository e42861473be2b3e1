"""The log, and what is made of it."""

from __future__ import annotations

from typing import Any

from sagakit.core.commit import Envelope, History, Snapshot
from sagakit.stores.postgres.connection import Connection
from sagakit.stores.postgres.queries import QUERIES


def _messages(filters: str, order: str, limit: str) -> str:
    return QUERIES["read_messages"].replace(":filters", filters).replace(":order", order).replace(":limit", limit)


LOG = _messages("position > $1", "position", "$2")
STORY = _messages("correlation_id = $1 AND position > $2", "position", "$3")
MESSAGE = _messages("correlation_id = $1 AND id = $2", "position", "1")
STREAM = _messages("stream = $1 AND stream_version > $2", "stream_version", "$3")


async def read_messages(connection: Connection, after: int, limit: int) -> list[Envelope]:
    """The log above a position."""
    return await _read(connection, LOG, after, limit)


async def read_story(connection: Connection, correlation_id: str, after: int, limit: int) -> list[Envelope]:
    """The messages of one correlation id."""
    return await _read(connection, STORY, correlation_id, after, limit)


async def read_message(connection: Connection, correlation_id: str, id: str) -> Envelope | None:
    """One message of a story."""
    return next(iter(await _read(connection, MESSAGE, correlation_id, id)), None)


async def read_stream(connection: Connection, stream: str, after: int, limit: int) -> list[Envelope]:
    """The events of a stream above a version."""
    return await _read(connection, STREAM, stream, after, limit)


async def read_settled(
    connection: Connection, after: tuple[int, int], limit: int
) -> list[tuple[tuple[int, int], Envelope]]:
    """The log in an order in which nothing can come between any more, each message with its cursor."""
    found = await connection.fetch(QUERIES["read_log"], *after, limit)
    return [((row[0], row[-1]), Envelope(*row[1:])) for row in found]


async def read_snapshot(connection: Connection, stream: str) -> Snapshot | None:
    """The newest snapshot of a stream."""
    row = await connection.fetchrow(QUERIES["read_snapshot"], stream)
    return None if row is None else Snapshot(*row)


async def last_recorded(connection: Connection) -> int:
    """When the newest message was recorded."""
    return await connection.fetchval(QUERIES["last_recorded"]) or 0


async def read_history(connection: Connection, instance: str, after: int, limit: int) -> list[History]:
    """The reactions of an instance above a row version, each with its messages."""
    reactions = await connection.fetch(QUERIES["read_reactions"], instance, after, limit)
    ranges = [part for row in reactions for part in ((row[1], row[2]), (row[3], row[4])) if part[1]]
    firsts, counts = [first for first, _ in ranges], [count for _, count in ranges]
    found = await connection.fetch(QUERIES["read_ranges"], firsts, counts)
    messages = {row[-1]: Envelope(*row) for row in found}
    return [
        History(
            version,
            tuple(messages[position] for position in range(first_input, first_input + inputs)),
            tuple(messages[position] for position in range(first_output, first_output + outputs)),
        )
        for version, first_input, inputs, first_output, outputs in reactions
    ]


async def _read(connection: Connection, statement: str, *values: Any) -> list[Envelope]:
    return [Envelope(*row) for row in await connection.fetch(statement, *values)]
