"""The files that the shop leaves behind, and how they are removed."""

from __future__ import annotations

from pathlib import Path

from sagakit import StoreUnusable
from sagakit.stores.sqlite.lock import OwnerLock

_SQLITE = b"SQLite format 3\0"


def books_of(database: Path) -> Path:
    """The card provider's own file."""
    return database.with_name(f"{database.name}-cards")


def forget(database: Path) -> None:
    """Remove a shop's database and the card provider's books. StoreInUse if an engine runs on it.

    What is no database is left alone: StoreUnusable.
    """
    if not database.parent.is_dir():
        return  # nothing to forget; who opens it says what is missing
    lock = OwnerLock(database)
    lock.acquire()
    try:
        if database.exists() and not _is_database(database):
            raise StoreUnusable(f"{database} is no database: it was not removed")
        for path in (books_of(database), *(database.with_name(database.name + end) for end in ("-wal", "-shm", ""))):
            path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreUnusable(f"{error.filename} cannot be removed: {error.strerror}") from error
    finally:
        lock.release()


def _is_database(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) in (_SQLITE, b"")
