"""Traces the stories that are sampled: at the door, in each run of a handler, and with each transaction."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from time import perf_counter, time_ns
from typing import TypeVar

from opentelemetry.trace import get_current_span

from sagakit.core.commit import Commit, Delivery, Envelope, Rejected
from sagakit.observer import Observed, Written
from sagakit.telemetry.traces.attributes import of_delivery, of_message, verb
from sagakit.telemetry.traces.current import Current
from sagakit.telemetry.traces.drafting import REMEMBERED, Drafting
from sagakit.telemetry.traces.places import Place, is_sampled, new_trace_id, place_of, span_id_of
from sagakit.telemetry.traces.spans import Event, Sink, Span

_K = TypeVar("_K")

MOST_LINKS = 100
"""Of the span of one transaction."""


class TracedRun:
    """One run of a user's handler, with its span as the current one."""

    def __init__(self, tracer: Tracer, delivery: Delivery, span: Span) -> None:
        self._tracer, self._delivery, self._span = tracer, delivery, span
        self._current = Current(span)
        self._token = self._current.attach()

    @property
    def trace(self) -> str:
        """What its outgoing calls carry."""
        return self._span.place.text()

    def end(self, error: BaseException | None) -> None:
        """It has ended: well, or by this error."""
        self._current.leave(self._token)
        self._span.ended = time_ns()
        if error is not None:
            self._span.fail(error, self._span.ended)
        self._tracer.ran(self._delivery, self._span)


class Tracer:
    """Makes spans. Of a story that is not sampled it looks at one character a message."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._drafting: Drafting | None = None
        self._system = ""
        self._accepting: OrderedDict[str, Span] = OrderedDict()
        self._failed: OrderedDict[int, Span] = OrderedDict()
        """Runs that have failed: what becomes of their deliveries is told next."""
        self._drafts: dict[int, list[Span]] = {}

    def observe(self, engine: Observed) -> None:
        """An engine begins."""
        self._drafting = Drafting(engine.roles, engine.clock.now)
        self._system = engine.system

    # ------------------------------------------------------------------ at the door

    def accepting(self, envelope: Envelope) -> None:
        """Give a message from outside its place, if its story is sampled: in the trace that it brings, or a new one."""
        parent = place_of(envelope.trace) or _current()
        name = f"send {envelope.type}"
        trace_id = new_trace_id() if parent is None else parent.trace_id
        if not self._sink.samples(parent, trace_id, name):
            return  # without a trace of its own: to store and index one costs more than all the rest
        place = Place(trace_id, span_id_of(envelope.id, "door"))
        envelope.trace = place.text()
        attributes, now = of_message(envelope, "send", "send"), time_ns()
        _keep(self._accepting, envelope.id, Span(name, "producer", place, parent, now, now, attributes))

    def accepted(self, envelope: Envelope, error: Exception | None, *, repeated: bool) -> None:
        """It is durable, or was refused."""
        span = self._accepting.pop(envelope.id, None)
        if span is None:
            return
        span.ended = time_ns()
        if error is not None:
            span.fail(error, span.ended)
        if repeated:
            span.attributes["sagakit.repeated"] = True
        self._sink.emit(span)

    # ------------------------------------------------------------------ runs

    def run(self, delivery: Delivery, consumer: str) -> TracedRun:
        """A handler is about to be called for a message whose story is sampled."""
        assert self._drafting is not None
        place, parent, links = self._drafting.handling(delivery, consumer)
        self._drafting.ran(delivery, consumer, place)
        name, now = f"{verb(delivery.envelope)} {delivery.envelope.type}", time_ns()
        span = Span(name, "consumer", place, parent, now, now, of_delivery(delivery), links=links)
        return TracedRun(self, delivery, span)

    def ran(self, delivery: Delivery, span: Span) -> None:
        """A run has ended."""
        if span.error is None:
            self._sink.emit(span)
        else:
            _keep(self._failed, delivery.id, span)

    def _failed_next(self, written: Written) -> None:
        """What becomes of a delivery whose run has failed."""
        retried = written.retried
        for delivery in written.handled if retried is None else (retried,):
            span = self._failed.pop(delivery.id, None)
            if span is None:
                continue
            change = next((one for one in written.commit.changes if one.fence.delivery == delivery.id), None)
            if change is None:
                span.events.append(Event("sagakit.given_up", span.ended, {}))
            elif change.state == "parked":
                span.events.append(Event("sagakit.parked", span.ended, {}))
            else:
                wait = max(change.due_at * 1000 - span.ended, 0) / 1_000_000
                said = {"sagakit.attempt": change.attempt, "sagakit.wait_ms": wait}
                span.events.append(Event("sagakit.retry", span.ended, {**said}))
            self._sink.emit(span)

    # ------------------------------------------------------------------ transactions

    def committing(self, written: Sequence[Written]) -> None:
        """Give the messages of a transaction their places."""
        assert self._drafting is not None
        for draft in written:
            if self._failed:
                self._failed_next(draft)
            if _is_traced(draft.commit):
                self._drafts[id(draft)] = self._drafting.spans(draft, time_ns())

    def committed(
        self, written: Sequence[Written], results: Sequence[Rejected | None], began: float, ended: float
    ) -> None:
        """A transaction is durable: its spans have ended."""
        if not self._drafts:
            return
        at = time_ns() - int((perf_counter() - ended) * 1e9)
        places: dict[Place, None] = {}
        for draft, result in zip(written, results, strict=True):
            spans = self._drafts.pop(id(draft), None)
            if spans is None or result is not None:
                continue
            place = place_of(draft.commit.messages[0].trace)
            if place is not None:
                places[place] = None
            for span in spans:
                span.ended = max(at, span.began)
                self._sink.emit(span)
        if places:
            self._commit(list(places), len(written), at - int((ended - began) * 1e9), at)

    def _commit(self, places: list[Place], size: int, began: int, ended: int) -> None:
        """The transaction itself, under the first story in it and linked to the others."""
        first, *others = places
        place = Place(first.trace_id, span_id_of(first.span_id, "commit", str(began)))
        attributes = {"db.system.name": self._system, "db.operation.name": "COMMIT", "db.operation.batch.size": size}
        links = tuple(others[:MOST_LINKS])
        self._sink.emit(Span("COMMIT", "client", place, first, began, ended, {**attributes}, [], links))

    def close(self) -> None:
        """Let go of what is still here."""
        for span in self._failed.values():
            self._sink.emit(span)
        self._sink.close()


def _is_traced(commit: Commit) -> bool:
    for message in commit.messages:  # the one loop that unsampled messages pass through
        trace = message.trace
        if trace is not None and is_sampled(trace):
            return True
    return False


def _current() -> Place | None:
    """Where the caller of the door stands, if his code is traced."""
    context = get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return Place(f"{context.trace_id:032x}", f"{context.span_id:016x}", context.trace_flags.sampled)


def _keep(spans: OrderedDict[_K, Span], key: _K, span: Span) -> None:
    spans[key] = span
    if len(spans) > REMEMBERED:
        spans.popitem(last=False)
