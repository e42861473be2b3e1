"""Orders: their messages, and a plain class that decides which event a command leads to, and evolves by events."""

from dataclasses import dataclass, replace
from typing import Self


@dataclass(frozen=True)
class PlaceOrder:
    order_id: str
    items: dict[str, int]
    total: int


@dataclass(frozen=True)
class OrderPlaced:
    order_id: str
    items: dict[str, int]
    total: int


@dataclass(frozen=True)
class ConfirmOrder:
    order_id: str


@dataclass(frozen=True)
class OrderConfirmed:
    order_id: str


@dataclass(frozen=True)
class CancelOrder:
    order_id: str
    reason: str


@dataclass(frozen=True)
class OrderCancelled:
    order_id: str
    reason: str


@dataclass(frozen=True)
class Order:
    status: str = "NEW"

    def decide(
        self, command: PlaceOrder | ConfirmOrder | CancelOrder
    ) -> OrderPlaced | OrderConfirmed | OrderCancelled | None:
        match command, self.status:
            case PlaceOrder(order_id, items, total), "NEW":
                return OrderPlaced(order_id, items, total)
            case ConfirmOrder(order_id), "PENDING":
                return OrderConfirmed(order_id)
            case CancelOrder(order_id, reason), "PENDING":
                return OrderCancelled(order_id, reason)
            case _:
                return None

    def evolve(self, event: OrderPlaced | OrderConfirmed | OrderCancelled) -> Self:
        match event:
            case OrderPlaced():
                return replace(self, status="PENDING")
            case OrderConfirmed():
                return replace(self, status="CONFIRMED")
            case OrderCancelled():
                return replace(self, status="CANCELLED")
