"""The events that come to a saga by its key, and the branches that wait for them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sagakit.core.saga.branches import Branch


class Arrivals:
    """Events that nobody has received yet, and receivers without an event yet."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Branch, type]] = []
        self._arrived: list[Any] = []

    def receive(self, branch: Branch, event: type) -> bool:
        """Give the branch the first event of this type, now (then True) or when it comes."""
        for index, message in enumerate(self._arrived):
            if type(message) is event:
                branch.value = self._arrived.pop(index)
                return True
        self._waiting.append((branch, event))
        return False

    def take(self, message: Any) -> Branch | None:
        """The branch that has waited longest for this event; None: it is kept for the next one."""
        for index, (branch, event) in enumerate(self._waiting):
            if event is type(message):
                del self._waiting[index]
                return branch
        self._arrived.append(message)
        return None

    def awaited(self) -> list[type]:
        """The types of the events that branches wait for."""
        return [event for _, event in self._waiting]

    def withdraw(self, branches: Collection[object]) -> None:
        """These wait no more."""
        self._waiting = [one for one in self._waiting if one[0] not in branches]

    def clear(self) -> None:
        """Nobody waits any more."""
        self._waiting.clear()
        self._arrived.clear()
