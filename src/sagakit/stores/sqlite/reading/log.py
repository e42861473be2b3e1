"""The log, and what is made of it."""

from __future__ import annotations

import msgspec

from sagakit.core.commit import Envelope, History, Snapshot
from sagakit.stores.sqlite.connection import Connection
from sagakit.stores.sqlite.reading.rows import first, rows


def read_messages(connection: Connection, after: int, limit: int) -> list[Envelope]:
    """The log above a position."""
    return [Envelope(*row) for row in rows(connection, "read_messages", after=after, limit=limit)]


def read_story(connection: Connection, correlation_id: str, after: int, limit: int) -> list[Envelope]:
    """The messages of one correlation id."""
    found = rows(connection, "read_story", correlation_id=correlation_id, after=after, limit=limit)
    return [Envelope(*row) for row in found]


def read_message(connection: Connection, correlation_id: str, id: str) -> Envelope | None:
    """One message of a story."""
    row = first(connection, "read_message", correlation_id=correlation_id, id=id)
    return row and Envelope(*row)


def read_stream(connection: Connection, stream: str, after: int, limit: int) -> list[Envelope]:
    """The events of a stream above a version."""
    return [Envelope(*row) for row in rows(connection, "read_stream", stream=stream, after=after, limit=limit)]


def read_snapshot(connection: Connection, stream: str) -> Snapshot | None:
    """The newest snapshot of a stream."""
    row = first(connection, "read_snapshot", stream=stream)
    return row and Snapshot(*row)


def last_recorded(connection: Connection) -> int:
    """When the newest message was recorded."""
    row = first(connection, "last_recorded")
    return row[0] if row else 0


def read_history(connection: Connection, instance: str, after: int, limit: int) -> list[History]:
    """The reactions of an instance above a row version, each with its messages."""
    reactions = rows(connection, "read_reactions", instance=instance, after=after, limit=limit)
    ranges = [part for row in reactions for part in (row[1:3], row[3:5])]
    found = rows(connection, "read_ranges", ranges=msgspec.json.encode(ranges).decode())
    messages = {row[-1]: Envelope(*row) for row in found}
    return [
        History(
            version,
            tuple(messages[position] for position in range(first_input, first_input + inputs)),
            tuple(messages[position] for position in range(first_output, first_output + outputs)),
        )
        for version, first_input, inputs, first_output, outputs in reactions
    ]
