"""The span of a record that is taken, by OpenTelemetry's conventions for messaging."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace

from opentelemetry.propagate import extract
from opentelemetry.trace import ProxyTracerProvider, SpanKind, get_current_span, get_tracer_provider

from sagakit.transports.calling import traceparent
from sagakit.transports.kafka.form.wire import Record, WireMessage


@contextmanager
def taking(record: Record, message: WireMessage, group: str) -> Generator[WireMessage]:
    """A record is taken within the block, in a span where spans are taken: what it leads to stands under that.

    Only in a trace of its producer's: a record that comes without one begins its story at the door, which is where the
    sampler is asked. The key is left out: it may name a person.
    """
    provider = get_tracer_provider()
    if message.trace is None or isinstance(provider, ProxyTracerProvider):
        yield message
        return
    before = extract({"traceparent": message.trace})
    sent = get_current_span(before).get_span_context()
    if not (sent.is_valid and sent.trace_flags.sampled):
        yield message
        return
    attributes: dict[str, str | int] = {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.destination.name": record.topic,
        "messaging.destination.partition.id": str(record.partition),
        "messaging.kafka.offset": record.offset,
        "messaging.consumer.group.name": group,
        "messaging.message.id": message.id,
    }
    if message.correlation_id is not None:
        attributes["messaging.message.conversation_id"] = message.correlation_id
    tracer = provider.get_tracer("sagakit.transports")
    with tracer.start_as_current_span(
        f"process {record.topic}", before, kind=SpanKind.CONSUMER, attributes=attributes
    ) as span:
        made = traceparent(span) if span.is_recording() else None
        try:
            yield message if made is None else replace(message, trace=made)
        except Exception as error:
            span.set_attribute("error.type", f"{type(error).__module__}.{type(error).__qualname__}")
            raise
