"""A store that keeps what it was given, and can be made to wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeAlias

from tests.each_store import AnyStore, Around

from sagakit.core.commit import Commit, Rejected


class Keeping(Around):
    """Around any store."""

    def __init__(self, inner: AnyStore) -> None:
        super().__init__(inner)
        self.gate = asyncio.Event()
        self.gate.set()
        self.given = 0
        """Commits that came to the gate."""
        self.answers: list[tuple[Commit, Rejected | None]] = []

    def rejected(self) -> list[Commit]:
        return [commit for commit, answer in self.answers if answer is not None]

    async def commit(self, commits: Sequence[Commit]) -> list[Rejected | None]:
        self.given += len(commits)
        await self.gate.wait()
        answers = await self.inner.commit(commits)
        self.answers.extend(zip(commits, answers, strict=True))
        return answers


NewStore: TypeAlias = Callable[[], Keeping]


def keeping(store: AnyStore) -> NewStore:
    """Makes such stores, all on the data of this one."""
    return lambda: Keeping(store.again())
