"""The span of a call to the outside."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from sagakit.core.commit import Delivery, Envelope
from sagakit.engine.handlers.context import Context
from sagakit.transports import calling as module
from sagakit.transports.calling import calling

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def _load(*_: Any) -> Any:
    raise NotImplementedError


def context() -> Context:
    envelope = Envelope("m", "command", "t.Ring", b"{}", "c", 0, trace=TRACE)
    return Context(Delivery(envelope, "t.ring", "m"), _load)


def test_nobody_traces() -> None:
    asked = context()
    with calling(asked, "GET /bells", {}):
        assert asked.trace == TRACE


def test_the_call_is_where_the_far_side_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    monkeypatch.setattr(module, "_tracer", tracer)
    asked = context()
    carried: list[str | None] = []

    def call_out() -> None:
        with calling(asked, "GET /bells", {"http.request.method": "GET"}):
            carried.append(asked.trace)
            raise ConnectionError("no line")

    with tracer.start_as_current_span("handler") as handler, pytest.raises(ConnectionError):
        call_out()
    call, _ = exporter.get_finished_spans()
    assert call.context is not None
    flags = f"{call.context.trace_flags:02x}"
    assert carried == [f"00-{call.context.trace_id:032x}-{call.context.span_id:016x}-{flags}"]
    assert call.parent == handler.get_span_context()
    assert (call.kind.name, call.status.is_ok) == ("CLIENT", False)
    assert asked.trace == TRACE
