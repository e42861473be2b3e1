"""Ids of what has happened lately: the oldest are forgotten, so many are kept."""

from __future__ import annotations

from collections.abc import Iterable


class Lately:
    """A set that keeps at least the last `most` ids that were added, and at most twice as many."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._new: set[str] = set()
        self._before: set[str] = set()

    def __contains__(self, id: object) -> bool:
        return id in self._new or id in self._before

    def add(self, ids: Iterable[str]) -> None:
        """These have happened just now."""
        self._new.update(ids)
        if len(self._new) > self._most:
            self._new, self._before = set(), self._new
