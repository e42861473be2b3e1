"""What orders are asked, and what happens to them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TypeAlias

from sagakit.demos.shop.ids import OrderId


@dataclass(frozen=True)
class Item:
    """`price` is for one unit."""

    product_id: str
    quantity: int
    price: Decimal


@dataclass(frozen=True)
class PlaceOrder:
    """Who sends it reads the clock: deciding is pure."""

    order_id: OrderId
    customer_id: str
    items: tuple[Item, ...]
    at: datetime


@dataclass(frozen=True)
class ConfirmOrder:
    """All is reserved and paid."""

    order_id: OrderId
    at: datetime | None = None


@dataclass(frozen=True)
class CancelOrder:
    """It cannot be fulfilled, and `reason` says why."""

    order_id: OrderId
    reason: str = ""
    at: datetime | None = None


@dataclass(frozen=True)
class OrderPlaced:
    """An order stands, PENDING."""

    order_id: str
    customer_id: str
    items: tuple[Item, ...]
    total: Decimal
    placed_at: datetime


@dataclass(frozen=True)
class OrderConfirmed:
    """An order is CONFIRMED."""

    order_id: str
    at: datetime | None


@dataclass(frozen=True)
class OrderCancelled:
    """An order is CANCELLED; all that was done for it is undone."""

    order_id: str
    reason: str
    at: datetime | None


@dataclass(frozen=True)
class OrderRefused:
    """The refusal: what was asked does not fit the order's status."""

    order_id: str
    reason: str


OrderEvent: TypeAlias = OrderPlaced | OrderConfirmed | OrderCancelled | OrderRefused
