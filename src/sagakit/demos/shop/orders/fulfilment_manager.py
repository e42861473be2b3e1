"""The process of `fulfilment`, written as a process manager: it undoes and ends by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self, TypeAlias

from sagakit import Cancelled, End, Failed, Message, Module, Undoing
from sagakit.demos.shop.inventory.messages import OutOfStock, ReleaseStock, ReserveStock, StockReleased, StockReserved
from sagakit.demos.shop.orders.account import tell_order
from sagakit.demos.shop.orders.messages import (
    CancelOrder,
    ConfirmOrder,
    OrderCancelled,
    OrderConfirmed,
    OrderPlaced,
    OrderRefused,
)
from sagakit.demos.shop.orders.order import Order, units_of
from sagakit.demos.shop.payments.messages import (
    ChargePayment,
    PaymentCharged,
    PaymentDeclined,
    PaymentRefunded,
    RefundPayment,
)

orders_with_manager = Module("orders")
orders_with_manager.aggregate(key="order_id")(Order)
orders_with_manager.on(key="order_id")(tell_order)

Refusal: TypeAlias = OutOfStock | PaymentDeclined | OrderRefused
Progress: TypeAlias = (
    OrderPlaced | StockReserved | PaymentCharged | OrderConfirmed | PaymentRefunded | StockReleased | OrderCancelled
)


@orders_with_manager.process_manager(key="order_id", starts_with=OrderPlaced)
@dataclass(frozen=True)
class Fulfilment:
    """What it has sent is kept, so that it can be undone, last one first."""

    order: OrderPlaced | None = None
    reserve: ReserveStock | None = None
    charge: ChargePayment | None = None
    reason: str = ""

    def evolve(self, event: Progress | Refusal | Failed[Message] | Cancelled) -> Self:
        reason = self.reason or getattr(event, "reason", "")
        match event:
            case OrderPlaced(order_id, _, items):
                return replace(self, order=event, reserve=ReserveStock(order_id, units_of(items)))
            case StockReserved(order_id) if self.order and not self.reason:
                return replace(self, charge=ChargePayment(order_id, self.order.total))
            case OutOfStock() | StockReleased():
                return replace(self, reserve=None, reason=reason)
            case PaymentDeclined() | PaymentRefunded():
                return replace(self, charge=None, reason=reason)
            case OrderRefused() | Failed() | Cancelled():
                return replace(self, reason=reason)
            case _:
                return self

    def react(self, event: Progress | Refusal | Failed[Message] | Cancelled) -> Message | Sequence[Message] | None:
        assert self.order
        last = self.charge or self.reserve
        match event:
            case StockReserved() | PaymentCharged() | OrderConfirmed() if self.reason:
                return None  # it comes late: what undoes it is under way
            case OrderPlaced() | StockReserved():
                return last
            case PaymentCharged(order_id):
                return ConfirmOrder(order_id)
            case OrderConfirmed() | OrderCancelled() | Failed(CancelOrder()):
                return End("compensated" if self.reason else "completed", self.reason)
            case _ if last:
                return Undoing(_undo_of(last), of=last)
            case _:
                return CancelOrder(self.order.order_id, self.reason)


def _undo_of(command: ReserveStock | ChargePayment) -> ReleaseStock | RefundPayment:
    if isinstance(command, ReserveStock):
        return ReleaseStock(command.order_id)
    return RefundPayment(command.order_id)
