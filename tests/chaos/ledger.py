"""The world outside: what was done, by idempotency key, in a file of its own that no disturbance touches."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Effect:
    """Something that was done once, however often it was asked for."""

    number: int
    key: str
    what: str
    order_id: str
    asked: int


class Ledger:
    """Effects by key. Any number of processes write."""

    def __init__(self, path: str | Path) -> None:
        self._path = str(path)
        with self._open() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS effects (number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, "
                "what TEXT NOT NULL, order_id TEXT NOT NULL, asked INTEGER NOT NULL)"
            )

    async def write(self, key: str, what: str, order_id: str) -> None:
        """Do this, unless the key was there before."""
        await asyncio.to_thread(self._write, key, what, order_id)

    def effects(self) -> list[Effect]:
        """All, in the order in which they were done."""
        with self._open() as connection:
            return [Effect(*row) for row in connection.execute("SELECT * FROM effects ORDER BY number")]

    def _write(self, key: str, what: str, order_id: str) -> None:
        with self._open() as connection:
            connection.execute(
                "INSERT INTO effects (key, what, order_id, asked) VALUES (?, ?, ?, 1) "
                "ON CONFLICT (key) DO UPDATE SET asked = asked + 1",
                (key, what, order_id),
            )

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection in a transaction, closed after it: who leaves that to Python is warned, from 3.13 on."""
        with closing(sqlite3.connect(self._path, timeout=60)) as connection, connection:
            yield connection


def ledger() -> Ledger:
    """The ledger of this run."""
    return Ledger(os.environ["CHAOS_LEDGER"])
