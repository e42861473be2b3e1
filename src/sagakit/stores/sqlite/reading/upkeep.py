"""What the engine and its operators keep beside the work itself."""

from __future__ import annotations

from sagakit.core.commit import Checkpoint, Inbox, Pause, Subscription
from sagakit.stores.sqlite.connection import Connection
from sagakit.stores.sqlite.reading.rows import first, rows


def read_inbox(connection: Connection, scope: str, key: str) -> Inbox | None:
    """What the door remembers of a key."""
    row = first(connection, "read_inbox", scope=scope, key=key)
    return row and Inbox(*row)


def read_pauses(connection: Connection) -> list[Pause]:
    """All that stands still, in the order in which it was paused."""
    return [Pause(*row) for row in rows(connection, "read_pauses")]


def read_subscriptions(connection: Connection) -> list[Subscription]:
    """Which consumers take which message types."""
    return [Subscription(*row) for row in rows(connection, "read_subscriptions")]


def read_checkpoint(connection: Connection, consumer: str) -> Checkpoint | None:
    """How far a reader has come."""
    row = first(connection, "read_checkpoint", consumer=consumer)
    return row and Checkpoint(*row)


def read_owner(connection: Connection) -> tuple[int | None, str | None]:
    """Who has written itself in as the owner: process id and URL. Whether it lives only its lock tells."""
    return first(connection, "read_owner")
