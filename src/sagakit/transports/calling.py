"""The span of a call to the outside, where the story is traced. Every transport makes its calls inside one."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Literal, TypeAlias

from opentelemetry.trace import SpanKind, get_current_span, get_tracer

from sagakit.engine.handlers.context import Context

Kind: TypeAlias = Literal["client", "producer"]

_KINDS = {"client": SpanKind.CLIENT, "producer": SpanKind.PRODUCER}
_tracer = get_tracer("sagakit.transports")


@contextmanager
def calling(context: Context, name: str, attributes: Mapping[str, str], *, kind: Kind = "client") -> Generator[None]:
    """A call of this handler's lasts as long as the block: `context.trace` is its traceparent meanwhile.

    An exception that leaves the block is the call's. Costs next to nothing where nobody traces.
    """
    if not get_current_span().is_recording():
        yield
        return
    before = context.trace
    with _tracer.start_as_current_span(name, kind=_KINDS[kind], attributes=attributes) as span:
        made = span.get_span_context()
        if made.is_valid:
            context.trace = f"00-{made.trace_id:032x}-{made.span_id:016x}-{made.trace_flags:02x}"
        try:
            yield
        finally:
            context.trace = before
