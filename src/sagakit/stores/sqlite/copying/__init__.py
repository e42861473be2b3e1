"""An SQLite file as one side of a copy."""

from sagakit.stores.sqlite.copying.sides import sqlite_source, sqlite_target

__all__ = ["sqlite_source", "sqlite_target"]
