"""The lock that makes one engine the owner of a database file."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from sagakit.errors import StoreInUse, StoreUnusable


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
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.pread(file, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(file)
            raise StoreInUse(f"{self._database} is in use by process {owner}: stop it first") from None
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        self._file = file

    def release(self) -> None:
        """Give the lock back. The file stays: removing it could take the lock of a newcomer."""
        if self._file is not None:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None
