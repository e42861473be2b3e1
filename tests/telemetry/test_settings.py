"""What the environment asks for."""

from __future__ import annotations

import pytest

from sagakit.telemetry.settings import traces_wanted
from sagakit.telemetry.traces.sdk import UnknownExporter, sink_from_environment

PLACE = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "shop", "OTEL_TRACES_SAMPLER": "always_on"}, False),
        (PLACE, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://localhost:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
        (PLACE | {"OTEL_TRACES_EXPORTER": "none"}, False),
        (PLACE | {"OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_traces_are_off_until_something_says_where_they_go(environment: dict[str, str], wanted: bool) -> None:
    assert traces_wanted(environment) is wanted


@pytest.mark.parametrize(
    ("variable", "value"), [("OTEL_TRACES_EXPORTER", "zipkin"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")]
)
def test_what_is_not_known_is_said(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(UnknownExporter, match=f"{variable}={value}"):
        sink_from_environment("shop")


@pytest.mark.parametrize(("ratio", "sampled"), [("0.0", 0), ("1.0", 200), ("0.5", 100)])
def test_the_standard_samplers_decide(ratio: str, sampled: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", ratio)
    sink = sink_from_environment("shop")
    ids = [f"{1:016x}{number << 56 | 1:016x}" for number in range(256)]
    try:
        taken = sum(sink.samples(None, id, "send") for id in ids) * 200 / 256
        assert abs(taken - sampled) < 2
        assert sink.provider.resource.attributes["service.name"] == "shop"
    finally:
        sink.close()
