"""Payments: a module of its own, with its messages and two service handlers."""

from msgspec import Struct
from sagakit import Module

payments = Module("payments")


class ChargePayment(Struct, frozen=True):
    order_id: str
    total: int


class PaymentCharged(Struct, frozen=True):
    order_id: str


class PaymentDeclined(Struct, frozen=True):
    order_id: str
    reason: str


class RefundPayment(Struct, frozen=True):
    order_id: str


class PaymentRefunded(Struct, frozen=True):
    order_id: str


@payments.handles
async def charge(command: ChargePayment) -> PaymentCharged | PaymentDeclined:
    if command.total > 500:
        return PaymentDeclined(command.order_id, f"{command.total} is above the limit of 500")
    return PaymentCharged(command.order_id)


@payments.handles
async def refund(command: RefundPayment) -> PaymentRefunded:
    return PaymentRefunded(command.order_id)
