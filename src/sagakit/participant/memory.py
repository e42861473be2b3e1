"""What a participant remembers of commands, and where: a port, and the memory that ends with the process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from msgspec.structs import replace

from sagakit.core.messages import Seconds, seconds
from sagakit.core.participation.messages import Known
from sagakit.errors import StoreUnusable


class Remembering(Protocol):
    """One transaction: it stands when its block ends, and is nothing if that raises."""

    @property
    def connection(self) -> Any:
        """What handlers write with, so that their effect and the answer are one transaction; None: there is none."""
        ...

    async def recall(self, id: str) -> Known:
        """What is known of a command. One that is new is begun with this: until the end of the transaction, whoever
        else recalls it waits."""
        ...

    async def remember(self, id: str, reply: bytes) -> None:
        """The answer to a command that was recalled."""
        ...

    async def mark_undone(self, id: str) -> None:
        """A command that was recalled is not to be done any more."""
        ...


class Memory(Protocol):
    """Where a participant remembers commands."""

    async def open(self) -> None:
        """Make it ready."""
        ...

    async def close(self) -> None:
        """Let go of it."""
        ...

    def transaction(self, participant: str) -> AbstractAsyncContextManager[Remembering]:
        """Begin a transaction, of this participant."""
        ...

    async def forget(self, participant: str, older_than: Seconds) -> int:
        """Forget commands that were first heard of so long ago; how many. Choose a time in which none comes again."""
        ...


def open_memory(url: str) -> Memory:
    """The memory that a URL means: `memory://`, or `sqlite:///payments.db` (a file that only memories use)."""
    scheme, separator, rest = url.partition("://")
    if scheme == "memory" and separator and not rest.strip("/"):
        return InMemory()
    if (scheme == "sqlite" and rest.startswith("/") and len(rest) > 1) or not separator:
        from sagakit.stores.sqlite.participant import SqliteMemory

        return SqliteMemory(rest[1:] if separator else url)
    raise StoreUnusable(f"{scheme}:// names no memory: use sqlite:///payments.db, memory:// or PostgresMemory(...)")


@dataclass
class _Row:
    known: Known
    since: datetime


class InMemory:
    """A memory for tests: it ends with the process."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], _Row] = {}
        self._alone = asyncio.Lock()

    async def open(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do: what is remembered stays, for whoever opens it again."""

    @asynccontextmanager
    async def transaction(self, participant: str) -> AsyncGenerator[Remembering]:
        """Begin a transaction; one runs at a time."""
        async with self._alone:
            writing = _Writing(participant, self._rows)
            yield writing
            self._rows.update(writing.changed)

    async def forget(self, participant: str, older_than: Seconds) -> int:
        """Forget what is older."""
        until = datetime.now(UTC) - timedelta(seconds=seconds(older_than))
        old = [key for key, row in self._rows.items() if key[0] == participant and row.since <= until]
        for key in old:
            del self._rows[key]
        return len(old)


class _Writing:
    connection: Any = None

    def __init__(self, participant: str, rows: dict[tuple[str, str], _Row]) -> None:
        self._participant = participant
        self._rows = rows
        self.changed: dict[tuple[str, str], _Row] = {}

    async def recall(self, id: str) -> Known:
        key = (self._participant, id)
        row = self.changed.get(key) or self._rows.get(key)
        if row is None:
            self.changed[key] = _Row(Known(new=False), datetime.now(UTC))
            return Known()
        return row.known

    async def remember(self, id: str, reply: bytes) -> None:
        self._change(id, reply=reply)

    async def mark_undone(self, id: str) -> None:
        self._change(id, undone=True)

    def _change(self, id: str, **values: Any) -> None:
        key = (self._participant, id)
        row = self.changed.get(key) or self._rows[key]
        self.changed[key] = _Row(replace(row.known, **values), row.since)
