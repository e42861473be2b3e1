"""How this store opens SQLite, and what SQLite's errors mean in words."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeAlias, cast

import apsw

from sagakit.errors import StoreFailed, StoreUnusable

BUSY_MILLISECONDS = 5_000
"""How long to wait for a lock that another program holds for a moment."""

SETTINGS: dict[str, str | int] = {
    "journal_mode": "wal",
    "synchronous": "full",  # an acknowledgement follows the sync
    "cache_size": -16 * 1024,  # KiB; the system's own cache does the rest (measured: four times as much gains nothing)
    "temp_store": "memory",
    "wal_autocheckpoint": 4_000,  # pages: fewer and larger checkpoints cost less, and hold a commit for longer
    "journal_size_limit": 64 * 1024 * 1024,
}
"""The pragmas of every writing connection: one place, so that the bench's floor runs on the same."""

Values: TypeAlias = Sequence[Any] | Mapping[str, Any]


class Rows(Protocol):
    """What a statement gives back."""

    def __iter__(self) -> Iterator[tuple[Any, ...]]: ...
    def fetchall(self) -> list[tuple[Any, ...]]: ...

    @property
    def get(self) -> Any:
        """The only value, or row, or all rows: as plain as the result is."""
        ...


class Connection(AbstractContextManager["Connection"], Protocol):
    """What this store uses of apsw's connections, whose own types are not complete. As a context: a transaction."""

    in_transaction: bool

    def execute(self, statements: str, bindings: Values = ..., /) -> Rows: ...
    def executemany(self, statements: str, rows: Iterable[Values], /) -> Rows: ...
    def pragma(self, name: str, value: str | int = ..., /) -> Any: ...
    def changes(self) -> int: ...
    def wal_checkpoint(self, dbname: str | None = ..., mode: int = ...) -> tuple[int, int]: ...
    def set_busy_timeout(self, milliseconds: int, /) -> None: ...
    def backup(self, name: str, source: Connection, source_name: str, /) -> Any: ...
    def close(self) -> None: ...


def connect(path: Path) -> Connection:
    """A connection that writes, with the store's settings; the file is created where there is none."""
    connection = open_writing(path)
    configure(connection, path)
    return connection


def open_writing(path: Path) -> Connection:
    """A connection that could write, and has changed nothing yet."""
    return _open(path, apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)


def configure(connection: Connection, path: Path) -> None:
    """Give a writing connection the store's settings."""
    for name, value in SETTINGS.items():
        connection.pragma(name, value)
    mode = connection.pragma("journal_mode")
    if mode != "wal":
        raise StoreUnusable(f"{path} cannot keep a write-ahead log (its journal is {mode!r}): use a local disk")


def sqlite_version() -> str:
    """The version of the SQLite that this store runs on: the driver brings its own."""
    return apsw.sqlite_lib_version()


def connect_reading(path: Path) -> Connection:
    """A connection that only reads: it locks nobody out and creates nothing."""
    if not path.exists():
        raise StoreUnusable(f"{path} does not exist: check the path, or start the app once to create it")
    return _open(path, apsw.SQLITE_OPEN_READONLY)


def _open(path: Path, flags: int) -> Connection:
    connection = cast("Connection", apsw.Connection(str(path), flags=flags, statementcachesize=256))
    connection.set_busy_timeout(BUSY_MILLISECONDS)
    return connection


@contextmanager
def explained(path: Path) -> Generator[None]:
    """Turn SQLite's errors into the store's, with the path and the mend."""
    try:
        yield
    except apsw.Error as error:
        raise explain(error, path) from error


def explain(error: apsw.Error, path: Path) -> StoreFailed | StoreUnusable:
    """The store's error for one of SQLite's."""
    for kinds, make, text in _MEANINGS:
        if isinstance(error, kinds):
            return make(text.format(path=path, error=error))
    return StoreFailed(f"{path} could not be read or written ({error}): check the disk")


_MEANINGS: list[tuple[tuple[type[apsw.Error], ...], Callable[[str], StoreFailed | StoreUnusable], str]] = [
    (
        (apsw.NotADBError,),
        StoreUnusable,
        "{path} is not an SQLite database: give another path, or move that file away",
    ),
    (
        (apsw.CorruptError,),
        StoreUnusable,
        "{path} is damaged ({error}): restore it from a backup",
    ),
    (
        (apsw.ReadOnlyError, apsw.PermissionsError, apsw.AuthError),
        StoreUnusable,
        "{path} cannot be written ({error}): give this user the right to write the file and its folder",
    ),
    (
        (apsw.CantOpenError,),
        StoreUnusable,
        "{path} cannot be opened ({error}): check that its folder exists and that this user may write there",
    ),
    (
        (apsw.ConstraintError, apsw.MismatchError, apsw.SQLError),
        StoreUnusable,
        "{path} does not take what was to be written ({error}): a bug, please report it",
    ),
    (
        (apsw.FullError,),
        StoreFailed,
        "the disk of {path} is full, nothing was written: free some space, then it goes on",
    ),
    (
        (apsw.BusyError, apsw.LockedError),
        StoreFailed,
        "another program keeps {path} locked, nothing was written: close that program",
    ),
]
