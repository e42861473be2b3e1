"""A ground: one kind of database, with new ones of it, and what their rows alone cost there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol
from uuid import uuid4

ROUNDS = (2, 2, 2, 2, 1)
"""Rows of one saga: what it is sent with its first command, three outcomes each with the next command, the last."""
TOGETHER = 100
"""Sagas whose same round is one transaction."""
ROW = os.urandom(300)


class Floor(Protocol):
    """A table of rows with a unique (stream, version), with the store's own settings, and no engine."""

    async def run(self, sagas: int) -> float:
        """Write the rows of so many sagas; the sagas per second."""
        ...


class Ground(Protocol):
    """Where a bench runs."""

    @property
    def url(self) -> str:
        """Of the database that is measured: it was new."""
        ...

    @property
    def versions(self) -> Mapping[str, str]:
        """Of the database and its driver."""
        ...

    def beside(self, name: str) -> str:
        """The URL of another new one, which is gone at the end."""
        ...

    def floor(self) -> AbstractAsyncContextManager[Floor]:
        """The floor, on the same disk."""
        ...


def streams(sagas: int) -> list[list[str]]:
    """New streams for so many sagas, those of one transaction together."""
    return [[str(uuid4()) for _ in range(min(TOGETHER, sagas - start))] for start in range(0, sagas, TOGETHER)]
