"""What a store consists of, whatever keeps it."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

Row: TypeAlias = tuple[Any, ...]
"""The values of a table's columns: numbers, texts, bytes and None."""

BATCH = 5_000
"""Rows that are read and written at once."""


class Table(NamedTuple):
    """A table and its columns, as both sides of a copy name them."""

    name: str
    columns: tuple[str, ...]


class Standing(NamedTuple):
    """What a store says of itself."""

    clean: bool
    """Its last owner ended with nothing running."""
    transactions: int
    last_position: int
    last_delivery: int
    last_instance: int
    """The highest numbers ever given: none is given twice."""


TABLES = (
    Table(
        "messages",
        (
            *("position", "id", "kind", "type", "payload", "correlation_id", "recorded_at", "version", "causation_id"),
            *("sender", "undoes", "trace", "stream", "stream_version", "expected_version"),
        ),
    ),
    Table(
        "deliveries",
        (
            *("id", "position", "more", "consumer", "lane", "partition", "state", "due_at", "attempt", "crashes"),
            *("error", "carried", "message_id", "message_type", "message_sender", "spent"),
        ),
    ),
    Table("processes", ("number", "id", "type", "key", "definition", "version", "status", "state")),
    Table(
        "process_search",
        (
            *("number", "instance", "type", "key", "status", "correlation_id", "started_at", "updated_at", "ended_at"),
            *("cause", "reason", "trace_id", "attributes"),
        ),
    ),
    Table("process_attributes", ("name", "value", "number")),
    Table("reactions", ("instance", "version", "first_input", "inputs", "first_output", "outputs")),
    Table("inbox", ("scope", "key", "digest", "answer", "expires_at")),
    Table("items", ("instance", "step", "idx", "item", "command_id", "command", "state", "reason", "undo")),
    Table("pauses", ("place", "scope", "name", "paused_by", "reason", "since")),
    Table("snapshots", ("stream", "version", "code", "state")),
    Table("subscriptions", ("consumer", "type", "since")),
    Table("checkpoints", ("consumer", "position")),
)
"""All that a store knows of its app. Who owns it, and on which machines, is not copied."""
