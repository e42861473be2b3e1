"""One order, from PENDING to CONFIRMED or CANCELLED."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Literal, Self, TypeAlias

from sagakit import Module
from sagakit.demos.shop.orders.messages import (
    CancelOrder,
    ConfirmOrder,
    Item,
    OrderCancelled,
    OrderConfirmed,
    OrderEvent,
    OrderPlaced,
    OrderRefused,
    PlaceOrder,
)

orders = Module("orders")

Status: TypeAlias = Literal["NEW", "PENDING", "CONFIRMED", "CANCELLED"]


@orders.aggregate(key="order_id")
@dataclass(frozen=True)
class Order:
    """NEW is an order that nobody has placed."""

    status: Status = "NEW"
    customer_id: str = ""
    items: tuple[Item, ...] = ()
    total: Decimal = Decimal(0)
    reason: str = ""
    placed_at: datetime | None = None
    updated_at: datetime | None = None

    def decide(self, command: PlaceOrder | ConfirmOrder | CancelOrder) -> OrderEvent | None:
        match command, self.status:
            case PlaceOrder(order_id, customer_id, items, at), "NEW":
                return OrderPlaced(order_id, customer_id, items, total_of(items), at)
            case ConfirmOrder(order_id, at), "PENDING":
                return OrderConfirmed(order_id, at)
            case CancelOrder(order_id, reason, at), "PENDING" | "CONFIRMED":
                return OrderCancelled(order_id, reason, at)
            case CancelOrder(), _:
                return None
            case _:
                return OrderRefused(command.order_id, f"the order is {self.status}")

    def evolve(self, event: OrderEvent) -> Self:
        match event:
            case OrderPlaced(_, customer_id, items, total, at):
                return replace(
                    self,
                    status="PENDING",
                    customer_id=customer_id,
                    items=items,
                    total=total,
                    placed_at=at,
                    updated_at=at,
                )
            case OrderConfirmed(_, at):
                return replace(self, status="CONFIRMED", updated_at=at or self.updated_at)
            case OrderCancelled(_, reason, at):
                return replace(self, status="CANCELLED", reason=reason, updated_at=at or self.updated_at)
            case OrderRefused():
                return self


def total_of(items: Iterable[Item]) -> Decimal:
    """What all of it costs, exactly."""
    return sum((item.price * item.quantity for item in items), Decimal(0))


def units_of(items: Iterable[Item]) -> dict[str, int]:
    """How many of each product: lines of the same product are one."""
    units: dict[str, int] = {}
    for item in items:
        units[item.product_id] = units.get(item.product_id, 0) + item.quantity
    return units
