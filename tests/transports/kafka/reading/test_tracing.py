"""The span of a record that is taken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import format_trace_id
from tests.transports.kafka.doors import FakeDoors, Shipped, event

from sagakit import Busy, Module
from sagakit.errors import InvalidMessage
from sagakit.transports.kafka import CloudEvents, Kafka, Record
from sagakit.transports.kafka.reading import tracing

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACE = f"00-{TRACE_ID}-b7ad6b7169203331-01"
Exported = Callable[[], tuple[ReadableSpan, ...]]


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Exported:
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "get_tracer_provider", lambda: provider)
    return exporter.get_finished_spans


class TracedDoors(FakeDoors):
    """Doors that remember the traces that messages came with."""

    def __init__(self) -> None:
        super().__init__()
        self.open.set()
        self.traces: list[str | None] = []

    async def publish(self, event: Any, *, trace: str | None = None, **more: Any) -> Any:
        self.traces.append(trace)
        return await super().publish(event, **more)


def record(trace: str | None = TRACE, type: str = "orders.Shipped") -> Record:
    """A record as it was read from the third partition of its topic."""
    message = replace(CloudEvents().read(event(1)), trace=trace, correlation_id="story", type=type)
    return replace(CloudEvents().write("shipments", message), partition=2, offset=17)


async def take(doors: TracedDoors, one: Record, *, patiently: bool = False) -> None:
    module = Module("stock")
    Kafka("kafka://nowhere").consumes(module, "shipments", Shipped, of="orders", group="stock-keepers")
    (link,) = [link for link in module.declared.links if link.name == "kafka stock-keepers"]
    await link.take(doors, one, patiently=patiently)  # type: ignore[attr-defined]


async def test_it_is_under_its_producer_and_what_is_led_to_is_under_it(exported: Exported) -> None:
    doors = TracedDoors()
    await take(doors, record())
    (span,) = exported()
    assert span.context is not None
    assert span.parent is not None
    assert (span.name, span.kind.name, span.status.is_ok) == ("process shipments", "CONSUMER", True)
    assert dict(span.attributes or {}) == {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.destination.name": "shipments",
        "messaging.destination.partition.id": "2",
        "messaging.kafka.offset": 17,
        "messaging.consumer.group.name": "stock-keepers",
        "messaging.message.id": "id-1",
        "messaging.message.conversation_id": "story",
    }
    assert (format_trace_id(span.parent.trace_id), f"{span.parent.span_id:016x}") == (TRACE_ID, "b7ad6b7169203331")
    assert doors.traces == [f"00-{TRACE_ID}-{span.context.span_id:016x}-01"]


async def test_a_record_that_is_tried_again_has_one_span(exported: Exported) -> None:
    doors, failures = TracedDoors(), [Busy(9, 0.001), Busy(9, 0.001)]
    doors.fail = lambda message: failures.pop() if failures else None
    await take(doors, record(), patiently=True)
    (span,) = exported()
    assert (len(doors.traces), len(set(doors.traces)), span.status.is_ok) == (3, 1, True)


async def test_what_keeps_it_from_its_door_is_told(exported: Exported) -> None:
    doors = TracedDoors()
    doors.fail = lambda message: InvalidMessage("too late")
    with pytest.raises(InvalidMessage):
        await take(doors, record(), patiently=True)
    (span,) = exported()
    assert span.attributes is not None
    assert (span.status.is_ok, span.attributes["error.type"]) == (False, "sagakit.errors.InvalidMessage")


@pytest.mark.parametrize("trace", [None, TRACE.removesuffix("01") + "00", "no traceparent"])
async def test_a_record_outside_of_a_sampled_trace_has_none(trace: str | None, exported: Exported) -> None:
    doors = TracedDoors()
    await take(doors, record(trace))
    assert (doors.traces, exported()) == ([trace], ())


async def test_a_record_that_is_passed_over_has_none(exported: Exported) -> None:
    doors = TracedDoors()
    await take(doors, record(type="orders.Other"))
    assert (doors.traces, exported()) == ([], ())


async def test_nobody_takes_spans() -> None:
    doors = TracedDoors()
    await asyncio.gather(*(take(doors, record()) for _ in range(2)))
    assert doors.traces == [TRACE, TRACE]
