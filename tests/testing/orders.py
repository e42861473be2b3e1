"""A small order, written in all the ways: what the tests of scenarios are about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Self

from sagakit import Cancelled, End, Failed, Message, Module, Saga, Step, Undo, Undoing


@dataclass(frozen=True)
class OrderPlaced:
    order_id: str
    total: Decimal


@dataclass(frozen=True)
class ReserveStock:
    order_id: str


@dataclass(frozen=True)
class StockReserved:
    order_id: str


@dataclass(frozen=True)
class OutOfStock:
    order_id: str


@dataclass(frozen=True)
class ReleaseStock:
    order_id: str


@dataclass(frozen=True)
class StockReleased:
    order_id: str


@dataclass(frozen=True)
class ChargePayment:
    order_id: str
    total: Decimal


@dataclass(frozen=True)
class PaymentCharged:
    order_id: str
    payment_id: str


@dataclass(frozen=True)
class PaymentDeclined:
    order_id: str
    reason: str


@dataclass(frozen=True)
class RefundPayment:
    order_id: str
    payment_id: str | None = None


@dataclass(frozen=True)
class PaymentRefunded:
    order_id: str


@dataclass(frozen=True)
class ConfirmOrder:
    order_id: str


@dataclass(frozen=True)
class OrderConfirmed:
    order_id: str


@dataclass(frozen=True)
class CancelOrder:
    order_id: str
    reason: str = ""


@dataclass(frozen=True)
class OrderCancelled:
    order_id: str
    reason: str


@dataclass(frozen=True)
class Paid:
    order_id: str
    at: str = ""


orders = Module("orders")


@orders.aggregate(key="order_id")
@dataclass(frozen=True)
class Order:
    status: str = "NEW"

    def decide(self, command: ConfirmOrder | CancelOrder) -> OrderConfirmed | OrderCancelled | None:
        match command, self.status:
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


@orders.saga(key="order_id", receives=Paid)
async def fulfil(order: OrderPlaced, saga: Saga) -> None:
    saga.on_undo(lambda undo: CancelOrder(order.order_id, undo.reason))
    await saga.do(ReserveStock(order.order_id), then=StockReserved, undo=ReleaseStock(order.order_id))
    await saga.do(
        ChargePayment(order.order_id, order.total),
        then=PaymentCharged,
        undo=lambda undo: RefundPayment(order.order_id, undo.outcome.payment_id if undo.outcome else None),
    )
    await saga.do(ConfirmOrder(order.order_id), then=OrderConfirmed)


def charge(order: OrderPlaced, reserved: StockReserved) -> ChargePayment:
    return ChargePayment(reserved.order_id, order.total)


def refund(order: OrderPlaced, undo: Undo[PaymentCharged]) -> RefundPayment:
    return RefundPayment(order.order_id, undo.outcome.payment_id if undo.outcome else None)


fulfil_in_steps = orders.step_saga(
    "fulfil_in_steps",
    Step(ReserveStock, then=StockReserved, undo=ReleaseStock),
    Step(charge, then=PaymentCharged, undo=refund),
    Step(ConfirmOrder, then=OrderConfirmed),
    starts_with=OrderPlaced,
    key="order_id",
    undo=CancelOrder,
)


@orders.process_manager(key="order_id", starts_with=OrderPlaced)
@dataclass(frozen=True)
class Fulfilment:
    order: OrderPlaced | None = None
    reason: str = ""

    def evolve(self, event: OrderPlaced | PaymentDeclined | Failed[Any]) -> Self:
        match event:
            case OrderPlaced():
                return replace(self, order=event)
            case PaymentDeclined() | Failed():
                return replace(self, reason=event.reason)

    def react(
        self,
        event: OrderPlaced
        | StockReserved
        | PaymentCharged
        | PaymentDeclined
        | PaymentRefunded
        | StockReleased
        | OrderConfirmed
        | OrderCancelled
        | Failed[Any],
    ) -> Message | Sequence[Message] | None:
        assert self.order
        match event:
            case OrderPlaced(order_id):
                return ReserveStock(order_id)
            case StockReserved(order_id):
                return ChargePayment(order_id, self.order.total)
            case PaymentCharged(order_id):
                return ConfirmOrder(order_id)
            case Failed(ChargePayment(order_id) as command):
                return Undoing(RefundPayment(order_id), of=command)
            case PaymentDeclined(order_id) | PaymentRefunded(order_id):
                return Undoing(ReleaseStock(order_id), of=ReserveStock(order_id))
            case StockReleased(order_id):
                return CancelOrder(order_id, self.reason)
            case OrderConfirmed():
                return End("completed")
            case OrderCancelled():
                return End("compensated", self.reason)
            case Failed():
                return None


@orders.process_manager(key="order_id", starts_with=OrderPlaced)
@dataclass(frozen=True)
class Watch:
    """It knows nothing of failures."""

    def react(self, event: OrderPlaced | Cancelled) -> Message | None:
        return ReserveStock(event.order_id) if isinstance(event, OrderPlaced) else End("compensated", event.reason)
