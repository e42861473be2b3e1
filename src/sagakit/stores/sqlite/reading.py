"""Rows back into what the store's port speaks of."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import msgspec

from sagakit.core.commit import (
    Checkpoint,
    Delivery,
    Envelope,
    History,
    Inbox,
    Instance,
    Search,
    Snapshot,
    Subscription,
)
from sagakit.core.queries import InstanceQuery, Listed
from sagakit.stores.sqlite.connection import Connection
from sagakit.stores.sqlite.queries import QUERIES

_INSTANCE_WIDTH = len(Instance.__struct_fields__)


def _rows(connection: Connection, query: str, **bindings: Any) -> list[Any]:
    return connection.execute(QUERIES[query], bindings).fetchall()


def _first(connection: Connection, query: str, **bindings: Any) -> Any:
    return next(iter(_rows(connection, query, **bindings)), None)


def read_deliveries(connection: Connection, after: int, limit: int) -> list[Delivery]:
    """Outstanding deliveries, each with its messages."""
    rows = _rows(connection, "read_deliveries", after=after, limit=limit)
    return [_delivery(list(group)) for _, group in groupby(rows, key=lambda row: row[0])]


def _delivery(rows: list[tuple[Any, ...]]) -> Delivery:
    id, consumer, lane, state, due_at, attempt, crashes, error, carried = rows[0][:9]
    if carried is not None:
        messages = [Envelope(*msgspec.msgpack.decode(carried))]
    else:
        messages = [Envelope(*row[9:]) for row in rows]
    return Delivery(messages[0], consumer, lane, id, state, due_at, attempt, crashes, error, more=tuple(messages[1:]))


def read_messages(connection: Connection, after: int, limit: int) -> list[Envelope]:
    """The log above a position."""
    return [Envelope(*row) for row in _rows(connection, "read_messages", after=after, limit=limit)]


def read_story(connection: Connection, correlation_id: str, after: int, limit: int) -> list[Envelope]:
    """The messages of one correlation id."""
    rows = _rows(connection, "read_story", correlation_id=correlation_id, after=after, limit=limit)
    return [Envelope(*row) for row in rows]


def read_stream(connection: Connection, stream: str, after: int, limit: int) -> list[Envelope]:
    """The events of a stream above a version."""
    return [Envelope(*row) for row in _rows(connection, "read_stream", stream=stream, after=after, limit=limit)]


def read_snapshot(connection: Connection, stream: str) -> Snapshot | None:
    """The newest snapshot of a stream."""
    row = _first(connection, "read_snapshot", stream=stream)
    return row and Snapshot(*row)


def read_instance(connection: Connection, id: str) -> Instance | None:
    """The hot row of an instance."""
    row = _first(connection, "read_instance", id=id)
    return row and Instance(*row)


def read_search(connection: Connection, id: str) -> Search | None:
    """What is listed of one instance."""
    row = _first(connection, "read_search", id=id)
    return row and Search(*row)


def read_instances(connection: Connection, query: InstanceQuery) -> list[Listed]:
    """A page of instances, newest first."""
    wanted = {"s.type": query.type, "s.status": query.status, "s.key": query.key, "s.trace_id": query.trace_id}
    filters: list[tuple[str, Any]] = [(f"{column} = ?", value) for column, value in wanted.items() if value is not None]
    if query.after is not None:
        filters.append(("s.number < ?", query.after))
    condition = " AND ".join(term for term, _ in filters) or "TRUE"
    sql = QUERIES["read_instances"].replace(":filters", condition).replace(":limit", "?")
    rows = connection.execute(sql, [*(value for _, value in filters), query.limit]).fetchall()
    return [Listed(Instance(*row[:_INSTANCE_WIDTH]), Search(*row[_INSTANCE_WIDTH:])) for row in rows]


def read_history(connection: Connection, instance: str, after: int, limit: int) -> list[History]:
    """The reactions of an instance above a row version, each with its messages."""
    reactions = _rows(connection, "read_reactions", instance=instance, after=after, limit=limit)
    ranges = [part for row in reactions for part in (row[1:3], row[3:5])]
    found = _rows(connection, "read_ranges", ranges=msgspec.json.encode(ranges).decode())
    messages = {row[-1]: Envelope(*row) for row in found}
    return [
        History(
            version,
            tuple(messages[position] for position in range(first_input, first_input + inputs)),
            tuple(messages[position] for position in range(first_output, first_output + outputs)),
        )
        for version, first_input, inputs, first_output, outputs in reactions
    ]


def read_inbox(connection: Connection, scope: str, key: str) -> Inbox | None:
    """What the door remembers of a key."""
    row = _first(connection, "read_inbox", scope=scope, key=key)
    return row and Inbox(*row)


def read_subscriptions(connection: Connection) -> list[Subscription]:
    """Which consumers take which message types."""
    return [Subscription(*row) for row in _rows(connection, "read_subscriptions")]


def read_checkpoint(connection: Connection, consumer: str) -> Checkpoint | None:
    """How far a reader has come."""
    row = _first(connection, "read_checkpoint", consumer=consumer)
    return row and Checkpoint(*row)
