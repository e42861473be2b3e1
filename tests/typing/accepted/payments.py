"""Payments: handlers with effects outside, and what they ask for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Protocol

import httpx
from tests.typing.accepted.messages import (
    ChargePayment,
    PaymentCharged,
    PaymentDeclined,
    PaymentRefunded,
    RefundPayment,
)

from sagakit import AtOnce, Context, Module, Rate, Retry, TerminalError

payments = Module("payments")


class Cards(Protocol):
    async def charge(self, amount: Decimal, *, idempotency_key: str) -> str | None: ...
    async def refund(self, order_id: str, payment_id: str | None) -> None: ...


class HttpCards:
    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def charge(self, amount: Decimal, *, idempotency_key: str) -> str | None:
        headers = {"Idempotency-Key": idempotency_key}
        answer = await self.client.post("/charges", json={"amount": str(amount)}, headers=headers)
        return answer.json()["id"] if answer.is_success else None

    async def refund(self, order_id: str, payment_id: str | None) -> None:
        await self.client.post("/refunds", json={"order_id": order_id, "payment_id": payment_id})


@payments.provides
async def cards() -> AsyncIterator[Cards]:
    async with httpx.AsyncClient(base_url="https://cards.example") as client:
        yield HttpCards(client)


@payments.handles(
    retry=Retry(8, first=0.2, cap=60, never=TerminalError),
    timeout=timedelta(seconds=30),
    at_once=[10, AtOnce(2, key="order_id")],
    rate=Rate(100, per=timedelta(seconds=1), burst=10),
)
async def charge(command: ChargePayment, cards: Cards, context: Context) -> PaymentCharged | PaymentDeclined:
    payment_id = await cards.charge(command.total, idempotency_key=context.idempotency_key)
    if payment_id is None:
        return PaymentDeclined(command.order_id, "declined by the bank")
    return PaymentCharged(command.order_id, payment_id)


@payments.handles(
    key="order_id", at_once=5, retry=[Retry(3, on=ConnectionError), Retry(None, first=timedelta(seconds=1))]
)
async def refund(command: RefundPayment, cards: Cards) -> PaymentRefunded:
    await cards.refund(command.order_id, command.payment_id)
    return PaymentRefunded(command.order_id)


def decorated_function_keeps_its_type() -> None:
    # a decorated handler stays the function that it is
    refunding = refund(RefundPayment("o-1"), HttpCards(httpx.AsyncClient()))
    refunding.close()
