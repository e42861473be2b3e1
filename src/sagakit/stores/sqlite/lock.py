"""The lock that makes one engine the owner of a database file."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from sagakit.errors import StoreInUse, StoreUnusable

LOOKING_SECONDS = 0.05
"""Longer than a look at the lock holds it."""


class OwnerLock:
    """An exclusive lock on `<database>-owner`. The system frees it when its process ends, however it ends."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the lock and leave our process id in the file; StoreInUse tells the id of who has it."""
        path = f"{self._database}-owner"
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            reason = error.strerror or str(error)
            mend = "create that folder" if not self._database.parent.exists() else "check the folder and its rights"
            raise StoreUnusable(f"{path} cannot be written ({reason}): {mend}") from error
        if not (_locked(file) or self._locked_again(file)):
            owner = os.pread(file, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(file)
            raise StoreInUse(f"{self._database} is in use by process {owner}: stop it first")
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        self._file = file

    def _locked_again(self, file: int) -> bool:
        """Whoever only looks (`is_held`) may have held it for a moment."""
        time.sleep(LOOKING_SECONDS)
        return _locked(file)

    def is_held(self) -> bool:
        """Whether somebody has the lock now. A lock that this user may not look at counts as held."""
        try:
            file = os.open(f"{self._database}-owner", os.O_RDONLY)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        try:
            return not _locked(file, fcntl.LOCK_SH)
        finally:
            os.close(file)

    def release(self) -> None:
        """Give the lock back. The file stays: removing it could take the lock of a newcomer."""
        if self._file is not None:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None


def _locked(file: int, kind: int = fcntl.LOCK_EX) -> bool:
    """Take the lock if nobody has it."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
