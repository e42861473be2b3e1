"""Which sides of a copy URLs mean. The adapters are imported only when a URL asks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal

from sagakit.app.stores import open_store
from sagakit.errors import StoreUnusable
from sagakit.stores.copying.copying import Copied, copy


async def copy_store(
    source: str, target: str, progress: Callable[[str, int, int], None] = lambda table, done, rows: None
) -> list[Copied]:
    """Copy a store to a new one: from a file or URL to a file or URL. No engine may run on either.

    Raises StoreInUse, StoreUnusable, StoreFailed and CopyDiffers: nothing was copied then.
    """
    return await copy(_side(source, "source"), _side(target, "target"), progress)


def _side(url: str, which: Literal["source", "target"]) -> AbstractAsyncContextManager[Any]:
    store: Any = open_store(url)
    if path := getattr(store, "path", None):
        from sagakit.stores.sqlite.copying import sqlite_source, sqlite_target

        return (sqlite_source if which == "source" else sqlite_target)(path)
    if address := getattr(store, "address", None):
        from sagakit.stores.postgres.copying import postgres_source, postgres_target

        return (postgres_source if which == "source" else postgres_target)(address)
    raise StoreUnusable(f"{url} is kept in memory: it cannot be copied")
