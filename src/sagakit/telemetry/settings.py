"""What the environment asks for: OpenTelemetry's standard variables. None of them set, nothing is traced."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager

import structlog
from opentelemetry.trace import set_tracer_provider

from sagakit.telemetry.telemetry import Telemetry
from sagakit.telemetry.traces.spans import Sink

ASKS = ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

_log = structlog.get_logger("sagakit.telemetry")


@contextmanager
def observing(service: str) -> Generator[Telemetry]:
    """An observer as the environment asks for it, while the block lasts. `service`: its name, unless it is given there.

    Spans of the user's own go the same way: the provider is made OpenTelemetry's.
    """
    telemetry = Telemetry(_sink(service) if traces_wanted(os.environ) else None)
    try:
        yield telemetry
    finally:
        telemetry.close()


def traces_wanted(environment: Mapping[str, str]) -> bool:
    """Whether anything says where spans are to go."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if environment.get("OTEL_TRACES_EXPORTER", "").strip() == "none":
        return False
    return any(environment.get(name) for name in ASKS)


def _sink(service: str) -> Sink | None:
    try:
        from sagakit.telemetry.traces.sdk import sink_from_environment
    except ImportError:
        _log.warning("nothing is traced: pip install 'sagakit[otel]'")
        return None
    sink = sink_from_environment(service)
    set_tracer_provider(sink.provider)
    return sink
