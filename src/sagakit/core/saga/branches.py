"""The running code of a saga: bare coroutines that await operations, several at a time under `all` and `first`."""

from __future__ import annotations

from collections.abc import Coroutine
from types import FrameType
from typing import Any, Protocol

from sagakit.core.saga.operations import Do, Join, Operation, Receive, UndoAll
from sagakit.errors import NotDone, ProcessBug


class Performer(Protocol):
    """What is done with an operation that a branch awaits."""

    def perform(self, branch: Branch, operation: Do | Receive | UndoAll) -> bool:
        """Begin it. True if it is done already: `branch.value` then holds its result."""
        ...

    def withdraw(self, branch: Branch, group: Group) -> bool:
        """The branch lost a `first`: give up what it waits for. True if that is still to be undone: then the group
        is told once it is."""
        ...


class Branch:
    """One coroutine of a saga, and what it waits for."""

    __slots__ = ("ended", "error", "group", "operation", "performer", "started", "steps", "value")

    def __init__(self, steps: Coroutine[Any, Any, Any], performer: Performer, group: Group | None = None) -> None:
        self.steps = steps
        self.performer = performer
        self.group = group
        self.operation: Operation[Any] | None = None
        self.ended = False
        self.value: Any = None
        self.error: NotDone | None = None

    def resume(self, value: Any = None, error: NotDone | None = None) -> None:
        """Run on until the next operation that has to wait, or the end; the end goes on to the group's parent."""
        self.operation = None
        self.value, self.error = value, error
        while not self.ended:
            operation = self._step()
            if operation is None:
                break
            self.operation = operation
            if isinstance(operation, Join):
                if not Group(self, operation).run():
                    return
            elif not self.performer.perform(self, operation):  # type: ignore[arg-type]
                return
            self.operation = None
        if self.ended and self.group is not None:
            self.group.settled(self)

    def _step(self) -> Operation[Any] | None:
        value, error = self.value, self.error
        self.value = self.error = None
        try:
            found = self.steps.send(value) if error is None else self.steps.throw(error)
        except StopIteration as stop:
            self.ended, self.value = True, stop.value
            return None
        except NotDone as refusal:
            self.ended, self.error = True, refusal
            return None
        except ProcessBug:
            raise
        except Exception as bug:
            raise ProcessBug(f"line {_line_of(bug)}: {type(bug).__name__}: {bug}") from bug
        if isinstance(found, Operation):
            return found  # pyright: ignore[reportUnknownVariableType]
        raise ProcessBug(
            f"line {self.line()}: awaits {_in_words(found)}, which is no operation of the saga: "
            "do outside work in a handler, and await its command"
        )

    def line(self) -> int:
        """Where the branch's own code stands (the innermost frame of the author's)."""
        line, steps = 0, self.steps
        while steps is not None:
            frame = getattr(steps, "cr_frame", None)
            if frame is None or _module(frame).startswith("asyncio"):
                break
            line = frame.f_lineno
            steps = getattr(steps, "cr_await", None)
        return line

    def close(self) -> None:
        """End the coroutine, and the branches that it waits for."""
        if isinstance(self.operation, Join):
            for child in self.operation.group:
                child.close()
        self.ended = True
        self.steps.close()


class Group:
    """The branches under one `all` or `first`."""

    def __init__(self, parent: Branch, join: Join) -> None:
        self.parent = parent
        self.first = join.first
        self.branches = [Branch(_awaiting(steps), parent.performer, self) for steps in join.branches]
        self.winner: Branch | None = None
        self.losing = 0
        self.returned = False
        self.running = False
        join.group = self.branches

    def run(self) -> bool:
        """Start every branch. True if the group has settled already."""
        self.running = True
        for branch in self.branches:
            if self.winner is None or not self.first:
                branch.resume()
        self.running = False
        return self._finish()

    def settled(self, branch: Branch) -> None:
        """A branch has come to its end."""
        if self.first and self.winner is None:
            self.winner = branch
        if not self.running and self._finish():
            self.parent.resume(self.parent.value, self.parent.error)

    def undone(self) -> None:
        """What a losing branch had in flight is undone."""
        self.losing -= 1
        if self._finish():
            self.parent.resume(self.parent.value, self.parent.error)

    def _finish(self) -> bool:
        if self.returned:
            return False
        if self.first:
            if self.winner is None:
                return False
            self._withdraw_losers()
            if self.losing:
                return False
            self.parent.value, self.parent.error = self.winner.value, self.winner.error
        else:
            if not all(branch.ended for branch in self.branches):
                return False
            self.parent.error = next((branch.error for branch in self.branches if branch.error), None)
            self.parent.value = tuple(branch.value for branch in self.branches)
        self.returned = True
        return True

    def _withdraw_losers(self) -> None:
        for branch in self.branches:
            if not branch.ended:
                self.losing += _give_up(branch, self)
                branch.close()


def _give_up(branch: Branch, group: Group) -> int:
    if isinstance(branch.operation, Join):
        return sum(_give_up(child, group) for child in branch.operation.group if not child.ended)
    return int(branch.performer.withdraw(branch, group))


async def _awaiting(steps: Coroutine[Any, Any, Any]) -> Any:
    return await steps


def _line_of(error: Exception) -> int:
    """The line of the author's code that raised: the last frame that is not the library's."""
    found, trace = 0, error.__traceback__
    while trace is not None:
        if not _module(trace.tb_frame).startswith("sagakit.core"):
            found = trace.tb_lineno
        trace = trace.tb_next
    return found


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _in_words(found: object) -> str:
    return (
        "nothing (as asyncio.sleep(0) does)"
        if found is None
        else f"a {type(found).__module__}.{type(found).__qualname__}"
    )
