"""The span of a handler's run as OpenTelemetry's current one, so that what the handler calls belongs under it."""

from __future__ import annotations

from collections.abc import Mapping
from time import time_ns
from typing import Any

from opentelemetry.context import attach, detach
from opentelemetry.trace import Span as CurrentSpan
from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags, set_span_in_context

from sagakit.telemetry.traces.places import Place
from sagakit.telemetry.traces.spans import Event, Span, Value


def context_of(place: Place, *, remote: bool = False) -> SpanContext:
    """A place as OpenTelemetry knows it."""
    flags = TraceFlags(TraceFlags.SAMPLED if place.sampled else TraceFlags.DEFAULT)
    return SpanContext(int(place.trace_id, 16), int(place.span_id, 16), remote, flags)


class Current(CurrentSpan):
    """Takes what users' code says of the span that it runs in."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._context = context_of(span.place)

    def attach(self) -> object:
        """Make it the current one; `leave` takes what this returns."""
        return attach(set_span_in_context(self))

    def leave(self, token: Any) -> None:
        """It is the current one no more."""
        detach(token)

    # ------------------------------------------------------------------ what users' code may call

    def end(self, end_time: int | None = None) -> None:
        """Nothing: it ends with the run."""

    def get_span_context(self) -> SpanContext:
        return self._context

    def is_recording(self) -> bool:
        return True

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        for key, value in attributes.items():
            self.set_attribute(key, value)

    def set_attribute(self, key: str, value: Any) -> None:
        self._span.attributes[key] = value

    def add_event(self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None) -> None:
        taken: dict[str, Value] = dict(attributes or {})
        self._span.events.append(Event(name, timestamp or time_ns(), taken))

    def update_name(self, name: str) -> None:
        self._span.name = name

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        code = status.status_code if isinstance(status, Status) else status
        words = status.description if isinstance(status, Status) else description
        self._span.error = (words or "error") if code is StatusCode.ERROR else None

    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        name = f"{type(exception).__module__}.{type(exception).__qualname__}".removeprefix("builtins.")
        said = {"exception.type": name, "exception.message": str(exception)}
        self.add_event("exception", {**said, **(attributes or {})}, timestamp)
