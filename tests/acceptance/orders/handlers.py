"""The handlers of an order's commands: each asks the world, under its idempotency key."""

from __future__ import annotations

from tests.acceptance.orders.messages import (
    CancelOrder,
    ChargePayment,
    ConfirmationRefused,
    ConfirmOrder,
    OrderCancelled,
    OrderConfirmed,
    OrderPlaced,
    OrderShipped,
    OutOfStock,
    PaymentCharged,
    PaymentDeclined,
    PaymentNoted,
    PaymentRefunded,
    PlaceOrder,
    RecallShipment,
    RefundPayment,
    ReleaseStock,
    ReserveStock,
    ShipmentRecalled,
    ShipOrder,
    ShippingRefused,
    StockReleased,
    StockReserved,
)
from tests.acceptance.orders.world import World

from sagakit import Context


async def place(command: PlaceOrder) -> OrderPlaced:
    return OrderPlaced(command.order_id, command.total)


async def reserve(command: ReserveStock, world: World, context: Context) -> list[StockReserved | OutOfStock]:
    id = command.order_id
    return await world.act("reserve", id, context.idempotency_key, StockReserved(id), OutOfStock(id, "reserve says no"))


async def release(command: ReleaseStock, world: World, context: Context) -> list[StockReleased]:
    id = command.order_id
    return await world.act("release", id, context.idempotency_key, StockReleased(id))


async def charge(
    command: ChargePayment, world: World, context: Context
) -> list[PaymentCharged | PaymentDeclined | PaymentNoted]:
    id, key = command.order_id, context.idempotency_key
    success, refusal = PaymentCharged(id, f"payment of {id}"), PaymentDeclined(id, "charge says no")
    return await world.act("charge", id, key, success, refusal, PaymentNoted(id, "for the books"))


async def refund(command: RefundPayment, world: World, context: Context) -> list[PaymentRefunded]:
    id = command.order_id
    return await world.act("refund", id, context.idempotency_key, PaymentRefunded(id))


async def ship(command: ShipOrder, world: World, context: Context) -> list[OrderShipped | ShippingRefused]:
    id = command.order_id
    return await world.act("ship", id, context.idempotency_key, OrderShipped(id), ShippingRefused(id, "ship says no"))


async def recall(command: RecallShipment, world: World, context: Context) -> list[ShipmentRecalled]:
    id = command.order_id
    return await world.act("recall", id, context.idempotency_key, ShipmentRecalled(id))


async def confirm(command: ConfirmOrder, world: World, context: Context) -> list[OrderConfirmed | ConfirmationRefused]:
    id = command.order_id
    refusal = ConfirmationRefused(id, "confirm says no")
    return await world.act("confirm", id, context.idempotency_key, OrderConfirmed(id), refusal)


async def cancel(command: CancelOrder, world: World, context: Context) -> list[OrderCancelled]:
    id = command.order_id
    return await world.act("cancel", id, context.idempotency_key, OrderCancelled(id, command.reason))


HANDLERS = (reserve, release, charge, refund, ship, recall, confirm, cancel)
