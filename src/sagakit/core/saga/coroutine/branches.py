"""The running code of a saga: bare coroutines that await operations, several at a time under `all` and `first`."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator, Sequence
from types import CodeType
from typing import Any, Protocol

from sagakit.core.bugs import bug_of, place
from sagakit.core.saga.operations import OPERATIONS, Join, Operation, RestartWith
from sagakit.errors import NotDone, ProcessBug


class Performer(Protocol):
    """What is done with an operation that a branch awaits."""

    @property
    def author(self) -> CodeType | None:
        """The saga's code: errors name a line of its file."""
        ...

    def perform(self, branch: Branch, operation: Operation[Any]) -> bool:
        """Begin it. True if it is done already: `branch.value` then holds its result."""
        ...

    def withdraw(self, losers: Sequence[Branch], waiting: Sequence[Branch | Group], heir: Group) -> int:
        """Branches lost a `first`: close them, and give up what they and the branches under them wait for.

        Tells how many undos of that are out: `heir.undone()` is called after each.
        """
        ...


class Branch:
    """One coroutine of a saga, and what it waits for."""

    __slots__ = ("_inner", "_performer", "_steps", "ended", "error", "group", "under", "value")

    def __init__(self, steps: Coroutine[Any, Any, Any], performer: Performer, group: Group | None = None) -> None:
        self._performer = performer
        self._inner = steps
        # under a group an operation has no coroutine of its own, and one that is awaited elsewhere is found out
        self._steps = steps if group is None else _awaiting(steps)
        self.group = group
        self.under: Group | None = None
        """The group that it waits for."""
        self.ended = False
        self.value: Any = None
        self.error: NotDone | None = None

    def resume(self, value: Any = None, error: NotDone | None = None) -> None:
        """Run on until the next operation that has to wait, or the end; the end goes on to the group's parent."""
        self.value, self.error, self.under = value, error, None
        operation: Any
        while (operation := self._step()) is not None:
            if operation.__class__ is Join:
                self.under = Group(self, operation, self._performer)
                if not self.under.run():
                    return
                self.under = None
            elif not self._performer.perform(self, operation):
                return
        if self.group is not None:
            self.group.settled(self)

    def _step(self) -> Operation[Any] | None:
        value, error = self.value, self.error
        self.value = self.error = None
        try:
            found = self._steps.send(value) if error is None else self._steps.throw(error)
        except StopIteration as stop:
            self.ended, self.value = True, stop.value
            return None
        except NotDone as left:
            # its frames would keep alive what the code had made
            self.ended, self.error = True, left.with_traceback(None)
            return None
        except RestartWith as anew:
            if self.group is not None:
                raise ProcessBug(
                    f"{self._where()}: restart_with() inside all() or first(): return to the main"
                ) from anew
            self.ended, self.value = True, anew.with_traceback(None)
            return None
        except (KeyboardInterrupt, ProcessBug):
            raise
        except BaseException as bug:
            raise bug_of(bug, self._performer.author) from bug
        if found.__class__ in OPERATIONS:
            return found
        raise ProcessBug(
            f"{self._where()}: awaits {_in_words(found)}, which is no operation of the saga: "
            "do outside work in a handler, and await its command"
        )

    def _where(self) -> str:
        """Where the author's code stands."""
        author, places = self._performer.author, list(_frames(self._inner))
        own = [where for file, where in places if author is not None and file == author.co_filename]
        if not own and self.group is not None:
            return self.group.join.where()
        return (own or [where for _, where in places])[-1]

    def close(self) -> BaseException | None:
        """End the coroutine and the branches that it waits for; what went wrong with that, if anything did."""
        self.ended = True
        wrong: BaseException | None = None
        if self.under is not None:
            for child in self.under.branches:
                wrong = child.close() or wrong
            self.under.branches, self.under = [], None
        for steps in (self._steps, self._inner):
            wrong = _close(steps) or wrong
        return wrong


class Group:
    """The branches under one `all` or `first`."""

    __slots__ = ("_error", "_losing", "_parent", "_performer", "_returned", "_running", "_winner", "branches", "join")

    def __init__(self, parent: Branch, join: Join, performer: Performer) -> None:
        self.join = join
        self._parent = parent
        self._performer = performer
        self._winner: Branch | None = None
        self._error: NotDone | None = None
        self._losing = 0
        self._running = False
        self._returned = False
        self.branches = [Branch(steps, performer, self) for steps in join.branches]

    def run(self) -> bool:
        """Start every branch. True if the group has settled already."""
        self._running = True
        for branch in self.branches:
            if self._winner is None:
                branch.resume()
        self._running = False
        return self._finish()

    def settled(self, branch: Branch) -> None:
        """A branch has come to its end."""
        self._error = self._error or branch.error
        if self.join.first:
            self._winner = self._winner or branch
        self._go_on()

    def undone(self) -> None:
        """What a losing branch had in flight is undone."""
        self._losing -= 1
        self._go_on()

    def waiting(self) -> Iterator[Branch | Group]:
        """Whoever in this group waits for something: its branches, those under them, and itself for what lost."""
        yield self
        for branch in self.branches:
            if branch.ended:
                continue
            if branch.under is not None:
                yield from branch.under.waiting()
            else:
                yield branch

    def _go_on(self) -> None:
        if not self._running and self._finish():
            self._parent.resume(self._parent.value, self._parent.error)

    def _finish(self) -> bool:
        if self._returned:
            return False
        if self.join.first:
            if self._winner is None:
                return False
            self._withdraw_losers()
            if self._losing:
                return False
            self._parent.value, self._parent.error = self._winner.value, self._winner.error
        else:
            if not all(branch.ended for branch in self.branches):
                return False
            self._parent.value, self._parent.error = tuple(branch.value for branch in self.branches), self._error
        self._returned = True
        self.branches, self._winner = [], None  # they know their group: without a cycle they are free at once
        return True

    def _withdraw_losers(self) -> None:
        losers = [branch for branch in self.branches if not branch.ended]
        if losers:
            waiting = [one for one in self.waiting() if one is not self]
            self._losing += self._performer.withdraw(losers, waiting, self)


async def _awaiting(steps: Coroutine[Any, Any, Any]) -> Any:
    return await steps


def _close(steps: Coroutine[Any, Any, Any]) -> BaseException | None:
    wrong: BaseException | None = None
    for _ in range(3):  # code that awaits something foreign while it is closed has to be told again
        try:
            steps.close()
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            wrong = error
        else:
            break
    return wrong


def _frames(steps: Any) -> Iterator[tuple[str, str]]:
    """The file and place of each frame of a coroutine and what it awaits, outermost first."""
    while steps is not None:
        for prefix in ("cr", "gi", "ag"):
            frame = getattr(steps, f"{prefix}_frame", None)
            if frame is not None:
                yield frame.f_code.co_filename, place(frame.f_code, frame.f_lineno)
                break
        steps = getattr(steps, "cr_await", None) or getattr(steps, "gi_yieldfrom", None)


def _in_words(found: object) -> str:
    if found is None:
        return "nothing (as asyncio.sleep(0) does)"
    return f"a {type(found).__module__}.{type(found).__qualname__}"
