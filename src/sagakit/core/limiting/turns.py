"""A queue in which groups take turns: one group, however much of it waits, delays another by one turn."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Generic, NamedTuple, TypeVar

_T = TypeVar("_T", bound=Hashable)


class Group(NamedTuple):
    """Whose turn it is: first those of one owner (a process type, say) among owners, then its parts among them."""

    owner: str
    part: str = ""


def group_of(consumer: str, sender: str | None) -> Group:
    """The group of a message for a consumer: the process that has sent it, else the consumer itself."""
    return Group(consumer if sender is None else sender.rpartition("/")[0])


class Turns(Generic[_T]):
    """First come, first served within a group."""

    __slots__ = ("_count", "_owners")

    def __init__(self) -> None:
        self._owners: OrderedDict[str, OrderedDict[str, OrderedDict[_T, None]]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[_T]:
        for parts in self._owners.values():
            for queue in parts.values():
                yield from queue

    def push(self, group: Group, item: _T) -> None:
        """It waits behind those of its group."""
        parts = self._owners.get(group.owner)
        if parts is None:
            parts = self._owners[group.owner] = OrderedDict()
        queue = parts.get(group.part)
        if queue is None:
            queue = parts[group.part] = OrderedDict()
        if item not in queue:
            queue[item] = None
            self._count += 1

    def pop(self) -> _T:
        """The next one; its group has its next turn after all others."""
        owner, parts = next(iter(self._owners.items()))
        part, queue = next(iter(parts.items()))
        item, _ = queue.popitem(last=False)
        self._count -= 1
        if queue:
            parts.move_to_end(part)
        else:
            del parts[part]
        if parts:
            self._owners.move_to_end(owner)
        else:
            del self._owners[owner]
        return item

    def discard(self, group: Group, item: _T) -> None:
        """It does not wait any more."""
        parts = self._owners[group.owner]
        queue = parts[group.part]
        del queue[item]
        self._count -= 1
        if not queue:
            del parts[group.part]
        if not parts:
            del self._owners[group.owner]
