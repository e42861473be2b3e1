"""How far what is outstanding in the store was read: all of it in one go, or each consumer's for itself."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence

from sagakit.core.cluster.members import Owned
from sagakit.core.commit import Delivery
from sagakit.core.streams import PARTITIONS

EVERY = range(PARTITIONS)


class Part:
    """What is outstanding for one consumer, or for all."""

    __slots__ = ("consumer", "cursor", "left", "reading", "upto")

    def __init__(self, consumer: str | None = None, cursor: int = 0) -> None:
        self.consumer = consumer
        self.cursor = cursor
        """All up to here was read."""
        self.upto = cursor
        """The highest id that was left in the store."""
        self.left = 0
        """How many new ones were left in the store."""
        self.reading = True

    @property
    def of(self) -> Owned | None:
        """What to ask the store for."""
        return None if self.consumer is None else {self.consumer: EVERY}

    def end(self, page: Sequence[Delivery], upto: int, limit: int) -> None:
        """A page is here, which was asked for when `upto` was the highest that had been left."""
        last = page[-1].id if page else self.cursor
        full = len(page) == limit
        self.cursor = last if full else max(last, upto)
        if not full and self.upto <= self.cursor:
            self.reading, self.left = False, 0


class Backlog:
    """What is outstanding in the store, and was not read yet.

    It is read in the order of the log, as long as memory has room. Where there is more, each consumer's is read for
    itself, a page of each in turn: so that one whose backlog is long keeps no other waiting for more than a page.
    """

    def __init__(self) -> None:
        self._rest = Part()
        """Of all; once consumers are read for themselves, what is for none of them."""
        self._parts: dict[str, Part] = {}
        self._turns: deque[Part] = deque()

    @property
    def reading(self) -> bool:
        """Whether deliveries wait in the store unread."""
        return self._rest.reading or any(part.reading for part in self._parts.values())

    @property
    def split(self) -> bool:
        """Whether each consumer's is read for itself."""
        return bool(self._parts)

    @property
    def left(self) -> int:
        """How many new ones wait in the store unread."""
        return self._rest.left + sum(part.left for part in self._parts.values())

    @property
    def cursor(self) -> int:
        """All up to here was read, whoever it is for."""
        unread = [part.cursor for part in (self._rest, *self._parts.values()) if part.reading]
        return min(unread, default=self._rest.cursor)

    def part_of(self, consumer: str) -> Part:
        """Where what is outstanding for a consumer is read."""
        return self._parts.get(consumer, self._rest)

    def divide(self, consumers: Collection[str]) -> list[Part]:
        """From now on each of these is read for itself."""
        self._parts = {name: Part(name, self._rest.cursor) for name in consumers}
        self._turns = deque(self._parts.values())
        return list(self._turns)

    def next(self) -> Part:
        """Whose page is the next one."""
        while self._turns:
            part = self._turns.popleft()
            if part.reading:
                self._turns.append(part)
                return part
        return self._rest
