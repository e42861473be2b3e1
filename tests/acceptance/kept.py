"""The stores that outlive a process: a test that kills processes runs on each of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager

import pytest

from sagakit.app.stores import open_store
from sagakit.ports import Store

LEASE = 5.0
"""Seconds that what a killed worker owned on PostgreSQL stays its own: `Limits.lease`, which its processes have."""

ON_KEPT_STORES = pytest.mark.parametrize("kept_url", ["sqlite", "postgresql"], indirect=True)


def on_kept_stores(name: str, *, sqlite: Iterable[object], postgresql: Iterable[object]) -> pytest.MarkDecorator:
    """Of an argument of a test that takes a `kept_url` too: on PostgreSQL, where a run takes longer, some values."""
    each = {"sqlite": sqlite, "postgresql": postgresql}
    runs = [pytest.param(kind, value, id=f"{kind}-{value}") for kind, values in each.items() for value in values]
    return pytest.mark.parametrize(("kept_url", name), runs, indirect=["kept_url"])


@asynccontextmanager
async def reading(database: str) -> AsyncGenerator[Store]:
    """A store, open for reading: an engine may run on it meanwhile."""
    store = open_store(database)
    await store.open(own=False)
    try:
        yield store
    finally:
        await store.close()
