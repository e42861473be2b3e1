"""A step that calls a service: what goes with the call, what comes of its answer, and what of a status."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from tests.each_store import ON_EACH_STORE, new_store
from tests.transports.grpc.payments import (
    Charge,
    Charged,
    Declined,
    Placed,
    Service,
    charged,
    shop,
    stub_of,
)

from sagakit import App
from sagakit.demos.shop.grpc.generated.payment_pb2 import ChargeRequest, ChargeResponse
from sagakit.demos.shop.grpc.generated.payment_pb2_grpc import PaymentStub
from sagakit.testing import engine
from sagakit.transports.grpc import CallRejected, connected, text_value, unary

pytestmark = ON_EACH_STORE

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def aborts(code: grpc.StatusCode, *metadata: tuple[str, str]) -> Any:
    async def answer(request: Any, context: Any) -> Any:
        await context.abort(code, "as the test says", metadata)

    return answer


async def ended(service: Service, app: App | None = None, *, advance: float = 0) -> tuple[str, list[Any]]:
    """How an order ended, and the messages of its story."""
    store = new_store()
    app = app or shop()
    async with stub_of(service) as stub, engine(app, store=store, provide={PaymentStub: stub}) as running:
        await running.publish(Placed("o-1"), trace=TRACE)
        await running.settle()
        if advance:
            await running.advance(seconds=advance)
            await running.settle()
        status = await running.status("shop.order", "o-1")
        codecs = app.topology(provide={PaymentStub}).codecs
        story = await running.store.read_messages()
        return status, [codecs.decode(one.type, one.version, one.payload) for one in story if one.type[:5] == "shop."]


async def test_an_answer_is_the_outcome_of_the_step() -> None:
    service = Service()
    assert await ended(service) == ("completed", [Placed("o-1"), Charge("o-1", 9.0), Charged("o-1")])


async def test_the_answer_may_say_more_in_its_trailing_metadata() -> None:
    async def declines(request: ChargeRequest, context: Any) -> ChargeResponse:
        context.set_trailing_metadata((text_value("reason", "zu teuer für Ann"),))
        return ChargeResponse(success=False)

    status, story = await ended(Service([declines]))
    assert (status, story[2]) == ("compensated", Declined("o-1", "zu teuer für Ann"))


async def test_a_call_carries_who_it_is_and_what_led_to_it() -> None:
    service = Service([aborts(grpc.StatusCode.UNAVAILABLE), aborts(grpc.StatusCode.INVALID_ARGUMENT)])
    status, _ = await ended(service, advance=1)
    assert status == "compensated"
    first, second = service.charged
    (undo,) = service.refunded
    assert first.method == "/payment.v1.Payment/Charge"
    assert first.idempotency_key
    assert first.idempotency_key == second.idempotency_key == undo.undoes
    assert undo.idempotency_key not in (None, first.idempotency_key)
    assert (first.request_id, second.request_id) == (f"{first.idempotency_key}.1", f"{first.idempotency_key}.2")
    assert first.correlation_id == first.causation_id, "it was led to by the event that began the story"
    assert undo.correlation_id == first.correlation_id
    assert first.trace == undo.trace == TRACE
    assert first.undoes is None


RETRYABLE = ["CANCELLED", "UNKNOWN", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED", "INTERNAL", "UNAVAILABLE"]


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
async def test_a_status_is_retried_or_ends_the_step(code: grpc.StatusCode) -> None:
    service = Service([aborts(code)])
    status, _ = await ended(service, advance=1)
    if code.name in RETRYABLE:
        assert (status, len(service.charged), len(service.refunded)) == ("completed", 2, 0)
    else:
        assert (status, len(service.charged), len(service.refunded)) == ("compensated", 1, 1), "may have been done"


async def test_which_statuses_are_retried_can_be_said() -> None:
    service = Service([aborts(grpc.StatusCode.NOT_FOUND), aborts(grpc.StatusCode.UNAVAILABLE)])
    status, _ = await ended(service, shop(retryable={grpc.StatusCode.NOT_FOUND}), advance=1)
    assert (status, len(service.charged)) == ("compensated", 2)


async def test_a_status_may_be_a_declared_refusal() -> None:
    def refused(error: CallRejected, command: Charge) -> Declined | None:
        return Declined(command.order_id, error.details) if error.code.name == "FAILED_PRECONDITION" else None

    service = Service([aborts(grpc.StatusCode.FAILED_PRECONDITION)])
    status, story = await ended(service, shop(refused=refused))
    assert (status, story[2]) == ("compensated", Declined("o-1", "as the test says"))
    assert service.refunded == [], "known not done"
    service = Service([aborts(grpc.StatusCode.PERMISSION_DENIED)])
    assert (await ended(service, shop(refused=refused)))[0] == "compensated"
    assert len(service.refunded) == 1


async def test_a_service_may_ask_to_be_left_alone_for_a_while() -> None:
    for advance, calls in ((6.9, 1), (7.0, 2)):
        service = Service([aborts(grpc.StatusCode.UNAVAILABLE, ("grpc-retry-pushback-ms", "7000"))])
        await ended(service, advance=advance)
        assert len(service.charged) == calls


@pytest.mark.parametrize("asked", ["-1", "soon"])
async def test_a_service_may_ask_for_no_further_attempt(asked: str) -> None:
    service = Service([aborts(grpc.StatusCode.UNAVAILABLE, ("grpc-retry-pushback-ms", asked))])
    status, _ = await ended(service, advance=60)
    assert (status, len(service.charged)) == ("compensated", 1)


async def test_the_deadline_is_what_the_handler_may_take() -> None:
    for timeout, most in ((20.0, 20.0), (None, 30.0)):
        service = Service()
        await ended(service, shop(timeout=timeout))
        assert most - 9 < service.left[0] < most + 0.5, "gRPC's clocks differ a little"


async def test_a_step_that_is_given_up_cancels_its_call() -> None:
    service = Service()
    service.script.append(service.hangs)
    app = shop(patience=5)
    async with stub_of(service) as stub, engine(app, provide={PaymentStub: stub}) as running:
        await running.publish(Placed("o-1"))
        await service.called.wait()
        await running.advance(seconds=5)
        await service.cancelled.wait()
        await running.settle()
        assert await running.status("shop.order", "o-1") == "compensated"
        assert len(service.refunded) == 1


async def test_a_service_that_is_not_there_is_tried_again() -> None:
    async with (
        connected("127.0.0.1:1", options=[("grpc.enable_http_proxy", 0)]) as channel,
        engine(shop(), provide={PaymentStub: PaymentStub(channel)}) as running,
    ):
        await running.publish(Placed("o-1"))
        await running.settle()
        assert await running.status("shop.order", "o-1") == "running"
        (waiting,) = await running.store.read_deliveries()
        assert waiting.state == "retrying"
        assert (waiting.error or "").startswith("CallFailed: UNAVAILABLE: ")


async def test_a_test_may_give_a_stub_of_its_own() -> None:
    class Stub:
        async def Charge(self, request: ChargeRequest, *, timeout: float, metadata: object) -> ChargeResponse:
            return ChargeResponse(success=request.amount < 10)

    async with engine(shop(), provide={PaymentStub: Stub()}) as running:
        await running.publish(Placed("o-1"))
        await running.settle()
        assert await running.status("shop.order", "o-1") == "completed"


# ---------------------------------------------------------------------- declaring


def bound(method: str = "Charge", **options: Any) -> Any:
    given = {"request": lambda command: ChargeRequest(), "response": charged, **options}
    return unary(PaymentStub, method, command=Charge, **given)


def test_a_handler_is_named_after_its_method_or_as_it_is_told() -> None:
    assert bound().__name__ == "charge"
    assert bound(name="charge_by_card").__name__ == "charge_by_card"


def test_an_app_knows_what_it_takes_asks_for_and_leads_to() -> None:
    app = shop()
    handler = app.topology(provide={PaymentStub}).handlers[Charge]
    assert handler.name == "shop.charge"
    assert handler.outcomes == {Charged, Declined}
    with pytest.raises(Exception, match="PaymentStub"):
        app.check()


def test_a_method_that_is_not_there_is_told_at_once() -> None:
    with pytest.raises(TypeError, match=r"PaymentStub has no method 'Chage': it has Charge, Refund"):
        bound("Chage")


def test_a_method_that_streams_is_no_command() -> None:
    class Watcher:
        def __init__(self, channel: Any) -> None:
            self.Watch = channel.unary_stream("/w.v1.Watcher/Watch")

    with pytest.raises(TypeError, match=r"Watcher\.Watch streams"):
        unary(Watcher, "Watch", command=Charge, request=lambda command: None, response=charged)


def test_what_does_not_say_its_outcomes_is_told_at_once() -> None:
    with pytest.raises(TypeError, match=r"PaymentStub\.Charge: a lambda does not say what it returns"):
        bound(response=lambda reply, command: Charged(command.order_id))
