"""What payments is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from sagakit.demos.shop.ids import OrderId


@dataclass(frozen=True)
class ChargePayment:
    """Charge the customer's card."""

    order_id: OrderId
    total: Decimal


@dataclass(frozen=True)
class RefundPayment:
    """Give back what was charged for an order; nothing, if nothing was."""

    order_id: OrderId


@dataclass(frozen=True)
class PaymentCharged:
    """The card was charged."""

    order_id: str
    payment_id: str
    amount: Decimal


@dataclass(frozen=True)
class PaymentDeclined:
    """The refusal: nothing was charged."""

    order_id: str
    reason: str


@dataclass(frozen=True)
class PaymentRefunded:
    """`amount` is 0 if nothing had been charged."""

    order_id: str
    amount: Decimal
