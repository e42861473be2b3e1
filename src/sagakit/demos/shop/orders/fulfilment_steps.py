"""The process of `fulfilment`, written as a list of steps."""

from __future__ import annotations

from sagakit import Module, Step
from sagakit.demos.shop.inventory.messages import ReleaseStock, ReserveStock, StockReserved
from sagakit.demos.shop.orders.account import tell_order
from sagakit.demos.shop.orders.fulfilment import PATIENCE
from sagakit.demos.shop.orders.messages import CancelOrder, ConfirmOrder, OrderConfirmed, OrderPlaced
from sagakit.demos.shop.orders.order import Order, units_of
from sagakit.demos.shop.payments.messages import ChargePayment, PaymentCharged, RefundPayment

orders_in_steps = Module("orders")
orders_in_steps.aggregate(key="order_id")(Order)
orders_in_steps.on(key="order_id")(tell_order)


def reserve(order: OrderPlaced) -> ReserveStock:
    """Where names differ, a function builds the command; the others are filled from events that have their fields."""
    return ReserveStock(order.order_id, units_of(order.items))


fulfil_in_steps = orders_in_steps.step_saga(
    "fulfil_order",
    Step(reserve, then=StockReserved, undo=ReleaseStock),
    Step(ChargePayment, then=PaymentCharged, undo=RefundPayment, timeout=PATIENCE),
    Step(ConfirmOrder, then=OrderConfirmed),
    starts_with=OrderPlaced,
    key="order_id",
    undo=CancelOrder,
)
