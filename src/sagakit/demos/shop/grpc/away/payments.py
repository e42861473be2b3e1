"""Payments, as the gateway has them."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from sagakit import Module
from sagakit.demos.shop.grpc.away.patience import UNTIL_IT_IS_BACK, WITHIN
from sagakit.demos.shop.grpc.beyond import read_outcome
from sagakit.demos.shop.grpc.generated.payment_pb2 import ChargeRequest, ChargeResponse, RefundRequest, RefundResponse
from sagakit.demos.shop.grpc.generated.payment_pb2_grpc import PaymentStub
from sagakit.demos.shop.payments.account import tell_payment
from sagakit.demos.shop.payments.cards import NOTHING
from sagakit.demos.shop.payments.messages import (
    ChargePayment,
    PaymentCharged,
    PaymentDeclined,
    PaymentRefunded,
    RefundPayment,
)
from sagakit.transports.grpc import Metadata, connected, unary


def charge_request(command: ChargePayment) -> ChargeRequest:
    """The amount as the double that it has to be."""
    return ChargeRequest(order_id=command.order_id, amount=float(command.total))


def charged(reply: ChargeResponse, command: ChargePayment, metadata: Metadata) -> PaymentCharged | PaymentDeclined:
    """Charged, or not."""
    if reply.success:
        return read_outcome(metadata, PaymentCharged(command.order_id, "", command.total))
    return read_outcome(metadata, PaymentDeclined(command.order_id, "payment declined"))


def refund_request(command: RefundPayment) -> RefundRequest:
    """Whatever was charged."""
    return RefundRequest(order_id=command.order_id)


def refunded(reply: RefundResponse, command: RefundPayment, metadata: Metadata) -> PaymentRefunded:
    """Given back, whatever it was."""
    return read_outcome(metadata, PaymentRefunded(command.order_id, NOTHING))


def payments_at(address: str) -> Module:
    """The module whose commands are calls of the service at this address."""
    module = Module("payments")
    handles = module.handles(retry=UNTIL_IT_IS_BACK, timeout=WITHIN)
    handles(unary(PaymentStub, "Charge", command=ChargePayment, request=charge_request, response=charged))
    handles(unary(PaymentStub, "Refund", command=RefundPayment, request=refund_request, response=refunded))
    module.on(key="order_id")(tell_payment)

    @module.provides
    async def stub() -> AsyncGenerator[PaymentStub]:
        async with connected(address) as channel:
            yield PaymentStub(channel)

    return module
