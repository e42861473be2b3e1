"""A server of one's own: who asks, how it is told errors, whether it serves, and its end."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tests.transports.grpc.payments import Service, adding, charges

from sagakit import Busy, InvalidMessage, KeyInFlight, KeyReused, NotFound, Refused, Stopping, WaitTimeout
from sagakit.demos.shop.grpc.generated.payment_pb2 import ChargeRequest
from sagakit.demos.shop.grpc.generated.payment_pb2_grpc import PaymentStub
from sagakit.transports.grpc import connected, current, serving
from sagakit.transports.grpc.answering.serving import CannotServe

HEALTHY, SICK = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


def to(port: int) -> Any:
    return connected(f"127.0.0.1:{port}", options=[("grpc.enable_http_proxy", 0)])


async def test_what_a_request_says_of_itself_is_read() -> None:
    service = Service()
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with serving("127.0.0.1:0", adding(service)) as served, to(served.port) as channel:
        stub = PaymentStub(channel)
        await stub.Charge(
            ChargeRequest(),
            metadata=(("x-request-id", "r-1"), ("x-idempotency-key", "k-1"), ("traceparent", trace), ("more", "yes")),
        )
        await stub.Charge(ChargeRequest(), metadata=(("x-idempotency-key", "k" * 256), ("traceparent", "00-bad-01")))
    first, second = service.charged
    assert (first.request_id, first.idempotency_key, first.trace, first.undoes) == ("r-1", "k-1", trace, None)
    assert first.metadata["more"] == "yes"
    assert (second.request_id, second.idempotency_key, second.trace) == (None, None, None)
    with pytest.raises(LookupError):
        current()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidMessage("x"), "INVALID_ARGUMENT"),
        (KeyReused("x"), "INVALID_ARGUMENT"),
        (NotFound("x"), "NOT_FOUND"),
        (Refused("x"), "FAILED_PRECONDITION"),
        (KeyInFlight("x"), "ABORTED"),
        (Stopping("x"), "UNAVAILABLE"),
        (WaitTimeout("x"), "DEADLINE_EXCEEDED"),
    ],
)
async def test_an_error_is_told_as_a_status(error: Exception, code: str) -> None:
    found = await told(error)
    assert (found.code().name, found.details()) == (code, "x")


async def test_a_service_that_has_too_much_to_do_says_when_to_come_back() -> None:
    found = await told(Busy(9, retry_after=1.5))
    assert found.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert dict(found.trailing_metadata() or ())["grpc-retry-pushback-ms"] == "1500"


async def test_what_nobody_foresaw_is_told_to_nobody_but_the_log() -> None:
    found = await told(RuntimeError("the password is rosebud"))
    assert found.code() is grpc.StatusCode.UNKNOWN
    assert "rosebud" not in (found.details() or "")


async def told(error: Exception) -> grpc.aio.AioRpcError:
    async def raises(request: Any, context: Any) -> Any:
        raise error

    async with serving("127.0.0.1:0", adding(Service([raises]))) as served, to(served.port) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await PaymentStub(channel).Charge(ChargeRequest())
    return caught.value


async def test_health_says_whether_requests_can_be_answered() -> None:
    hindrance: str | None = None
    async with serving("127.0.0.1:0", adding(Service()), ready=lambda: hindrance) as served, to(served.port) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)

        async def asked(service: str) -> Any:
            return (await stub.Check(health_pb2.HealthCheckRequest(service=service))).status

        assert (await asked(""), await asked("payment.v1.Payment")) == (HEALTHY, HEALTHY)
        watch = stub.Watch(health_pb2.HealthCheckRequest(service="payment.v1.Payment"))
        assert (await watch.read()).status == HEALTHY
        hindrance = "the store is away"
        assert await asked("payment.v1.Payment") == SICK
        assert (await watch.read()).status == SICK
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await asked("payment.v1.Other")
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        watch.cancel()


async def test_reflection_names_the_services() -> None:
    async with serving("127.0.0.1:0", adding(Service())) as served, to(served.port) as channel:
        assert served.services == ("payment.v1.Payment",)
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
        (answer,) = [answer async for answer in call]
    assert {one.name for one in answer.list_services_response.service} == {
        "payment.v1.Payment",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }


async def test_what_is_being_answered_at_the_end_is_answered() -> None:
    goes_on = asyncio.Event()
    service = Service()

    async def waits(request: Any, context: Any) -> Any:
        await goes_on.wait()
        return await charges(request, context)

    service.script.append(waits)
    async with serving("127.0.0.1:0", adding(service)) as served, to(served.port) as channel:
        answer = asyncio.ensure_future(_call(channel))
        await service.called.wait()
        stopping = asyncio.ensure_future(served.server.stop(10))
        goes_on.set()
        assert (await answer).success
        await stopping


async def _call(channel: Any) -> Any:
    return await PaymentStub(channel).Charge(ChargeRequest())


async def test_an_address_that_is_taken_is_told_in_a_line() -> None:
    async with serving("127.0.0.1:0", adding(Service())) as served:
        with pytest.raises(CannotServe, match=rf"127\.0\.0\.1:{served.port} cannot be served"):
            async with serving(f"127.0.0.1:{served.port}", adding(Service())):
                pass
