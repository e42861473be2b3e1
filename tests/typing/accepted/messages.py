"""What orders, inventory and payments say to each other."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias


@dataclass(frozen=True)
class Item:
    product_id: str
    quantity: int
    price: Decimal


@dataclass(frozen=True)
class PlaceOrder:
    order_id: str
    customer_id: str
    items: tuple[Item, ...]


@dataclass(frozen=True)
class ConfirmOrder:
    order_id: str


@dataclass(frozen=True)
class CancelOrder:
    order_id: str
    reason: str = ""


@dataclass(frozen=True)
class OrderPlaced:
    order_id: str
    customer_id: str
    items: tuple[Item, ...]
    total: Decimal


@dataclass(frozen=True)
class OrderConfirmed:
    order_id: str


@dataclass(frozen=True)
class OrderCancelled:
    order_id: str
    reason: str


@dataclass(frozen=True)
class OrderRefused:
    order_id: str
    reason: str


OrderEvent: TypeAlias = OrderPlaced | OrderConfirmed | OrderCancelled | OrderRefused


@dataclass(frozen=True)
class OrderCompleted:
    order_id: str
    customer_id: str
    total: Decimal


@dataclass(frozen=True)
class ReserveStock:
    order_id: str
    items: tuple[Item, ...]


@dataclass(frozen=True)
class ReleaseStock:
    order_id: str


@dataclass(frozen=True)
class StockReserved:
    order_id: str
    items: tuple[Item, ...]


@dataclass(frozen=True)
class OutOfStock:
    order_id: str
    product_id: str
    reason: str


@dataclass(frozen=True)
class StockReleased:
    order_id: str
    items: tuple[Item, ...]


StockEvent: TypeAlias = StockReserved | OutOfStock | StockReleased


@dataclass(frozen=True)
class ChargePayment:
    order_id: str
    total: Decimal


@dataclass(frozen=True)
class RefundPayment:
    order_id: str
    payment_id: str | None = None


@dataclass(frozen=True)
class PaymentCharged:
    order_id: str
    payment_id: str


@dataclass(frozen=True)
class PaymentDeclined:
    order_id: str
    reason: str


@dataclass(frozen=True)
class PaymentRefunded:
    order_id: str
