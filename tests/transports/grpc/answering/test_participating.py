"""A service without an engine: its participant remembers what was asked, and what was undone before it came."""

from __future__ import annotations

from typing import Any

import grpc.aio
import pytest
from tests.each_store import ON_EACH_STORE
from tests.transports.grpc.payments import (
    Charge,
    Charged,
    Declined,
    Placed,
    Refund,
    Refunded,
    adding,
    shop,
)

from sagakit.demos.shop.grpc.generated.payment_pb2 import (
    ChargeRequest,
    ChargeResponse,
    RefundRequest,
    RefundResponse,
)
from sagakit.demos.shop.grpc.generated.payment_pb2_grpc import PaymentStub
from sagakit.participant import InMemory, Participant
from sagakit.testing import engine
from sagakit.transports.grpc import connected, done_by, serving


class Service:
    """Charges by a participant."""

    def __init__(self) -> None:
        self.participant = Participant("shop", memory=InMemory())
        self.did: list[Any] = []

        @self.participant.handles
        async def charge(command: Charge) -> Charged | Declined:
            self.did.append(command)
            return Charged(command.order_id) if command.amount < 10 else Declined(command.order_id, "too much")

        @self.participant.handles
        async def refund(command: Refund) -> Refunded:
            self.did.append(command)
            return Refunded(command.order_id)

    async def Charge(self, request: ChargeRequest, context: Any) -> ChargeResponse:
        event = await done_by(self.participant, Charge(request.order_id, request.amount))
        return ChargeResponse(success=isinstance(event, Charged))

    async def Refund(self, request: RefundRequest, context: Any) -> RefundResponse:
        await done_by(self.participant, Refund(request.order_id))
        return RefundResponse(success=True)


def keys(id: str, undoes: str | None = None) -> Any:
    return (("x-idempotency-key", id), *((("x-undoes", undoes),) if undoes else ()))


async def test_a_repeat_is_done_once_and_answered_alike() -> None:
    service = Service()
    async with (
        service.participant,
        serving("127.0.0.1:0", adding(service)) as served,
        connected(f"127.0.0.1:{served.port}") as channel,
    ):
        stub = PaymentStub(channel)
        for amount, success in ((9.0, True), (11.0, False)):
            request = ChargeRequest(order_id="o-1", amount=amount)
            answers = [(await stub.Charge(request, metadata=keys(f"k-{amount}"))).success for _ in range(3)]
            assert answers == [success] * 3
        assert len(service.did) == 2
        await stub.Charge(ChargeRequest(order_id="o-1", amount=9.0))
        await stub.Charge(ChargeRequest(order_id="o-1", amount=9.0))
        assert len(service.did) == 4, "without a key each is a request of its own"


async def test_what_was_undone_before_it_came_is_not_done() -> None:
    service = Service()
    async with (
        service.participant,
        serving("127.0.0.1:0", adding(service)) as served,
        connected(f"127.0.0.1:{served.port}") as channel,
    ):
        stub = PaymentStub(channel)
        assert (await stub.Refund(RefundRequest(order_id="o-1"), metadata=keys("u-1", undoes="k-1"))).success
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Charge(ChargeRequest(order_id="o-1", amount=9.0), metadata=keys("k-1"))
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert caught.value.details() == "it was undone before it came"
        assert service.did == []


@ON_EACH_STORE
async def test_a_saga_has_its_steps_done_by_a_participant() -> None:
    service = Service()
    async with (
        service.participant,
        serving("127.0.0.1:0", adding(service)) as served,
        connected(f"127.0.0.1:{served.port}") as channel,
        engine(shop(), provide={PaymentStub: PaymentStub(channel)}) as running,
    ):
        for order_id, amount, status in (("o-1", 9.0, "completed"), ("o-2", 11.0, "compensated")):
            await running.publish(Placed(order_id, amount))
            await running.settle()
            assert await running.status("shop.order", order_id) == status
