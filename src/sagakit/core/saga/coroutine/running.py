"""The code of one saga while it runs: its coroutine, and the hands that it is given."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from types import CodeType
from typing import Any

from sagakit.core.bugs import bug_of
from sagakit.core.messages import Message
from sagakit.core.process import Log, Surroundings
from sagakit.core.saga.compensation import Compensation, Undoer
from sagakit.core.saga.coroutine.branches import Branch, Performer
from sagakit.core.saga.operations import Saga
from sagakit.core.saga.writing import Writing
from sagakit.errors import ProcessBug


class Running:
    """What drives a Saga: it writes and logs for the code, starts it, and closes it."""

    __slots__ = (
        "_code",
        "_id",
        "_key",
        "_logger",
        "_name",
        "_stack",
        "_writing",
        "closing",
        "dropped",
        "main",
        "silent",
    )

    def __init__(
        self,
        name: str,
        code: Callable[[Any, Saga], Coroutine[Any, Any, Any]],
        around: Surroundings,
        writing: Writing,
        stack: Compensation,
        id: str,
        key: str,
    ) -> None:
        self.main: Branch | None = None
        self.closing = False
        self.dropped: list[str] = []
        self.silent = False
        self._name, self._code = name, code
        self._id, self._key = id, key
        self._logger = around.logger
        self._writing, self._stack = writing, stack

    # ------------------------------------------------------------------ what the code's Saga calls (Driver)

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self._writing.now / 1_000_000, UTC)

    @property
    def log(self) -> Log:
        log = self._logger("" if self.silent else self._name, self._key)
        first = self._writing.first
        if first is None:
            return log
        named = log.bind(instance=self._id, correlation_id=first.correlation_id)
        return named.bind(trace_id=first.trace.split("-")[1]) if first.trace and first.trace.count("-") > 2 else named

    def on_undo(self, undo: Undoer) -> None:
        self._writing.check_no_item()
        self._stack.begin("", "", undo).state = "succeeded"

    def send(self, message: Message, *, command: bool) -> None:
        self._writing.check_no_item()
        (self._writing.command if command else self._writing.event)(message)

    def new_id(self, name: str) -> str:
        return self._writing.new_id(name)

    # ------------------------------------------------------------------ from its start to its end

    @property
    def author(self) -> CodeType | None:
        """The code itself: errors name a line of its file. None where the library wrote it."""
        code: CodeType | None = getattr(inspect.unwrap(self._code), "__code__", None)
        return None if self._code.__module__.startswith("sagakit.core") else code

    def start(self, first: Any, performer: Performer) -> None:
        """Run the code as far as it goes with the message that starts it."""
        try:
            steps = self._code(first, Saga(self, self._id, self._key))
        except Exception as error:
            raise bug_of(error, self.author) from error
        self.main = Branch(steps, performer)
        self.main.resume()

    def check_dropped(self, *, threw: bool) -> None:
        """Raise what the code has made and not awaited, unless an exception has passed it over."""
        dropped, self.dropped = self.dropped, []
        if dropped and not threw:
            raise ProcessBug(dropped[0])

    def close(self) -> str:
        """End the code; what went wrong with that, in words. It stops nothing."""
        main, self.main = self.main, None
        if main is None:
            return ""
        self.closing = True
        wrong = main.close()
        if wrong is None:
            return ""
        bug = str(bug_of(wrong, self.author))
        self.log.warning("the code of a saga failed to close", error=bug)
        return bug

    def withdraw(self, losers: Sequence[Branch]) -> None:
        """End some of its branches."""
        self.closing = True
        wrong = [branch.close() for branch in losers]
        self.closing = False
        for error in wrong:
            if error is not None:
                raise bug_of(error, self.author) from error
