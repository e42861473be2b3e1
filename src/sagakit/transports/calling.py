"""The span of a call to the outside, where the story is traced. Every transport makes its calls inside one."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Literal, TypeAlias

from opentelemetry.trace import Span, SpanKind, get_current_span, get_tracer

from sagakit.engine.handlers.context import Context

Kind: TypeAlias = Literal["client", "producer"]

_KINDS = {"client": SpanKind.CLIENT, "producer": SpanKind.PRODUCER}
_tracer = get_tracer("sagakit.transports")


@contextmanager
def calling(context: Context, name: str, attributes: Mapping[str, str], *, kind: Kind = "client") -> Generator[None]:
    """A call of this handler's lasts as long as the block: `context.trace` is its traceparent meanwhile.

    An exception that leaves the block is the call's. Costs next to nothing where nobody traces.
    """
    with called(name, attributes, kind=kind) as trace:
        if trace is None:
            yield
            return
        before, context.trace = context.trace, trace
        try:
            yield
        finally:
            context.trace = before


@contextmanager
def called(name: str, attributes: Mapping[str, str], *, kind: Kind = "client") -> Generator[str | None]:
    """A call lasts as long as the block, which is given its traceparent; None where nobody traces."""
    if not get_current_span().is_recording():
        yield None
        return
    with _tracer.start_as_current_span(name, kind=_KINDS[kind], attributes=attributes) as span:
        yield traceparent(span)


def traceparent(span: Span) -> str | None:
    """A span as those below it are told of it; None for one that is none."""
    made = span.get_span_context()
    return f"00-{made.trace_id:032x}-{made.span_id:016x}-{made.trace_flags:02x}" if made.is_valid else None
