"""A store that has grown: a long log, many that have ended, a file of deliveries that is mostly what is done.

Nothing of it is vacuumed or analysed but by the test.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from sagakit.stores.postgres.carried import encode_carried
from sagakit.stores.postgres.connection import Connection
from sagakit.stores.postgres.store import PostgresStore
from sagakit.testing.store_contract.samples import message

MESSAGES = 120_000
INSTANCES = 40_000
FIRST = 1_000_000
"""Of the numbers that are left to the test."""
_TABLES = (
    "messages", "processes", "process_search", "process_attributes", "reactions", "inbox", "items", "deliveries",
)  # fmt: skip

# 200 messages a transaction, all of them over; 10 a story; each fourth of a stream of 100
_LOG = f"""
INSERT INTO messages (
    position, xid, recorded_at, version, id, kind, type, payload, correlation_id, stream, stream_version
)
SELECT
    n, (3 + n / 200)::text::xid8, n, 1, 'message-' || n, 'event', 'shop.OrderPlaced', repeat('x', 200)::bytea,
    'story-' || n / 10, CASE WHEN n % 4 = 0 THEN 'shop.account/' || n / 400 END,
    CASE WHEN n % 4 = 0 THEN 1 + n % 400 / 4 END
FROM generate_series(1, {MESSAGES}) AS n
"""
_INSTANCES = f"""
INSERT INTO processes (number, definition, version, id, type, key, status, state)
SELECT
    n, 1, 2, 'instance-' || n, 'shop.order', 'key-' || n,
    CASE WHEN n % 4000 = 3 THEN 'parked' WHEN n % 20 = 1 THEN 'running' ELSE 'completed' END, '{{}}'::bytea
FROM generate_series(1, {INSTANCES}) AS n;
INSERT INTO process_search (
    number, started_at, updated_at, instance, type, key, status, correlation_id, cause, reason, trace_id, attributes
)
SELECT
    number, number, number, id, type, key, status, 'story-' || number, '', '', 'trace-' || number,
    convert_to(json_build_object('city', 'city-' || number % 500)::text, 'UTF8')
FROM processes WHERE number <= {INSTANCES};
INSERT INTO reactions (instance, first_input, first_output, version, inputs, outputs)
SELECT n, n * 3 - 2, n * 3 - 1, v, 1, 1 FROM generate_series(1, {INSTANCES}) AS n, generate_series(1, 2) AS v;
INSERT INTO items (instance, step, idx, item, command_id, command, state, reason, undo)
SELECT i, 1, n, '', 'c' || n, '', CASE WHEN n % 5000 = 0 THEN 'failed' ELSE 'done' END, '', ''
FROM generate_series(1, 20000) AS n, generate_series(1, 2) AS i;
INSERT INTO inbox (scope, key, digest, answer) SELECT 'http', 'key-' || n, '', '' FROM generate_series(1, 40000) AS n
"""
_DELIVERIES = f"""
INSERT INTO deliveries (
    id, position, due_at, arrived, writer, more, partition, attempt, crashes, spent, consumer, lane, state
)
SELECT
    200000 + n, n, 0, (3 + n % 500)::text::xid8, 'gone', 0, n % 256, 1, 0, 0, 'shop.orders', 'shop.orders/' || n,
    'ready'
FROM generate_series(1, 60000) AS n;
DELETE FROM deliveries WHERE writer = 'gone';
INSERT INTO deliveries (
    id, due_at, more, partition, attempt, crashes, spent, consumer, lane, state, carried, message_id, message_type
)
SELECT
    300000 + n, 1000 + n, 0, n % 256, 1, 0, 0, 'shop.orders', 'shop.orders/' || n % 2000, 'scheduled',
    '\\x{encode_carried(message()).hex()}', 'timer-' || n, 'shop.Timer'
FROM generate_series(1, 20000) AS n;
INSERT INTO deliveries (
    id, position, due_at, arrived, writer, more, partition, attempt, crashes, spent, consumer, lane, state
)
SELECT
    330000 + n, 119000 + n, 0, pg_current_xact_id(), 'another', 0, n % 256, 1, 0, 0, 'shop.orders', 'shop.orders/' || n,
    CASE WHEN n % 30 = 0 THEN 'parked' ELSE 'ready' END
FROM generate_series(1, 100) AS n;
SELECT setval('numbers', {FIRST})
"""
_TOUCHED = """
SELECT
    coalesce(sum(pg_stat_get_xact_tuples_returned(oid)), 0)::bigint,
    coalesce(sum(pg_stat_get_xact_blocks_fetched(oid)), 0)::bigint
FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'i')
"""


class Touched(NamedTuple):
    """What a question has looked at: entries of indexes and rows of tables that were not found by one; pages."""

    rows: int
    pages: int


async def prepare(store: PostgresStore, connection: Connection) -> None:
    """The empty tables, which the server leaves alone."""
    await store.cluster.prepare()
    for table in _TABLES:
        await connection.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")


async def fill(connection: Connection) -> None:
    """Let it grow."""
    for statements in (_LOG, _INSTANCES, _DELIVERIES):
        await connection.execute(statements)


async def touched(connection: Connection, ask: Callable[[Connection], Awaitable[Any]]) -> tuple[Touched, Any]:
    """Ask, and count what the server looks at, in whatever function."""
    async with connection.transaction():
        before = await connection.fetchrow(_TOUCHED)
        answer = await ask(connection)
        after = await connection.fetchrow(_TOUCHED)
    assert before is not None
    assert after is not None
    return Touched(after[0] - before[0], after[1] - before[1]), answer
