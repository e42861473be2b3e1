"""What observes an engine: it counts, and traces the stories that are sampled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter, time_ns

import structlog

from sagakit.core.commit import Delivery, Envelope, Rejected
from sagakit.observer import Copies, Observed, Run, Written
from sagakit.telemetry.handled import HANDLED
from sagakit.telemetry.metrics.exposition import Exposition
from sagakit.telemetry.metrics.metrics import Metrics
from sagakit.telemetry.traces.places import is_sampled
from sagakit.telemetry.traces.spans import Sink
from sagakit.telemetry.traces.tracer import TracedRun, Tracer

_log = structlog.get_logger("sagakit.telemetry")


class _Run:
    """A run that is measured, perhaps traced, and known to the log."""

    __slots__ = ("_began", "_consumer", "_metrics", "_token", "_traced")

    def __init__(self, metrics: Metrics, delivery: Delivery, consumer: str, traced: TracedRun | None) -> None:
        self._metrics, self._consumer, self._traced = metrics, consumer, traced
        self._token = HANDLED.set((delivery, consumer))
        self._began = perf_counter()

    @property
    def trace(self) -> str | None:
        return None if self._traced is None else self._traced.trace

    def end(self, error: BaseException | None) -> None:
        self._metrics.ran(self._consumer, self._began, error)
        HANDLED.reset(self._token)
        if self._traced is not None:
            self._traced.end(error)


class Telemetry:
    """An Observer for one engine. What goes wrong in here is logged, and no concern of the engine's.

    `spans`: where the spans of sampled stories go; None: nothing is traced.
    """

    def __init__(self, spans: Sink | None = None) -> None:
        self.metrics = Metrics()
        self._exposition = Exposition(self.metrics)
        self._tracer = None if spans is None else Tracer(spans)
        self._engine: Observed | None = None
        self._now: Callable[[], int] = lambda: time_ns() // 1000

    def observe(self, engine: Observed) -> None:
        """An engine begins."""
        self._engine, self._now = engine, engine.clock.now
        self._exposition.roles = engine.roles
        self.metrics.observe(engine.roles)
        if self._tracer is not None:
            self._tracer.observe(engine)

    def accepting(self, envelope: Envelope) -> None:
        """A message is at the door."""
        if self._tracer is not None:
            try:
                self._tracer.accepting(envelope)
            except Exception:
                _log.exception("a story could not be traced")

    def accepted(self, envelope: Envelope, error: Exception | None, *, repeated: bool = False) -> None:
        """It is durable, or was refused."""
        self.metrics.accept(envelope.type, error, repeated=repeated)
        if self._tracer is not None:
            self._tracer.accepted(envelope, error, repeated=repeated)

    def run(self, delivery: Delivery, consumer: str) -> Run:
        """A handler is about to be called."""
        traced = None
        if self._tracer is not None and is_sampled(delivery.envelope.trace):
            try:
                traced = self._tracer.run(delivery, consumer)
            except Exception:
                _log.exception("a run could not be traced")
        return _Run(self.metrics, delivery, consumer, traced)

    def committing(self, written: Sequence[Written]) -> None:
        """A transaction is about to be written."""
        if self._tracer is not None:
            try:
                self._tracer.committing(written)
            except Exception:
                _log.exception("a transaction could not be traced")

    def committed(
        self, written: Sequence[Written], results: Sequence[Rejected | None], began: float, ended: float
    ) -> None:
        """A transaction is durable."""
        try:
            self.metrics.committed(written, results, began, ended, self._now())
            if self._tracer is not None:
                self._tracer.committed(written, results, began, ended)
        except Exception:  # a bug in here must not keep the transaction from being told
            _log.exception("a transaction could not be counted")

    async def exposition(self, accept: str, copies: Copies | None = None) -> tuple[bytes, str] | None:
        """What was counted, and how the engine stands now."""
        if self._engine is not None:
            self._exposition.standing = await self._engine.standing()
        self._exposition.copies = copies
        return self._exposition.text(accept)

    def close(self) -> None:
        """Send the spans that are still here."""
        if self._tracer is not None:
            self._tracer.close()
