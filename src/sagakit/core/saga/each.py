"""What a saga's code gives to a batch, and what it gets from it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence, Set, Sized
from itertools import islice
from typing import Any, Generic, TypeVar

from sagakit.core.messages import Message

_T = TypeVar("_T")

MOST_AT_ONCE = 1_000


class Each(Generic[_T]):
    """How a batch went: how many of its items are done, how many failed, and which ones."""

    __slots__ = ("_failures", "_source", "done", "failed")

    def __init__(self, done: int, failed: int, source: Source[_T], failures: Sequence[tuple[int, str]]) -> None:
        self.done = done
        self.failed = failed
        self._source = source
        self._failures = failures

    def failures(self) -> Iterator[tuple[_T, str]]:
        """The items that failed and why, in the order of the items."""
        reasons = dict(self._failures)
        for index, item in self._source.at(sorted(reasons)):
            yield item, reasons[index]

    def __repr__(self) -> str:
        return f"Each(done={self.done}, failed={self.failed})"


class Asked(Generic[_T]):
    """A batch as the code asks for it. Raises what is wrong with that."""

    __slots__ = ("at_once", "command", "items", "stop_at", "then", "undo")

    def __init__(
        self,
        items: Iterable[_T],
        command: Callable[[_T], Message],
        then: tuple[type[Any], ...] | None,
        at_once: int,
        stop_at: float | None,
        undo: Callable[[_T], Message] | None,
    ) -> None:
        if not 1 <= at_once <= MOST_AT_ONCE:
            raise ValueError(
                f"at_once={at_once!r}: give a number from 1 to {MOST_AT_ONCE}: "
                "the state of the instance holds what is in flight"
            )
        for name, function in (("command", command), ("undo", undo)):
            if function is not None and not callable(function):
                raise TypeError(f"{name}={function!r}: give a function that makes a command of an item")
        self.items: Source[_T] = Source(items)
        self.command, self.then, self.undo = command, then, undo
        self.at_once = at_once
        self.stop_at = None if stop_at is None else _threshold(stop_at, self.items.total)


class Source(Generic[_T]):
    """The items of a batch, drawn one by one. The same ones come again when the code is replayed."""

    def __init__(self, items: Iterable[_T]) -> None:
        if isinstance(items, Set):
            raise TypeError("items in a set have no order that a replay could rely on: give sorted(...)")
        if iter(items) is items:  # it can be drawn from once only, and a failed item is looked up by its place
            items = tuple(items)
        self._items = items
        self._iterator = iter(items)
        self._drawn = 0
        self.total = len(items) if isinstance(items, Sized) else None

    def draw(self, index: int) -> tuple[_T] | None:
        """The item of this index, which is the next one or one further on; None if there are not so many."""
        for item in islice(self._iterator, index - self._drawn, None):
            self._drawn = index + 1
            return (item,)
        return None

    def at(self, indexes: Sequence[int]) -> Iterator[tuple[int, _T]]:
        """The items of these indexes, which ascend."""
        if isinstance(self._items, Sequence):
            yield from ((index, self._items[index]) for index in indexes)
            return
        rest, drawn = iter(self._items), 0
        for index in indexes:
            yield index, next(islice(rest, index - drawn, None))
            drawn = index + 1


def _threshold(stop_at: Any, total: int | None) -> int:
    """So many failures stop the batch."""
    if isinstance(stop_at, int) and stop_at >= 1:
        return stop_at
    if isinstance(stop_at, float) and 0 < stop_at <= 1:
        if total is None:
            raise ValueError(f"stop_at={stop_at!r} is a share, but the number of items is not known: give a number")
        return max(1, math.ceil(stop_at * total))
    raise ValueError(f"stop_at={stop_at!r}: give a number of failures, 1 or more, or a share of the items up to 1.0")
