"""Commands out of a user's own transaction on PostgreSQL: their rows and our message are one commit.

with psycopg.connect(...) as connection:
    connection.execute("INSERT INTO invoices ...")
    outbox.send(connection, CollectInvoice(42), app=app)
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Protocol, overload

from uuid_utils import uuid7

from sagakit.core.commit import Envelope
from sagakit.core.messages import Message, Seconds
from sagakit.core.streams import partition
from sagakit.engine.inbox import entry_of, repeat
from sagakit.engine.routing import DOOR
from sagakit.engine.time.due import due_at
from sagakit.engine.topology import Topology
from sagakit.engine.workers.across.notices import CAME
from sagakit.errors import UnknownMessage
from sagakit.ports import Receipt
from sagakit.stores.postgres.address import SCHEMA
from sagakit.stores.postgres.outbox.calls import Call
from sagakit.stores.postgres.outbox.drivers import call, call_async, is_async

__all__ = ["send"]


class AsyncConnection(Protocol):
    """A connection whose `execute` is awaited: asyncpg's, psycopg's and SQLAlchemy's async ones."""

    def execute(self, *args: Any, **kwargs: Any) -> Awaitable[Any]: ...


class Sends(Protocol):
    """An app, as far as it is needed here."""

    def topology_to_send(self) -> Topology: ...


@overload
def send(  # pyright: ignore[reportOverlappingOverload] (whatever is awaited is an object too)
    connection: AsyncConnection,
    command: Message,
    *,
    app: Sends,
    idempotency_key: str | None = None,
    after: Seconds | None = None,
    at: datetime | None = None,
    trace: str | None = None,
    schema: str = SCHEMA,
) -> Awaitable[Receipt]: ...
@overload
def send(
    connection: object,
    command: Message,
    *,
    app: Sends,
    idempotency_key: str | None = None,
    after: Seconds | None = None,
    at: datetime | None = None,
    trace: str | None = None,
    schema: str = SCHEMA,
) -> Receipt: ...
def send(
    connection: Any,
    command: Message,
    *,
    app: Sends,
    idempotency_key: str | None = None,
    after: Seconds | None = None,
    at: datetime | None = None,
    trace: str | None = None,
    schema: str = SCHEMA,
) -> Any:
    """Put a command into the transaction that is open: accepted if that commits, and else never sent.

    `connection`: psycopg's, asyncpg's, Django's or SQLAlchemy's, or a session of it; the async ones are awaited. It
    has to be in the database of the engines' store, whose `schema` is the one in their URL. `app` says how the command
    is written, and that somebody handles it; it need not run here.

    The same `idempotency_key` gives the first receipt again, with another command KeyReused. Raises NotPossible where
    no transaction is open (autocommit), InvalidMessage, UnknownMessage, PayloadTooLarge.
    """
    envelope, digest = _sealed(app, command, trace)
    now = envelope.recorded_at
    inbox = None if idempotency_key is None else entry_of(envelope, idempotency_key, digest())
    due = due_at(now, after, at) or now
    asked = Call(schema, envelope, DOOR, partition(envelope.id), due, inbox, CAME)

    def receipt(known: Any) -> Receipt:
        if known is None or inbox is None:
            return Receipt(envelope.id, envelope.correlation_id)
        return repeat(asked.known(known), inbox)

    if not is_async(connection):
        return receipt(call(connection, asked))

    async def send_async() -> Receipt:
        return receipt(await call_async(connection, asked))

    return send_async()


def _sealed(app: Sends, command: Message, trace: str | None) -> tuple[Envelope, Callable[[], str]]:
    """The command as the log will hold it, and what tells it from another one with its key."""
    topology = app.topology_to_send()
    codec, payload, sealed = topology.codecs.seal(command)
    if codec.cls not in topology.handlers and codec.cls not in topology.starters:
        raise UnknownMessage(f"nobody handles the command {codec.name}")
    id, now = uuid7().hex, time.time_ns() // 1_000
    envelope = Envelope(id, "command", codec.name, payload, id, now, codec.version, trace=trace)
    return envelope, lambda: codec.digest(sealed)
