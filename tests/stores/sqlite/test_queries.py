"""No read goes through the whole log: it grows for years."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest

from sagakit.stores.sqlite.queries import QUERIES
from sagakit.stores.sqlite.store import SqliteStore

READS = sorted(name for name, query in QUERIES.items() if query.lstrip().upper().startswith(("SELECT", "WITH")))
LOG = {"messages", "m", "reactions", "r", "processes", "p"}


@pytest.fixture
async def connection(tmp_path: Path) -> AsyncIterator[apsw.Connection]:
    store = SqliteStore(tmp_path / "a.db")
    await store.open()
    await store.close()
    connection = apsw.Connection(str(tmp_path / "a.db"))
    yield connection
    connection.close()


@pytest.mark.parametrize("name", READS)
async def test_finds_its_rows_by_an_index(connection: apsw.Connection, name: str) -> None:
    query = QUERIES[name].replace(":filters", "s.number < 9")
    values: dict[str, object] = dict.fromkeys(re.findall(r":(\w+)", query), 1)
    bindings = values | {"ranges": "[[1, 2]]"} if values else ("[]",) * query.count("?")
    steps = [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {query}", bindings)]
    scanned = {match[1] for step in steps if (match := re.match(r"SCAN (\w+)", step))}
    assert not scanned & LOG, steps
