"""Handlers that run now: an undo waits for its do, and a retry for the attempt before it, until they have ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


class Run:
    """One run of a handler."""

    __slots__ = ("future", "held", "left_behind", "withdrawn")

    def __init__(self) -> None:
        self.future: asyncio.Future[Any] | None = None
        """The task that can be cancelled; None while the handler runs in its worker's own task, or in a thread."""
        self.withdrawn = False
        """Its step was given up: whatever it answers is fenced off."""
        self.left_behind = False
        """Its time is up, but it still runs: it ends by itself."""
        self.held: list[Callable[[], None]] = []
        """What waits for its end."""


class Runs:
    """The runs by message id."""

    def __init__(self) -> None:
        self._runs: dict[str, Run] = {}

    def __len__(self) -> int:
        return len(self._runs)

    def begin(self, message_id: str) -> Run:
        """A handler begins with this message."""
        run = self._runs[message_id] = Run()
        return run

    def end(self, message_id: str) -> None:
        """It has ended: what was held goes on."""
        run = self._runs.pop(message_id, None)
        if run is not None:
            for go_on in run.held:
                go_on()

    def leave_behind(self, message_id: str, run: Run, future: asyncio.Future[Any]) -> None:
        """It ends when `future` does."""
        run.left_behind = True
        future.add_done_callback(lambda done: self._ended(message_id, done))

    def hold(self, message_id: str, go_on: Callable[[], None]) -> bool:
        """Call `go_on` once the run of this message has ended. False if there is none."""
        run = self._runs.get(message_id)
        if run is None:
            return False
        run.held.append(go_on)
        return True

    def withdraw(self, message_id: str) -> bool:
        """The step of this message was given up: cancel its run, if it can be. False if it does not run."""
        run = self._runs.get(message_id)
        if run is None:
            return False
        run.withdrawn = True
        if run.future is not None:
            run.future.cancel()
        return not run.left_behind

    def _ended(self, message_id: str, done: asyncio.Future[Any]) -> None:
        if not done.cancelled():
            done.exception()  # retrieved: its answer, or error, is nobody's any more
        self.end(message_id)
