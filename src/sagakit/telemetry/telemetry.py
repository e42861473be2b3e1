"""What observes an engine: it counts, and traces the stories that are sampled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter, time_ns

import structlog

from sagakit.core.commit import Delivery, Envelope, Rejected
from sagakit.observer import Observed, Run, Written
from sagakit.telemetry.metrics.exposition import Exposition
from sagakit.telemetry.metrics.metrics import Metrics

_log = structlog.get_logger("sagakit.telemetry")


class _Timed:
    """A run that is measured and not traced."""

    __slots__ = ("_began", "_consumer", "_metrics")

    def __init__(self, metrics: Metrics, consumer: str) -> None:
        self._metrics, self._consumer = metrics, consumer
        self._began = perf_counter()

    def end(self, error: BaseException | None) -> None:
        self._metrics.ran(self._consumer, self._began, error)


class Telemetry:
    """An Observer for one engine. What goes wrong in here is logged, and no concern of the engine's."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self._exposition = Exposition(self.metrics)
        self._engine: Observed | None = None
        self._now: Callable[[], int] = lambda: time_ns() // 1000

    def observe(self, engine: Observed) -> None:
        """An engine begins."""
        self._engine, self._now = engine, engine.clock.now
        self._exposition.roles = engine.roles
        self.metrics.observe(engine.roles)

    def accepting(self, envelope: Envelope) -> None:
        """A message is at the door."""

    def accepted(self, envelope: Envelope, error: Exception | None, *, repeated: bool = False) -> None:
        """It is durable, or was refused."""
        self.metrics.accept(envelope.type, error, repeated=repeated)

    def run(self, delivery: Delivery, consumer: str) -> Run:
        """A handler is about to be called."""
        return _Timed(self.metrics, consumer)

    def committing(self, written: Sequence[Written]) -> None:
        """A transaction is about to be written."""

    def committed(
        self, written: Sequence[Written], results: Sequence[Rejected | None], began: float, ended: float
    ) -> None:
        """A transaction is durable."""
        try:
            self.metrics.committed(written, results, began, ended, self._now())
        except Exception:  # a bug in here must not keep the transaction from being told
            _log.exception("a transaction could not be counted")

    async def exposition(self, accept: str) -> tuple[bytes, str] | None:
        """What was counted, and how the engine stands now."""
        if self._engine is not None:
            self._exposition.standing = await self._engine.standing()
        return self._exposition.text(accept)
