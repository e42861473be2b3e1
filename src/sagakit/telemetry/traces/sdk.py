"""Spans through OpenTelemetry's SDK: its samplers, its processors and its exporters. Needs the extra `otel`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.metadata import version

from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SynchronousMultiSpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    Decision,
    ParentBased,
    Sampler,
    TraceIdRatioBased,
)
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, NonRecordingSpan, SpanKind, Status, StatusCode, set_span_in_context

from sagakit.errors import TerminalError
from sagakit.telemetry.traces.current import context_of
from sagakit.telemetry.traces.places import Place
from sagakit.telemetry.traces.spans import Span

_KINDS = {kind.name.lower(): kind for kind in SpanKind}
_UNSET = Status(StatusCode.UNSET)


class UnknownExporter(TerminalError):
    """The environment asks for an exporter that is not known here."""


class SdkSink:
    """Hands spans to a provider's processors as if the provider had made them."""

    def __init__(self, provider: TracerProvider, processors: SynchronousMultiSpanProcessor) -> None:
        self.provider = provider
        self._processors = processors
        self._resource = provider.resource
        self._bound = _root_bound(provider.sampler)
        self._scope = InstrumentationScope("sagakit", version("sagakit"))

    def samples(self, parent: Place | None, trace_id: str, name: str) -> bool:
        """Whether a story that begins here is to be traced, as the provider's sampler says."""
        context = None
        if parent is None and self._bound is not None:
            return int(trace_id[16:], 16) < self._bound
        if parent is not None:
            context = set_span_in_context(NonRecordingSpan(context_of(parent, remote=True)))
        found = self.provider.sampler.should_sample(context, int(trace_id, 16), name, SpanKind.PRODUCER)
        return found.decision is Decision.RECORD_AND_SAMPLE

    def emit(self, span: Span) -> None:
        """A span has ended."""
        self._processors.on_end(
            ReadableSpan(
                span.name,
                context=context_of(span.place),
                parent=None if span.parent is None else context_of(span.parent),
                resource=self._resource,
                attributes=span.attributes,
                events=[Event(event.name, event.attributes, event.at) for event in span.events],
                links=[Link(context_of(place)) for place in span.links],
                kind=_KINDS[span.kind],
                status=_UNSET if span.error is None else Status(StatusCode.ERROR, span.error),
                start_time=span.began,
                end_time=span.ended,
                instrumentation_scope=self._scope,
            )
        )

    def close(self) -> None:
        """Send what is still here."""
        self.provider.shutdown()


def _root_bound(sampler: Sampler) -> int | None:
    """Below which the last half of a new trace's id has to be; None where a sampler has to be asked.

    To ask one costs more than all else that is done for a story that is not sampled.
    """
    root = getattr(sampler, "_root", sampler) if isinstance(sampler, ParentBased) else sampler
    if isinstance(root, TraceIdRatioBased):
        return root.bound
    return 1 << 64 if root is ALWAYS_ON else 0 if root is ALWAYS_OFF else None


def sink_from_environment(service: str) -> SdkSink:
    """What the standard OTEL_* variables ask for; the service is named so where they do not name it."""
    environment = os.environ
    named = SERVICE_NAME in environment.get("OTEL_RESOURCE_ATTRIBUTES", "") or "OTEL_SERVICE_NAME" in environment
    resource = Resource.create({} if named else {SERVICE_NAME: service})
    processors = SynchronousMultiSpanProcessor()
    provider = TracerProvider(resource=resource, active_span_processor=processors, shutdown_on_exit=False)
    for name in environment.get("OTEL_TRACES_EXPORTER", "otlp").split(","):
        provider.add_span_processor(BatchSpanProcessor(_exporter(name.strip(), environment)))
    return SdkSink(provider, processors)


def _exporter(name: str, environment: Mapping[str, str]) -> SpanExporter:
    if name == "console":
        return ConsoleSpanExporter()
    if name != "otlp":
        raise UnknownExporter(f"OTEL_TRACES_EXPORTER={name}: otlp, console and none are known")
    general = environment.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    match environment.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", general):
        case "grpc":
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        case "http/protobuf":
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        case other:
            raise UnknownExporter(f"OTEL_EXPORTER_OTLP_PROTOCOL={other}: grpc and http/protobuf are known")
    return OTLPSpanExporter()
