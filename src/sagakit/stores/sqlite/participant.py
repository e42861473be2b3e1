"""What a participant remembers, in an SQLite file of its own or of its service."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from sagakit.core.messages import Seconds, seconds
from sagakit.core.participation.messages import Known
from sagakit.errors import StoreUnusable
from sagakit.stores.sqlite.connection import Connection, connect, explained

_T = TypeVar("_T")

SCHEMA = """
CREATE TABLE IF NOT EXISTS sagakit_participants (
    participant TEXT NOT NULL,
    command_id TEXT NOT NULL,
    reply BLOB,
    undone INTEGER NOT NULL DEFAULT 0,
    since REAL NOT NULL,
    PRIMARY KEY (participant, command_id)
) STRICT, WITHOUT ROWID
"""
BEGIN_ = "INSERT OR IGNORE INTO sagakit_participants (participant, command_id, since) VALUES (?, ?, ?)"
RECALL = "SELECT reply, undone FROM sagakit_participants WHERE participant = ? AND command_id = ?"
REMEMBER = "UPDATE sagakit_participants SET reply = ? WHERE participant = ? AND command_id = ?"
MARK_UNDONE = "UPDATE sagakit_participants SET undone = 1 WHERE participant = ? AND command_id = ?"
FORGET = "DELETE FROM sagakit_participants WHERE participant = ? AND since <= ?"


class SqliteMemory:
    """A durable memory in one file; transactions run one at a time, also those of other processes on that file.

    A handler that takes the `connection` (apsw's) writes into the same transaction. A file that an engine owns is
    none for this: give it another one.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._connection: Connection | None = None
        self._alone = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sagakit memory")

    async def open(self) -> None:
        """Open the file, and make the table."""
        self._connection = await self._run(lambda: connect(self._path))
        await self._run(lambda: self._own().execute(SCHEMA).fetchall())

    async def close(self) -> None:
        """Close the file."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await self._run(connection.close)

    @asynccontextmanager
    async def transaction(self, participant: str) -> AsyncGenerator[_Writing]:
        """Begin a transaction. It is on the disk when the block has ended."""
        async with self._alone:
            connection = self._own()
            await self._run(lambda: connection.execute("BEGIN IMMEDIATE").fetchall())
            try:
                yield _Writing(self._run, connection, participant)
            except BaseException:
                await asyncio.shield(self._run(lambda: connection.execute("ROLLBACK").fetchall()))
                raise
            await asyncio.shield(self._run(lambda: connection.execute("COMMIT").fetchall()))

    async def forget(self, participant: str, older_than: Seconds) -> int:
        """Forget what is older."""
        until = time.time() - seconds(older_than)

        def delete() -> int:
            self._own().execute(FORGET, (participant, until)).fetchall()
            return self._own().changes()

        async with self._alone:
            return await self._run(delete)

    async def _run(self, work: Callable[[], _T]) -> _T:
        def explaining() -> _T:
            with explained(self._path):
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._thread, explaining)

    def _own(self) -> Connection:
        if self._connection is None:
            raise StoreUnusable(f"{self._path} is not open: the participant opens it when it starts")
        return self._connection


class _Writing:
    """One transaction."""

    def __init__(self, run: Callable[[Callable[[], Any]], Any], connection: Connection, participant: str) -> None:
        self._run = run
        self.connection: Any = connection
        self._participant = participant

    async def recall(self, id: str) -> Known:
        """What is known of a command, which is begun with this if it is new."""

        def recall() -> Known:
            key = (self._participant, id)
            self.connection.execute(BEGIN_, (*key, time.time())).fetchall()
            if self.connection.changes():
                return Known()
            ((reply, undone),) = self.connection.execute(RECALL, key).fetchall()
            return Known(new=False, reply=reply, undone=bool(undone))

        return await self._run(recall)

    async def remember(self, id: str, reply: bytes) -> None:
        """The answer to a command."""
        key = (reply, self._participant, id)
        await self._run(lambda: self.connection.execute(REMEMBER, key).fetchall())

    async def mark_undone(self, id: str) -> None:
        """A command is not to be done any more."""
        await self._run(lambda: self.connection.execute(MARK_UNDONE, (self._participant, id)).fetchall())
