"""Handlers that run now: an undo waits for its do, and a retry for the attempt before it, until they have ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from sagakit.core.commit import Envelope


class Run:
    """One run of a handler."""

    __slots__ = ("cancel", "cancelled", "held", "left_behind", "trace", "undoes", "withdrawn", "worker")

    def __init__(self, undoes: str | None = None) -> None:
        self.undoes = undoes
        self.trace: str | None = None
        """The traceparent of its outgoing calls, where it has one of its own."""
        self.worker: asyncio.Task[None] | None = None
        """Who calls the handler."""
        self.cancel: Callable[[], object] | None = None
        """Ends it early, where that is possible; None while nothing of the user's runs."""
        self.cancelled = False
        """`cancel` was called because its step was given up."""
        self.withdrawn = False
        """Its step was given up: whatever it answers is fenced off."""
        self.left_behind = False
        """Nobody waits for its answer any more, but it still runs: it ends by itself."""
        self.held: list[Callable[[], None]] = []
        """What waits for its end."""


class Runs:
    """The runs by message id."""

    def __init__(self) -> None:
        self.by_id: dict[str, Run] = {}
        self._undoing: dict[str, str] = {}
        """The undo that runs now, by the id of the command that it undoes."""
        self._over: asyncio.Future[None] | None = None

        self.undos_apart = False
        """Several engines share the store: whether an undo may begin is asked of the store, for each of them."""

    def __bool__(self) -> bool:
        return bool(self.by_id)

    def runs(self, message_id: str) -> bool:
        """Whether a handler runs with this message."""
        return message_id in self.by_id

    def afterwards(self, message_id: str, go_on: Callable[[], None]) -> bool:
        """Call `go_on` once this run has ended. False if there is none."""
        run = self.by_id.get(message_id)
        if run is None:
            return False
        run.held.append(go_on)
        return True

    def begin(self, envelope: Envelope) -> Run:
        """A handler begins with this message."""
        run = self.by_id[envelope.id] = Run(envelope.undoes)
        if run.undoes:
            self._undoing[run.undoes] = envelope.id
        return run

    def end(self, message_id: str) -> None:
        """It has ended: what was held goes on."""
        run = self.by_id.pop(message_id, None)
        if run is None:
            return
        if run.undoes and self._undoing.get(run.undoes) == message_id:
            del self._undoing[run.undoes]
        for go_on in run.held:
            go_on()
        if self._over is not None and not self.by_id and not self._over.done():
            self._over.set_result(None)

    def leave_behind(self, message_id: str, run: Run, future: asyncio.Future[Any]) -> None:
        """It ends when `future` does."""
        run.left_behind = True
        future.add_done_callback(lambda done: self._ended(message_id, done))

    def before(self, envelope: Envelope) -> Run | None:
        """The run that has to end before this message may be handled.

        That is an earlier attempt of its own; for an undo also its do, and an earlier undo of the same do.
        """
        own = self.by_id.get(envelope.id)
        if own is not None or not envelope.undoes:
            return own
        return self.by_id.get(envelope.undoes) or self.by_id.get(self._undoing.get(envelope.undoes, ""))

    def hold(self, envelope: Envelope, go_on: Callable[[], None]) -> bool:
        """Call `go_on` once the run that this message has to wait for has ended. False if there is none."""
        run = self.before(envelope)
        if run is None:
            return False
        run.held.append(go_on)
        return True

    def withdraw(self, message_id: str) -> bool:
        """The step of this message was given up: cancel its run, if it can be. False if nobody waits for its end."""
        run = self.by_id.get(message_id)
        if run is None:
            return False
        run.withdrawn = True
        if run.cancel is not None:
            run.cancelled = True
            run.cancel()
        return not run.left_behind

    async def over(self, within: float) -> bool:
        """Wait until nothing runs any more. False if something still does after so many seconds."""
        if self.by_id:
            self._over = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._over], timeout=within)
        return not self.by_id

    def _ended(self, message_id: str, done: asyncio.Future[Any]) -> None:
        if not done.cancelled():
            done.exception()  # retrieved: its answer, or error, is nobody's any more
        self.end(message_id)
