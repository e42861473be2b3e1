"""Reading and writing the tables of a file for a copy.

What is scheduled has its delivery's id below zero as its key in a file; elsewhere ids are ids.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path
from typing import cast

from sagakit.errors import StoreUnusable
from sagakit.stores.copying.tables import BATCH, Row, Standing, Table
from sagakit.stores.sqlite.connection import Connection, connect_reading, explained
from sagakit.stores.sqlite.lock import OwnerLock
from sagakit.stores.sqlite.schema import check_readable, open_migrated, read_store

_STATE = "state"


@asynccontextmanager
async def sqlite_source(path: Path) -> AsyncGenerator[SqliteSide]:
    """A file that is there. It has no owner meanwhile but this: StoreInUse if an engine runs on it."""
    lock = _taken(path)
    try:
        with explained(path):
            reading = connect_reading(path)
            try:
                check_readable(reading, path)
                with reading:  # one snapshot for all tables
                    yield SqliteSide(reading)
            finally:
                reading.close()
    finally:
        lock.release()


@asynccontextmanager
async def sqlite_target(path: Path) -> AsyncGenerator[SqliteSide]:
    """A new file, which has its name once it is whole."""
    partial = _beside(path)
    try:
        with explained(path):
            writing, _, _ = open_migrated(partial)
            try:
                with writing:
                    yield SqliteSide(writing)
            finally:
                writing.close()
        partial.rename(path)
    finally:
        _remove(partial)


class SqliteSide:
    """The tables of an open file."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def standing(self) -> Standing:
        """The row about the file itself."""
        row = read_store(self._connection)
        return Standing(bool(row.clean), row.transactions, row.last_position, row.last_delivery, row.last_instance)

    async def count(self, table: Table) -> int:
        """How many rows a table has."""
        return cast(int, self._connection.execute(f"SELECT count(*) FROM {table.name}").get)  # noqa: S608

    async def read(self, table: Table) -> AsyncIterator[list[Row]]:
        """All rows, in the order of their keys."""
        columns = ", ".join("abs(id)" if name == "id" and _signed(table) else name for name in table.columns)
        rows = iter(self._connection.execute(f"SELECT {columns} FROM {table.name}"))  # noqa: S608
        while batch := list(islice(rows, BATCH)):
            yield batch

    async def clear(self, table: Table) -> None:
        """Remove what triggers have put there."""
        self._connection.execute(f"DELETE FROM {table.name}")  # noqa: S608

    async def write(self, table: Table, rows: list[Row]) -> None:
        """Add these rows."""
        values = ", ".join("?" * len(table.columns))
        statement = f"INSERT INTO {table.name} ({', '.join(table.columns)}) VALUES ({values})"  # noqa: S608
        self._connection.executemany(statement, _keyed(table, rows) if _signed(table) else rows)

    async def stand(self, standing: Standing) -> None:
        """Say this in the row about the file itself."""
        self._connection.execute(
            "UPDATE store SET clean = ?, transactions = ?, last_position = ?, last_delivery = ?, last_instance = ?",
            standing,
        )


def _signed(table: Table) -> bool:
    return table.name == "deliveries"


def _keyed(table: Table, rows: Iterable[Row]) -> list[Row]:
    """Rows by the keys that a file gives them."""
    id, state = table.columns.index("id"), table.columns.index(_STATE)
    return [(-row[id], *row[1:]) if row[state] == "scheduled" else row for row in rows]


def _taken(path: Path) -> OwnerLock:
    if not path.exists():
        raise StoreUnusable(f"{path} does not exist: check the path")
    lock = OwnerLock(path)
    lock.acquire()
    return lock


def _beside(path: Path) -> Path:
    """The place of a copy that is not whole yet."""
    if path.exists():
        raise StoreUnusable(f"{path} exists already: give a new file, or move that one away")
    partial = path.with_name(f"{path.name}.partial")
    _remove(partial)
    return partial


def _remove(partial: Path) -> None:
    for end in ("", "-wal", "-shm"):
        partial.with_name(f"{partial.name}{end}").unlink(missing_ok=True)
