"""What is read of a long log is what is asked for: a planner that knows no better takes all of it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from sagakit.stores.postgres.connection import connect
from sagakit.stores.postgres.queries import QUERIES
from sagakit.stores.postgres.reading.log import LOG, STORY
from sagakit.stores.postgres.store import PostgresStore

MESSAGES = 120_000
LONG_LOG = f"""
INSERT INTO messages (position, recorded_at, version, id, kind, type, payload, correlation_id)
SELECT n, 1, 1, 'message-' || n, 'event', 'shop.OrderPlaced', repeat('x', 200)::bytea, 'story-' || n / 10
FROM generate_series(1, {MESSAGES}) AS n
"""


def rows_touched(plan: dict[str, Any]) -> int:
    """How many rows a plan has looked at, over all its nodes."""
    removed = sum(int(value) for key, value in plan.items() if key.startswith("Rows Removed by"))
    mine = (int(plan["Actual Rows"]) + removed) * int(plan["Actual Loops"])
    return mine + sum(rows_touched(one) for one in plan.get("Plans", ()))


@pytest.mark.parametrize("cached", ["force_custom_plan", "force_generic_plan"])
@pytest.mark.parametrize(
    ("query", "arguments", "found"),
    [
        (QUERIES["read_ranges"], "'{20000, 30000}', '{3, 2}'", 5),
        (STORY, "'story-2000', 0, 1000", 10),
        (LOG, f"{MESSAGES - 20}, 1000", 20),
    ],
    ids=["history", "story", "log"],
)
async def test_a_few_messages_of_many(postgres_url: str, query: str, arguments: str, found: int, cached: str) -> None:
    store = PostgresStore(postgres_url)
    await store.cluster.prepare()
    connection = await connect(store.address)
    try:
        await connection.execute(LONG_LOG)
        await connection.execute("ANALYZE messages")
        await connection.execute(f"SET plan_cache_mode = {cached}")
        await connection.execute(f"PREPARE asked AS {query}")
        assert len(await connection.fetch(f"EXECUTE asked ({arguments})")) == found
        told = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE asked ({arguments})")
        (plan,) = msgspec.json.decode(told)
        assert rows_touched(plan["Plan"]) < 200
    finally:
        await connection.close()
        await store.close()
