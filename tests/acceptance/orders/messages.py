"""The commands and events of an order."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PlaceOrder:
    order_id: str
    total: int = 50


@dataclass(frozen=True)
class OrderPlaced:
    order_id: str
    total: int


@dataclass(frozen=True)
class ReserveStock:
    order_id: str


@dataclass(frozen=True)
class StockReserved:
    order_id: str


@dataclass(frozen=True)
class OutOfStock:
    order_id: str
    reason: str


@dataclass(frozen=True)
class ReleaseStock:
    order_id: str


@dataclass(frozen=True)
class StockReleased:
    order_id: str


@dataclass(frozen=True)
class ChargePayment:
    order_id: str
    total: int


@dataclass(frozen=True)
class PaymentCharged:
    order_id: str
    payment_id: str


@dataclass(frozen=True)
class PaymentDeclined:
    order_id: str
    reason: str


@dataclass(frozen=True)
class PaymentNoted:
    """What a charge may say besides its outcome."""

    order_id: str
    note: str


@dataclass(frozen=True)
class RefundPayment:
    order_id: str


@dataclass(frozen=True)
class PaymentRefunded:
    order_id: str


@dataclass(frozen=True)
class ShipOrder:
    order_id: str


@dataclass(frozen=True)
class OrderShipped:
    order_id: str


@dataclass(frozen=True)
class ShippingRefused:
    order_id: str
    reason: str


@dataclass(frozen=True)
class RecallShipment:
    order_id: str


@dataclass(frozen=True)
class ShipmentRecalled:
    order_id: str


@dataclass(frozen=True)
class ConfirmOrder:
    order_id: str


@dataclass(frozen=True)
class OrderConfirmed:
    order_id: str


@dataclass(frozen=True)
class ConfirmationRefused:
    order_id: str
    reason: str


@dataclass(frozen=True)
class CancelOrder:
    order_id: str
    reason: str


@dataclass(frozen=True)
class OrderCancelled:
    order_id: str
    reason: str
