"""How an order is fulfilled, or undone: reserve its stock, charge its payment, confirm it."""

from __future__ import annotations

from sagakit import Saga
from sagakit.demos.shop.inventory.messages import ReleaseStock, ReserveStock, StockReserved
from sagakit.demos.shop.orders.messages import CancelOrder, ConfirmOrder, OrderConfirmed, OrderPlaced
from sagakit.demos.shop.orders.order import orders, units_of
from sagakit.demos.shop.payments.messages import ChargePayment, PaymentCharged, RefundPayment

PATIENCE = 120
"""Seconds that the card provider has for one charge, all attempts together."""


@orders.saga(key="order_id")
async def fulfil_order(order: OrderPlaced, saga: Saga) -> None:
    """Each step that was done is undone, last one first, if a later one is refused."""
    units = units_of(order.items)
    saga.on_undo(lambda undo: CancelOrder(order.order_id, undo.reason, saga.now))
    await saga.do(ReserveStock(order.order_id, units), then=StockReserved, undo=ReleaseStock(order.order_id))
    await saga.do(
        ChargePayment(order.order_id, order.total),
        then=PaymentCharged,
        undo=RefundPayment(order.order_id),
        timeout=PATIENCE,
    )
    await saga.do(ConfirmOrder(order.order_id, saga.now), then=OrderConfirmed)
