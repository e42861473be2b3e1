"""The commands of a saga that are out, and whose outcome its code waits for."""

from __future__ import annotations

from collections.abc import Collection
from types import NoneType

from sagakit.core.messages import Seconds, microseconds
from sagakit.core.process import Surroundings
from sagakit.core.saga.compensation import Compensation, Step
from sagakit.core.saga.coroutine.branches import Branch
from sagakit.core.saga.operations import Do, Then
from sagakit.core.saga.settling.outcomes import names_of
from sagakit.core.saga.timing.timers import Timers
from sagakit.core.saga.writing import Writing
from sagakit.errors import ProcessBug, TerminalError


class Flights:
    """Sends steps, gives them up, and knows which branch waits for which."""

    __slots__ = ("_around", "_stack", "_timers", "_writing", "out")

    def __init__(self, around: Surroundings, writing: Writing, stack: Compensation, timers: Timers) -> None:
        self._around, self._writing, self._stack, self._timers = around, writing, stack, timers
        self.out: dict[str, tuple[Branch, Do]] = {}

    def send(self, branch: Branch, do: Do) -> None:
        """Send a step, record its undo, and set its timer."""
        after = 0 if do.timeout is None else self._timeout(do, do.timeout)
        try:
            output = self._writing.command(do.command)
        except TerminalError as error:
            raise ProcessBug(f"{do.where()}: {do.what()}: {error}") from error
        try:
            starts = do.command.__class__ in self._around.children
            child = self._around.child(output.message) if starts else ""
            self._stack.begin(output.id, output.type, do.undo, child)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise ProcessBug(
                f"{do.where()}: {do.what()}: its undo cannot be built before anything is known "
                f"({type(error).__name__}: {error}): it must do with an outcome of None"
            ) from error
        do.sent_at = self._writing.now
        self.out[output.id] = (branch, do)
        if after:
            self._timers.wake(branch, "step", after, output.type, command_id=output.id)

    def land(self, command_id: str) -> tuple[Branch, Do] | None:
        """Nobody waits for this command any more: the branch that did; None if none did."""
        flight = self.out.pop(command_id, None)
        if flight is not None and flight[1].timeout is not None:
            self._timers.settled(flight[0])
        return flight

    def give_up(self, command_id: str) -> Step:
        """Wait no more for a step that may have been done."""
        step = self._stack.of(command_id)
        assert step is not None
        flight = self.land(command_id)
        self._writing.settled(step.type, "unknown", flight[1].sent_at if flight is not None else 0)
        if flight is not None:
            then = flight[1].then
        else:  # the code that could tell cannot run: any declared outcome may be a success
            then = tuple(self._around.outcomes.get(self.command_of(step), ())) or None
        self._stack.unknown(step, names_of(then, self._around))
        self._writing.withdraw(command_id)
        return step

    def _timeout(self, do: Do, timeout: Seconds) -> int:
        try:
            after = microseconds(timeout, "timeout=")
            if not after:
                raise ValueError(f"timeout= must be more than nothing, not {timeout!r}")
        except ValueError as error:
            raise ProcessBug(f"{do.where()}: {do.what()}: {error}") from error
        return after

    def of(self, branches: Collection[object]) -> list[str]:
        """The commands that these branches wait for, oldest first."""
        return [command_id for command_id, (branch, _) in self.out.items() if branch in branches]

    def awaited(self) -> dict[str, Then]:
        """The commands that are out, and what counts as their success."""
        return {command_id: do.then for command_id, (_, do) in self.out.items()}

    def command_of(self, step: Step) -> type:
        """The class of a step's command."""
        codec = self._around.codecs.by_name.get(step.type)
        return NoneType if codec is None else codec.cls  # its class may be gone from the app
