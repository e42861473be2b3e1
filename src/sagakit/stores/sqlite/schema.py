"""The schema's versions: numbered migrations, and who may open what."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from sagakit.errors import SchemaTooNew, StoreUnusable
from sagakit.stores.sqlite.connection import Connection, configure, explained, open_writing
from sagakit.stores.sqlite.lock import OwnerLock
from sagakit.stores.sqlite.queries import QUERIES

APPLICATION_ID = 0x5A6A_0001
"""Marks a file as ours, in its SQLite header."""


class StoreRow(NamedTuple):
    """The one row about the database itself."""

    schema_version: int
    oldest_code: int
    epoch: int
    clean: int
    owner_pid: int | None
    transactions: int
    last_position: int
    last_delivery: int
    last_instance: int


@cache
def migrations() -> tuple[str, ...]:
    """The scripts, in their order: number n makes schema n of schema n - 1."""
    folder = files("sagakit.stores.sqlite").joinpath("migrations")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return tuple(folder.joinpath(name).read_text(encoding="utf-8") for name in names)


def read_store(connection: Connection) -> StoreRow:
    """The row about the database itself."""
    return StoreRow(*connection.execute(QUERIES["read_store"]).get)


def schema_version(connection: Connection, path: Path) -> int:
    """The schema of this file, 0 if it is empty; refuses what this code must not open."""
    if connection.pragma("application_id") != APPLICATION_ID:
        if connection.execute("SELECT count(*) FROM sqlite_schema").get:
            raise StoreUnusable(f"{path} is another program's database: give another path")
        return 0
    row, known = read_store(connection), len(migrations())
    if row.oldest_code > known:
        raise SchemaTooNew(
            f"{path} has schema {row.schema_version}, which needs a sagakit that knows schema {row.oldest_code}; "
            f"this one knows {known}: upgrade sagakit"
        )
    return row.schema_version


def open_migrated(path: Path) -> tuple[Connection, int, int]:
    """A writing connection to a file at the newest schema that this code knows: (it, from, to)."""
    connection = open_writing(path)
    try:
        found = schema_version(connection, path)
        configure(connection, path)
        return connection, found, _migrate(connection, found)
    except BaseException:
        connection.close()
        raise


def _migrate(connection: Connection, found: int) -> int:
    scripts = migrations()
    for number in range(found + 1, len(scripts) + 1):
        with connection:
            connection.execute(scripts[number - 1])
            connection.execute("UPDATE store SET schema_version = ?", (number,))
            connection.pragma("application_id", APPLICATION_ID)
    return max(found, len(scripts))


def check_readable(connection: Connection, path: Path) -> None:
    """Refuse a file that a reader cannot understand as it is."""
    found, known = schema_version(connection, path), len(migrations())
    if found < known:
        raise StoreUnusable(f"{path} has schema {found}, older than this sagakit's {known}: run `sagakit migrate`")


def migrate(path: str | Path) -> tuple[int, int]:
    """Migrate a file that no engine runs on: (from, to)."""
    path = Path(path)
    lock = OwnerLock(path)
    lock.acquire()
    try:
        with explained(path):
            connection, found, reached = open_migrated(path)
            connection.close()
            return found, reached
    finally:
        lock.release()
