"""Numbers that are cheap to raise: the event loop's own, read when somebody asks. No locks, no objects a raise."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from typing import TypeAlias

Labels: TypeAlias = tuple[str, ...]
Counter: TypeAlias = defaultdict[Labels, int]


def counter() -> Counter:
    """Counts by labels, all 0."""
    return defaultdict(int)


class Histogram:
    """Counts by bucket, and the sum, by labels."""

    __slots__ = ("_cells", "bounds")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self._cells: dict[Labels, list[float]] = {}

    def observe(self, labels: Labels, value: float) -> None:
        """One more value."""
        cell = self._cells.get(labels)
        if cell is None:
            cell = self._cells[labels] = [0.0] * (len(self.bounds) + 2)
        cell[bisect_left(self.bounds, value)] += 1
        cell[-1] += value

    def cells(self) -> list[tuple[Labels, list[float], float]]:
        """By labels: the count of each bucket, the last without a bound; and the sum."""
        return [(labels, cell[:-1], cell[-1]) for labels, cell in self._cells.items()]
