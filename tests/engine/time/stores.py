"""Stores of both kinds that keep what they were given, and can be made to wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from sagakit.core.commit import Commit, Rejected
from sagakit.stores.memory import MemoryData, MemoryStore
from sagakit.stores.sqlite.store import SqliteStore


class Keeping:
    """What both have."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.given = 0
        """Commits that came to the gate."""
        self.answers: list[tuple[Commit, Rejected | None]] = []

    def rejected(self) -> list[Commit]:
        return [commit for commit, answer in self.answers if answer is not None]


class KeepingMemory(MemoryStore, Keeping):
    def __init__(self, data: MemoryData) -> None:
        MemoryStore.__init__(self, data)
        Keeping.__init__(self)

    async def commit(self, commits: Sequence[Commit]) -> list[Rejected | None]:
        self.given += len(commits)
        await self.gate.wait()
        answers = await super().commit(commits)
        self.answers.extend(zip(commits, answers, strict=True))
        return answers


class KeepingSqlite(SqliteStore, Keeping):
    def __init__(self, path: Path) -> None:
        SqliteStore.__init__(self, path)
        Keeping.__init__(self)

    async def commit(self, commits: Sequence[Commit]) -> list[Rejected | None]:
        self.given += len(commits)
        await self.gate.wait()
        answers = await super().commit(commits)
        self.answers.extend(zip(commits, answers, strict=True))
        return answers


NewStore: TypeAlias = Callable[[], KeepingMemory | KeepingSqlite]


def stores(kind: str, folder: Path) -> NewStore:
    """Makes stores of one kind, all on the same data."""
    if kind == "memory":
        data = MemoryData()
        return lambda: KeepingMemory(data)
    return lambda: KeepingSqlite(folder / "t.db")
