"""The span of a request that is being answered, by OpenTelemetry's conventions for RPC."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import grpc
from opentelemetry.propagate import extract
from opentelemetry.trace import ProxyTracerProvider, Span, SpanKind, StatusCode, get_tracer_provider

from sagakit.transports.calling import traceparent
from sagakit.transports.grpc.metadata import TRACEPARENT, Metadata, trace_of

_FAULTS = frozenset(
    {
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)
"""The server's own: the conventions count no other status of an answer as its error."""


@dataclass(frozen=True)
class Asked:
    """A request's place in a trace."""

    trace: str | None
    """The W3C traceparent of what the request leads to; None: it belongs to no trace."""
    span: Span | None = None

    def answered(self, code: grpc.StatusCode, details: str = "") -> None:
        """How it is answered."""
        if self.span is None:
            return
        number, _ = code.value
        self.span.set_attribute("rpc.grpc.status_code", number)
        if code in _FAULTS:
            self.span.set_status(StatusCode.ERROR, details or None)
            self.span.set_attribute("error.type", code.name)


@contextmanager
def asked(method: str, metadata: Metadata) -> Generator[Asked]:
    """A request to `method` (`/package.Service/Method`) is answered within the block, in a span where spans are taken.

    Only in a trace of its caller's: who asks without one may just be looking, and what does begin a story has a span
    when its command is sent.
    """
    provider, sent = get_tracer_provider(), trace_of(metadata)
    service, _, name = method.removeprefix("/").rpartition("/")
    if sent is None or isinstance(provider, ProxyTracerProvider):
        yield Asked(sent)
        return
    attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name}
    before = extract({TRACEPARENT: sent})
    tracer = provider.get_tracer("sagakit.transports")
    with tracer.start_as_current_span(
        f"{service}/{name}",
        before,
        kind=SpanKind.SERVER,
        attributes=attributes,
        record_exception=False,  # a status that a service gives is no fault of its own
        set_status_on_exception=False,
    ) as span:
        yield Asked(traceparent(span) or sent, span)
