"""No read goes through the whole log, nor through all that sleep or have ended: they grow for years."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from sagakit.core.queries import DeliveryQuery, InstanceQuery
from sagakit.stores.sqlite.queries import QUERIES
from sagakit.stores.sqlite.reading.deliveries import ONE, OUTSTANDING, SCHEDULED, find_statement
from sagakit.stores.sqlite.reading.instances import instances_statement, items_statement
from sagakit.stores.sqlite.store import SqliteStore

PARTS = re.compile(r":(page|first|source|filters|order|one|two)\b")
"""What is put together in Python, and tested below as it is then."""
READS = {
    name: query
    for name, query in sorted(QUERIES.items())
    if query.lstrip().upper().startswith(("SELECT", "WITH")) and not PARTS.search(query)
}
BATCH = {"instance": "one", "step": 1, "limit": 9}
READS |= {
    "read_deliveries": OUTSTANDING,
    "read_scheduled": SCHEDULED,
    "read_delivery": ONE,
    "find_parked": find_statement(DeliveryQuery(state="parked", type="a", error="b"))[0],
    "find_ready": find_statement(DeliveryQuery(state="ready", consumer="a"))[0],
    "find_scheduled": find_statement(DeliveryQuery(state="scheduled"))[0],
    "find_any": find_statement(DeliveryQuery(error="a"))[0],
    "find_in_lane": find_statement(DeliveryQuery(lane="a"))[0],
    "find_scheduled_in_lane": find_statement(DeliveryQuery(lane="a", state="scheduled"))[0],
    "instances_live": instances_statement(InstanceQuery(status="live", type="a"))[0],
    "instances_by_key": instances_statement(InstanceQuery(key="a", status="live", after=5))[0],
    "instances_by_story": instances_statement(InstanceQuery(correlation_id="a", status="completed"))[0],
    "instances_by_attributes": instances_statement(InstanceQuery(attributes=(("a", "b"), ("c", "d"))))[0],
    "items": items_statement(BATCH, (), None, 5)[0],
    "items_in_states": items_statement(BATCH, ("done", "failed"), 5, None)[0],
}
NEVER_SCANNED = {"messages", "m", "reactions", "r", "processes", "p", "deliveries", "d", "process_search", "s"}
NEVER_SCANNED |= {"items", "i", "process_attributes", "a0", "a1"}


@pytest.fixture
async def connection(tmp_path: Path) -> AsyncIterator[apsw.Connection]:
    store = SqliteStore(tmp_path / "a.db")
    await store.open()
    await store.close()
    connection = apsw.Connection(str(tmp_path / "a.db"))
    yield connection
    connection.close()


def plan(connection: apsw.Connection, query: str) -> list[str]:
    values: dict[str, Any] = dict.fromkeys(re.findall(r":(\w+)", query), 1)
    bindings = values | {"ranges": "[[1, 2]]"} if values else ("[]",) * query.count("?")
    return [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {query}", bindings)]


@pytest.mark.parametrize("name", READS)
async def test_finds_its_rows_by_an_index(connection: apsw.Connection, name: str) -> None:
    steps = plan(connection, READS[name])
    scanned = {match[1] for step in steps if (match := re.match(r"SCAN (\w+)", step))}
    assert not scanned & NEVER_SCANNED, steps


SORTED = {"read_ranges", "find_any", "find_in_lane"}
"""The messages of one page, and two pages that become one."""


@pytest.mark.parametrize("name", sorted(READS.keys() - SORTED))
async def test_sorts_no_more_than_a_page(connection: apsw.Connection, name: str) -> None:
    """A sort inside the page would go through all that match before it gives the first."""
    steps = plan(connection, READS[name])
    page = steps[: steps.index("SCAN page")] if "SCAN page" in steps else []
    assert not [step for step in page if "TEMP B-TREE" in step], steps
    assert len([step for step in steps if "TEMP B-TREE" in step]) <= 1, steps
