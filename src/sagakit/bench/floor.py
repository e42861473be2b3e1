"""The floor: what the same rows cost without an engine, on the same disk and with the store's own settings."""

from __future__ import annotations

import os
import time
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from uuid import uuid4

from sagakit.stores.sqlite.connection import connect

ROUNDS = (2, 2, 2, 2, 1)
"""Rows of one saga: what it is sent with its first command, three outcomes each with the next command, the last."""
TOGETHER = 100
"""Sagas whose same round is one transaction."""
ROW = os.urandom(300)


class Floor(AbstractContextManager["Floor"]):
    """A table of rows with a unique (stream, version)."""

    def __init__(self, path: Path) -> None:
        self._connection = connect(path)
        self._connection.execute(
            "CREATE TABLE events (position INTEGER PRIMARY KEY, stream TEXT NOT NULL, version INTEGER NOT NULL, "
            "body BLOB NOT NULL, UNIQUE (stream, version)) STRICT"
        )

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._connection.close()

    def run(self, sagas: int) -> float:
        """Write the rows of so many sagas; the sagas per second."""
        begun = time.perf_counter()
        for start in range(0, sagas, TOGETHER):
            self._write([str(uuid4()) for _ in range(min(TOGETHER, sagas - start))])
        return sagas / (time.perf_counter() - begun)

    def _write(self, streams: list[str]) -> None:
        version = 0
        for rows in ROUNDS:
            numbers = range(version + 1, version + rows + 1)
            with self._connection:
                self._connection.executemany(
                    "INSERT INTO events (stream, version, body) VALUES (?, ?, ?)",
                    [(stream, number, ROW) for stream in streams for number in numbers],
                )
            version += rows
