"""The files of a demo: where they are, and how they are removed."""

from __future__ import annotations

from pathlib import Path

from sagakit import StoreUnusable
from sagakit.app.stores import open_store
from sagakit.demos import database_of
from sagakit.ports import Store
from sagakit.stores.sqlite.lock import OwnerLock

_SQLITE = b"SQLite format 3\0"


def file_of(demo: str, db: str | None) -> Path | None:
    """The file that a demo's database is; None if it is none. `db`: a path or URL; None: the demo's own place."""
    if db is not None:
        return getattr(open_store(db), "path", None)
    path = database_of(demo)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreUnusable(f"{path.parent} cannot be created ({error.strerror}): give a place with --db") from error
    return path


def kept_where(store: Store, path: Path | None) -> str | None:
    """Where a demo's data are, in words; None if they are in memory."""
    if path is not None:
        return f"{path} (kept; --fresh starts anew)"
    address = getattr(store, "address", None)  # on a server, told without its password
    return None if address is None else f"{address} (kept)"


def forget(database: Path, *others: Path) -> None:
    """Remove a demo's database, and the other files that belong to it. StoreInUse if an engine runs on it.

    What is no database is left alone: StoreUnusable.
    """
    if not database.parent.is_dir():
        return  # nothing to forget; who opens it says what is missing
    lock = OwnerLock(database)
    lock.acquire()
    try:
        if database.exists() and not _is_database(database):
            raise StoreUnusable(f"{database} is no database: it was not removed")
        for path in (*others, *(database.with_name(database.name + end) for end in ("-wal", "-shm", ""))):
            path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreUnusable(f"{error.filename} cannot be removed: {error.strerror}") from error
    finally:
        lock.release()


def _is_database(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) in (_SQLITE, b"")
