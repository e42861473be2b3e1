"""The span of a request that is answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.transports.grpc.payments import Service, adding

from sagakit import Refused
from sagakit.demos.shop.grpc.generated.payment_pb2 import ChargeRequest
from sagakit.demos.shop.grpc.generated.payment_pb2_grpc import PaymentStub
from sagakit.transports.grpc import connected, serving
from sagakit.transports.grpc.answering import tracing

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Callable[[], tuple[ReadableSpan, ...]]:
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "get_tracer_provider", lambda: provider)
    return exporter.get_finished_spans


async def charge(service: Service) -> None:
    async with serving("127.0.0.1:0", adding(service)) as served:
        to: Any = connected(f"127.0.0.1:{served.port}", options=[("grpc.enable_http_proxy", 0)])
        async with to as channel:
            await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
            await PaymentStub(channel).Charge(ChargeRequest(), metadata=(("traceparent", TRACE),))


async def test_it_is_under_the_caller_and_what_is_led_to_is_under_it(
    exported: Callable[[], tuple[ReadableSpan, ...]],
) -> None:
    service = Service()
    await charge(service)
    (span,) = exported()  # the check of health came without a trace
    assert span.context is not None
    assert span.parent is not None
    assert (span.name, span.kind.name, span.status.is_ok) == ("payment.v1.Payment/Charge", "SERVER", True)
    assert dict(span.attributes or {}) == {
        "rpc.system": "grpc",
        "rpc.service": "payment.v1.Payment",
        "rpc.method": "Charge",
        "rpc.grpc.status_code": 0,
    }
    assert f"00-{span.parent.trace_id:032x}-{span.parent.span_id:016x}-01" == TRACE
    assert service.charged[0].trace == f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-01"


@pytest.mark.parametrize(("error", "code", "fault"), [(Refused("no"), 9, False), (RuntimeError("x"), 2, True)])
async def test_how_it_was_answered(
    error: Exception, code: int, fault: bool, exported: Callable[[], tuple[ReadableSpan, ...]]
) -> None:
    async def fail(*_: Any) -> Any:
        raise error

    service = Service([fail])
    with pytest.raises(grpc.aio.AioRpcError):
        await charge(service)
    (span,) = exported()
    assert span.attributes is not None
    assert span.attributes["rpc.grpc.status_code"] == code
    assert (span.status.status_code.name == "ERROR", span.attributes.get("error.type")) == (
        fault,
        "UNKNOWN" if fault else None,
    )


async def test_nobody_takes_spans() -> None:
    service = Service()
    await charge(service)
    assert service.charged[0].trace == TRACE
