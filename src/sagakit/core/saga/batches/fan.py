"""One batch in memory: what is stored of it, the rows of what is in flight, and who waits for it."""

from __future__ import annotations

from collections import deque
from typing import Any

from sagakit.core.commit import Item
from sagakit.core.saga.batch import Batch, mark_of
from sagakit.core.saga.coroutine.branches import Branch
from sagakit.core.saga.each import Asked


class Fan:
    """A batch. Without its code (`asked` is None) it can be undone, and its outcomes be counted."""

    __slots__ = ("asked", "branch", "do_mark", "failures", "queue", "record", "rows", "undo_mark")

    def __init__(self, instance: str, record: Batch, asked: Asked[Any] | None = None, branch: Branch | None = None):
        self.record = record
        self.asked = asked
        self.branch = branch
        """Waits for its end."""
        self.do_mark = mark_of(instance, record.step)
        self.undo_mark = mark_of(instance, record.step, undo=True)
        self.rows: dict[int, Item] = {}
        """The rows of the items in flight, by index. Gone after an eviction, until they are read."""
        self.queue: deque[Item] = deque()
        """The rows of a page that are still to be sent: again, or their undos."""
        self.failures: list[tuple[int, str]] = []

    @property
    def complete(self) -> bool:
        """Whether the rows of all items in flight are here."""
        rows, record = self.rows, self.record
        return len(rows) >= record.in_flight or all(index in rows for index in (*record.out, *record.undoing))
