"""The seam of those who observe an engine: who counts and traces is an adapter too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from sagakit.core.commit import Commit, Delivery, Envelope, Rejected
from sagakit.core.process import Verdict
from sagakit.core.queries import Standing
from sagakit.ports import Clock


class Written(Protocol):
    """A Commit, with what those who observe want to know beside it."""

    @property
    def commit(self) -> Commit: ...
    @property
    def handled(self) -> Sequence[Delivery]:
        """The deliveries that it finishes or parks."""
        ...

    @property
    def retried(self) -> Delivery | None:
        """The delivery whose attempt failed, and that is tried again."""
        ...

    @property
    def verdicts(self) -> Sequence[tuple[str, Verdict]]:
        """How steps and undos came out, each with its process."""
        ...


class Run(Protocol):
    """One run of a user's handler, as an observer sees it."""

    @property
    def trace(self) -> str | None:
        """The W3C traceparent that its outgoing calls carry; None: that of its message."""
        ...

    def end(self, error: BaseException | None) -> None:
        """It has ended: well, or by this error."""
        ...


class Observed(Protocol):
    """An engine, to those who observe it."""

    clock: Clock

    @property
    def roles(self) -> Mapping[str, str]:
        """What each consumer is: handler, listener, forwarder, aggregate, saga or process_manager."""
        ...

    @property
    def system(self) -> str:
        """What its store is: sqlite, postgresql, memory."""
        ...

    async def standing(self) -> Standing:
        """What waits, and for how long."""
        ...


class Copies(Protocol):
    """What the fast path of idempotency keys has done, each since the start of the process."""

    near: int
    """Answered from this process's memory."""
    shared: int
    """Answered from the server's copy."""
    store: int
    """Asked of the store."""
    in_flight: int
    """Refused: the first request with the key was still being accepted."""
    distrusted: int
    """Answers of the server that were not believed."""
    failed: int
    """Calls to the server that failed or took too long."""
    skipped: int
    """Calls that were not made, as the server was left alone."""
    opened: int
    """Times that the breaker before the server opened."""
    left_alone: bool
    """Whether the breaker is open now."""


class Observer(Protocol):
    """Sees what an engine does, without a say in it. Called in the engine's event loop: it must return at once.

    It is told a transaction at a time, and each run of a user's handler; never a message at a time.
    """

    def observe(self, engine: Observed) -> None:
        """An engine begins."""
        ...

    def accepting(self, envelope: Envelope) -> None:
        """A message is at the door. The observer may give it a trace."""
        ...

    def accepted(self, envelope: Envelope, error: Exception | None, *, repeated: bool = False) -> None:
        """It is durable, or it was refused with this error; `repeated`: its idempotency key was known."""
        ...

    def run(self, delivery: Delivery, consumer: str) -> Run:
        """A user's handler is about to be called."""
        ...

    def committing(self, written: Sequence[Written]) -> None:
        """These are about to be written in one transaction. The observer may give their messages a trace."""
        ...

    def committed(
        self, written: Sequence[Written], results: Sequence[Rejected | None], began: float, ended: float
    ) -> None:
        """The transaction is durable; times as `time.perf_counter` tells them."""
        ...

    async def exposition(self, accept: str, copies: Copies | None = None) -> tuple[bytes, str] | None:
        """What it has counted, in Prometheus' text format, and the content type. None: it counts nothing.

        `copies`: what the fast path of idempotency keys has done, where the door that is asked has one.
        """
        ...
