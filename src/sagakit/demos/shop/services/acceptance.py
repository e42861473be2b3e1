"""What the gateway itself keeps: the orders that it has accepted, whichever of the other processes are up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Self

from sagakit import Module
from sagakit.demos.shop.orders.messages import Item, PlaceOrder
from sagakit.demos.shop.orders.order import total_of

acceptance = Module("gateway")


@dataclass(frozen=True)
class AcceptOrder:
    """A client's order: from now on it is ours to place."""

    order_id: str
    customer_id: str
    items: tuple[Item, ...]
    at: datetime


@dataclass(frozen=True)
class OrderAccepted:
    """It will be placed, however long that takes."""

    order_id: str
    customer_id: str
    items: tuple[Item, ...]
    total: Decimal
    at: datetime


@acceptance.aggregate(key="order_id")
@dataclass(frozen=True)
class Acceptance:
    """One order, as it was accepted."""

    accepted: OrderAccepted | None = None

    def decide(self, command: AcceptOrder) -> OrderAccepted | None:
        if self.accepted is not None:
            return None
        total = total_of(command.items)
        return OrderAccepted(command.order_id, command.customer_id, command.items, total, command.at)

    def evolve(self, event: OrderAccepted) -> Self:
        return type(self)(event)


@acceptance.on(key="order_id")
def place(event: OrderAccepted) -> PlaceOrder:
    """Where orders are kept is another process: it may be down now."""
    return PlaceOrder(event.order_id, event.customer_id, event.items, event.at)
