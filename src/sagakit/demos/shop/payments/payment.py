"""Payments: two handlers whose effects are outside the store, at the card provider."""

from __future__ import annotations

from collections.abc import AsyncIterator

from sagakit import Context, Module, Retry
from sagakit.demos.shop.payments.cards import Books, Cards, Declined
from sagakit.demos.shop.payments.messages import (
    ChargePayment,
    PaymentCharged,
    PaymentDeclined,
    PaymentRefunded,
    RefundPayment,
)

payments = Module("payments")

PATIENT = Retry(8, first=0.2, cap=60)


@payments.provides
def books() -> Books:
    """None: unless it is given others, the provider forgets when the engine stops."""
    return Books()


@payments.provides
async def cards(books: Books) -> AsyncIterator[Cards]:
    """The provider, open while the engine runs."""
    cards = Cards(books)
    try:
        yield cards
    finally:
        cards.close()


@payments.handles(retry=PATIENT, timeout=30)
async def charge(command: ChargePayment, cards: Cards, context: Context) -> PaymentCharged | PaymentDeclined:
    """May run again after a crash: the provider knows the key then, and charges nothing more."""
    try:
        payment_id = await cards.charge(command.order_id, command.total, idempotency_key=context.idempotency_key)
    except Declined as declined:
        context.log.debug("declined", reason=str(declined))
        return PaymentDeclined(command.order_id, str(declined))
    return PaymentCharged(command.order_id, payment_id, command.total)


@payments.handles(retry=PATIENT, timeout=30)
async def refund(command: RefundPayment, cards: Cards) -> PaymentRefunded:
    """Whatever was charged for the order; also when the answer to the charge was lost."""
    return PaymentRefunded(command.order_id, await cards.refund(command.order_id))
