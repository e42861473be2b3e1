"""What the bench runs on: databases of its own, and the floor beside them."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from sagakit.app.stores import open_store
from sagakit.bench.grounds.ground import Floor, Ground

__all__ = ["Floor", "Ground", "ground"]


def ground(db: str | None) -> AbstractAsyncContextManager[Ground]:
    """Where `db` says (a new file or URL, kept), else a file for the while."""
    if db is not None and db.partition("://")[0] in ("postgresql", "postgres"):
        open_store(db)  # says so if the driver is missing
        from sagakit.bench.grounds.postgres import postgres

        return postgres(db)
    from sagakit.bench.grounds.sqlite import sqlite

    return sqlite(db)
