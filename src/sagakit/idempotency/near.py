"""Copies of answers in this process's memory: bounded, and what is left while the server is away."""

from __future__ import annotations

from collections.abc import Callable

from sagakit.idempotency.record import Record

_OVERHEAD = 500
"""Bytes that an entry takes besides its answer, about."""


class Near:
    """The newest answers, each for `keep` seconds, all within so many bytes."""

    def __init__(self, keep: float, most_bytes: int, now: Callable[[], float]) -> None:
        self._keep = keep
        self._most = most_bytes
        self._now = now
        self._kept: dict[str, tuple[float, Record]] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, name: str) -> Record | None:
        """The copy, if it is still kept."""
        self._shrink()
        found = self._kept.get(name)
        return None if found is None else found[1]

    def add(self, record: Record) -> None:
        """Keep a copy; the oldest make room."""
        self._drop(record.name)
        self._kept[record.name] = (self._now() + self._keep, record)
        self._bytes += _size(record)
        self._shrink()

    def _shrink(self) -> None:
        now = self._now()
        while self._kept:  # all are kept equally long, so the oldest is the first to go
            name, (until, _) = next(iter(self._kept.items()))
            if until > now and self._bytes <= self._most:
                return
            self._drop(name)

    def _drop(self, name: str) -> None:
        gone = self._kept.pop(name, None)
        if gone is not None:
            self._bytes -= _size(gone[1])


def _size(record: Record) -> int:
    return len(bytes(record.answer)) + _OVERHEAD
