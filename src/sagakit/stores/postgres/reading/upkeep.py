"""What the engine and its operators keep beside the work itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sagakit.core.commit import Checkpoint, Inbox, Pause, Subscription
from sagakit.core.queries import OwnerSeen
from sagakit.stores.postgres.connection import Connection
from sagakit.stores.postgres.queries import QUERIES


async def read_inbox(connection: Connection, scope: str, key: str) -> Inbox | None:
    """What the door remembers of a key."""
    row = await connection.fetchrow(QUERIES["read_inbox"], scope, key)
    return None if row is None else Inbox(*row)


async def read_pauses(connection: Connection) -> list[Pause]:
    """All that stands still, in the order in which it was paused."""
    return [Pause(*row) for row in await connection.fetch(QUERIES["read_pauses"])]


async def read_subscriptions(connection: Connection) -> list[Subscription]:
    """Which consumers take which message types."""
    return [Subscription(*row) for row in await connection.fetch(QUERIES["read_subscriptions"])]


def columns(subscriptions: Sequence[Subscription]) -> tuple[list[Any], ...]:
    """Subscriptions as columns."""
    rows = [(one.consumer, one.type, one.since, one.kind, one.key) for one in subscriptions]
    return tuple([row[place] for row in rows] for place in range(5))


async def read_checkpoint(connection: Connection, consumer: str) -> Checkpoint | None:
    """How far a reader has come."""
    row = await connection.fetchrow(QUERIES["read_checkpoint"], consumer)
    return None if row is None else Checkpoint(*row)


async def read_owner(connection: Connection, lock: tuple[int, int]) -> OwnerSeen | None:
    """Who owns the store alone, if that one lives; else a worker, one with an address if there is one."""
    for alone, pid, url in await connection.fetch(QUERIES["read_owners"]):
        if not alone or await connection.fetchval(QUERIES["is_locked"], *lock):
            return OwnerSeen(pid, url)
    return None
