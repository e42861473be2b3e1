"""Which migration a URL means. The adapters are imported only when a URL asks."""

from __future__ import annotations

from typing import Any

from sagakit.app.stores import open_store
from sagakit.errors import StoreUnusable


async def migrate_store(url: str) -> tuple[int, int]:
    """Bring a store to this version's schema: (from, to).

    No engine may run on a file, which has to be there. On PostgreSQL a schema that is not there is created.
    Raises StoreInUse, StoreUnusable and StoreFailed.
    """
    store: Any = open_store(url)
    if path := getattr(store, "path", None):
        from sagakit.stores.sqlite.schema import migrate

        if not path.exists():
            raise StoreUnusable(f"{path} does not exist")
        return migrate(path)
    if address := getattr(store, "address", None):
        from sagakit.stores.postgres.schema import migrate_at

        return await migrate_at(address)
    raise StoreUnusable(f"{url} is kept in memory: there is nothing to migrate")
