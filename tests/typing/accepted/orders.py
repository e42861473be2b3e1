"""Orders: an aggregate, its external event, and its process as a code saga."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import assert_type

from tests.typing.accepted.messages import (
    CancelOrder,
    ChargePayment,
    ConfirmOrder,
    Item,
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    OrderEvent,
    OrderPlaced,
    OrderRefused,
    PaymentCharged,
    PlaceOrder,
    RefundPayment,
    ReleaseStock,
    ReserveStock,
    StockReserved,
)

from sagakit import CodeSaga, Context, Module, Saga

orders = Module("orders")


@orders.aggregate(key="order_id")
@dataclass(frozen=True)
class Order:
    status: str = "NEW"
    customer_id: str = ""
    items: tuple[Item, ...] = ()
    total: Decimal = Decimal(0)
    reason: str = ""

    def decide(self, command: PlaceOrder | ConfirmOrder | CancelOrder) -> OrderEvent | None:
        match command, self.status:
            case PlaceOrder(order_id, customer_id, items), "NEW":
                total = sum((item.price * item.quantity for item in items), Decimal(0))
                return OrderPlaced(order_id, customer_id, items, total)
            case ConfirmOrder(order_id), "PENDING":
                return OrderConfirmed(order_id)
            case CancelOrder(order_id, reason), "PENDING" | "CONFIRMED":
                return OrderCancelled(order_id, reason)
            case CancelOrder(), _:
                return None
            case _:
                return OrderRefused(command.order_id, f"the order is {self.status}")

    def evolve(self, event: OrderEvent) -> Order:
        match event:
            case OrderPlaced(_, customer_id, items, total):
                return replace(self, status="PENDING", customer_id=customer_id, items=items, total=total)
            case OrderConfirmed():
                return replace(self, status="CONFIRMED")
            case OrderCancelled(_, reason):
                return replace(self, status="CANCELLED", reason=reason)
            case OrderRefused():
                return self


@orders.publishes
async def completed(event: OrderConfirmed, context: Context) -> OrderCompleted:
    order = (await context.load(Order, event.order_id)).state
    assert_type(order, Order)
    return OrderCompleted(event.order_id, order.customer_id, order.total)


@orders.saga(key="order_id")
async def fulfil_order(order: OrderPlaced, saga: Saga) -> None:
    saga.on_undo(lambda undo: CancelOrder(order.order_id, undo.reason))
    await saga.do(ReserveStock(order.order_id, order.items), then=StockReserved, undo=ReleaseStock(order.order_id))
    charged = await saga.do(
        ChargePayment(order.order_id, order.total),
        then=PaymentCharged,
        undo=lambda undo: RefundPayment(order.order_id, undo.outcome.payment_id if undo.outcome else None),
    )
    assert_type(charged, PaymentCharged)
    await saga.do(ConfirmOrder(order.order_id), then=OrderConfirmed)


assert_type(fulfil_order, CodeSaga[OrderPlaced])
