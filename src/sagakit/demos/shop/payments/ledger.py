"""An append-only file of JSON lines: what an answer follows is there after a crash, and after a power cut."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from sagakit import TerminalError


class LedgerUnusable(TerminalError):
    """The file cannot be used; the text says why."""


class Ledger:
    """Lines are appended at once and made durable in groups: all that wait share one fsync."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = _opened(path)
        self._length = 0
        self._waiting: list[bytes] = []
        self._appended = self._durable = 0
        self._writing: asyncio.Future[None] | None = None

    def read(self) -> Iterator[bytes]:
        """The lines that the file holds. A last line that was cut short was never answered: it is dropped."""
        with self._path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._length += len(line)
                yield line
        os.ftruncate(self._file, self._length)

    def append(self, line: bytes) -> None:
        """Take up a line; it is durable after the next `flush`."""
        self._waiting.append(line + b"\n")
        self._appended += 1

    async def flush(self) -> None:
        """Return once all that was appended before this call is on disk. What could not be written still waits."""
        mine = self._appended
        while self._durable < mine:
            if self._writing is None:
                # A task of its own: who waits may be cancelled, the write may not be left half done.
                self._writing = asyncio.ensure_future(self._write())
                self._writing.add_done_callback(_taken_note_of)
            await asyncio.shield(self._writing)

    def close(self) -> None:
        """Let the file go, for another process to open."""
        os.close(self._file)

    async def _write(self) -> None:
        lines, self._waiting = self._waiting, []
        try:
            await asyncio.to_thread(self._append_to_file, b"".join(lines))
        except BaseException:
            self._waiting = lines + self._waiting
            raise
        else:
            self._durable += len(lines)
        finally:
            self._writing = None  # before any waiter can look: a future that is done would be awaited for ever

    def _append_to_file(self, data: bytes) -> None:
        try:
            left = memoryview(data)
            while left:
                left = left[os.pwrite(self._file, left, self._length + len(data) - len(left)) :]
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, self._length)
            raise
        self._length += len(data)


def _taken_note_of(writing: asyncio.Future[None]) -> None:
    """Those who waited were told."""
    if not writing.cancelled():
        writing.exception()


def _opened(path: Path) -> int:
    """The file, made if it is not there, and ours alone."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        _sync_folder(path.parent)
    except OSError as error:
        raise LedgerUnusable(f"{path} cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(file)
        raise LedgerUnusable(f"{path} is in use by another process") from error
    return file


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder durable: a new file is lost with its name."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
