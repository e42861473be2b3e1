"""The store on one SQLite file."""

from sagakit.stores.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
