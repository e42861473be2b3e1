"""Who waits for what while the code of a saga runs: for events by key, and for undos."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sagakit.core.saga.compensation import Compensation, Step
from sagakit.core.saga.coroutine.branches import Branch, Group
from sagakit.errors import NotDone


class Arrivals:
    """Events that nobody has received yet, and receivers without an event yet."""

    __slots__ = ("_arrived", "waiting")

    def __init__(self) -> None:
        self.waiting: list[tuple[Branch, type]] = []
        """The branches that wait for an event of a type, in the order in which they began to."""
        self._arrived: list[Any] = []

    def receive(self, branch: Branch, event: type) -> bool:
        """Give the branch the first event of this type, now (then True) or when it comes."""
        for index, message in enumerate(self._arrived):
            if type(message) is event:
                branch.value = self._arrived.pop(index)
                return True
        self.waiting.append((branch, event))
        return False

    def take(self, message: Any) -> Branch | None:
        """The branch that has waited longest for this event; None: it is kept for the next one."""
        for index, (branch, event) in enumerate(self.waiting):
            if event is type(message):
                del self.waiting[index]
                return branch
        self._arrived.append(message)
        return None

    def hand_over(self) -> list[Any]:
        """The events that nobody has received, which are here no longer."""
        arrived, self._arrived = self._arrived, []
        return arrived

    def take_over(self, arrived: Sequence[Any]) -> None:
        """Events that came before all that are here."""
        self._arrived[:0] = arrived

    def awaited(self) -> list[type]:
        """The types of the events that branches wait for."""
        return [event for _, event in self.waiting]

    def withdraw(self, branches: Collection[object]) -> None:
        """These wait no more."""
        self.waiting = [one for one in self.waiting if one[0] not in branches]

    def clear(self) -> None:
        """Nobody waits any more."""
        self.waiting.clear()
        self._arrived.clear()


class Repairs:
    """The branches and groups that go on when undos are answered."""

    __slots__ = ("_single", "stacks")

    def __init__(self) -> None:
        self._single: dict[int, tuple[Branch | Group, NotDone | None]] = {}
        self.stacks: list[tuple[Branch, frozenset[int]]] = []
        """The branches that wait for several undos, by their ordinals."""

    def wait_for(self, step: Step, owner: Branch | Group, error: NotDone | None = None) -> None:
        """When the undo of this step is answered, raise the error in its branch, or tell the group that lost it."""
        self._single[step.ordinal] = (owner, error)

    def answered(self, step: Step) -> None:
        """Go on with whoever waits for this undo alone."""
        owner, error = self._single.pop(step.ordinal, (None, None))
        if isinstance(owner, Group):
            owner.undone()
        elif owner is not None:
            owner.resume(error=error)

    def undo_all(self, branch: Branch, stack: Compensation) -> bool:
        """Begin to undo what was done so far, for a branch. True if there is nothing."""
        wanted = stack.outstanding()
        if wanted:
            self.stacks.append((branch, wanted))
            stack.undo_next(wanted)
        return not wanted

    def go_on(self, stack: Compensation) -> None:
        """Resume the branches for which all is undone, and go on with what others wait for."""
        while through := [one for one in self.stacks if not one[1] & stack.outstanding()]:
            self.stacks.remove(through[0])
            through[0][0].resume()  # may withdraw another one
        if self.stacks:
            stack.undo_next({ordinal for _, wanted in self.stacks for ordinal in wanted})

    def withdraw(self, lost: Collection[object], heir: Group) -> int:
        """What these wait for, the group waits for now: so many undos."""
        self.stacks = [one for one in self.stacks if one[0] not in lost]
        inherited = [ordinal for ordinal, (owner, _) in self._single.items() if owner in lost]
        for ordinal in inherited:
            self._single[ordinal] = (heir, None)
        return len(inherited)

    def clear(self) -> None:
        """Nobody waits any more."""
        self._single.clear()
        self.stacks.clear()
