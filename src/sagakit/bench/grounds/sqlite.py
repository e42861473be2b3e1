"""SQLite files."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

from sagakit.app.stores import open_store
from sagakit.bench.grounds.ground import ROUNDS, ROW, Ground, streams
from sagakit.bench.sizes import BenchFailed
from sagakit.stores.sqlite import SqliteStore
from sagakit.stores.sqlite.connection import connect, sqlite_version

A_DISK = Path("/var/tmp")  # noqa: S108  where temporary files lie on a disk: elsewhere they may lie in memory
ENDS = ("", "-wal", "-shm", "-lock", "-owner", ".lock")


@asynccontextmanager
async def sqlite(db: str | None) -> AsyncGenerator[Ground]:
    """A new file, kept; without `db` one in a folder that is removed. BenchFailed if it is there already."""
    if db is not None:
        file = _file_of(db)
        if file.exists():
            raise BenchFailed(f"{file} exists already: the bench makes a new one")
        files = SqliteGround(file)
        try:
            yield files
        finally:
            for other in files.others:
                for end in ENDS:
                    other.with_name(f"{other.name}{end}").unlink(missing_ok=True)
        return
    folder = _new_folder()
    try:
        yield SqliteGround(folder / "bench.db")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class SqliteGround:
    """A file, and others beside it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.others: list[Path] = []
        """Those that are gone at the end."""

    @property
    def url(self) -> str:
        """The file's path."""
        return str(self._file)

    @property
    def versions(self) -> Mapping[str, str]:
        """Of SQLite and its driver."""
        return {"apsw": version("apsw"), "sqlite": sqlite_version()}

    def beside(self, name: str) -> str:
        """The path of another file."""
        self.others.append(self._file.with_name(f"{self._file.name}-{name}"))
        return str(self.others[-1])

    @asynccontextmanager
    async def floor(self) -> AsyncGenerator[SqliteFloor]:
        """The floor in a file of its own."""
        floor = SqliteFloor(Path(self.beside("floor")))
        try:
            yield floor
        finally:
            floor.close()


class SqliteFloor:
    """One table, written on a connection as the store makes it."""

    def __init__(self, path: Path) -> None:
        self._connection = connect(path)
        self._connection.execute(
            "CREATE TABLE events (position INTEGER PRIMARY KEY, stream TEXT NOT NULL, version INTEGER NOT NULL, "
            "body BLOB NOT NULL, UNIQUE (stream, version)) STRICT"
        )

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    async def run(self, sagas: int) -> float:
        """Write the rows of so many sagas; the sagas per second."""
        begun = time.perf_counter()
        for together in streams(sagas):
            self._write(together)
        return sagas / (time.perf_counter() - begun)

    def _write(self, together: list[str]) -> None:
        last = 0
        for rows in ROUNDS:
            numbers = range(last + 1, last + rows + 1)
            with self._connection:
                self._connection.executemany(
                    "INSERT INTO events (stream, version, body) VALUES (?, ?, ?)",
                    [(stream, number, ROW) for stream in together for number in numbers],
                )
            last += rows


def _new_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="sagakit-bench-", dir=A_DISK if A_DISK.is_dir() else None))


def _file_of(db: str) -> Path:
    store = open_store(db)
    if not isinstance(store, SqliteStore):
        raise BenchFailed(f"{db} is no file and no server: the bench runs on an SQLite file or on PostgreSQL")
    return store.path
