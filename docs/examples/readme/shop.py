import asyncio
from uuid import uuid4

from sagakit import App, Saga

from orders import CancelOrder, ConfirmOrder, Order, OrderCancelled, OrderConfirmed, OrderPlaced, PlaceOrder
from payments import ChargePayment, PaymentCharged, RefundPayment, payments
from warehouse import OutOfStock, ReleaseStock, ReserveStock, StockReleased, StockReserved, Warehouse

shop = App("shop", payments)
shop.provides(Warehouse)
shop.aggregate(key="order_id")(Order)


@shop.handles  # a command in, the event that it led to out
async def reserve(command: ReserveStock, warehouse: Warehouse) -> StockReserved | OutOfStock:
    if await warehouse.take(command.order_id, command.items):
        return StockReserved(command.order_id)
    return OutOfStock(command.order_id, "out of stock")  # a refusal is an event too


@shop.handles
async def release(command: ReleaseStock, warehouse: Warehouse) -> StockReleased:
    await warehouse.put_back(command.order_id)
    return StockReleased(command.order_id)


@shop.saga(key="order_id")  # starts with its first parameter
async def fulfil_order(order: OrderPlaced, saga: Saga) -> None:
    saga.on_undo(lambda undo: CancelOrder(order.order_id, undo.reason))
    await saga.do(ReserveStock(order.order_id, order.items), then=StockReserved, undo=ReleaseStock(order.order_id))
    await saga.do(ChargePayment(order.order_id, order.total), then=PaymentCharged, undo=RefundPayment(order.order_id))
    await saga.do(ConfirmOrder(order.order_id), then=OrderConfirmed)


async def main() -> None:
    async with shop.engine("sqlite:///shop.db") as engine:
        for total in (50, 600):
            order = PlaceOrder(uuid4().hex, {"prod_1": 1}, total)
            print(await engine.send_and_wait(order, until=(OrderConfirmed, OrderCancelled), timeout=5))


if __name__ == "__main__":
    asyncio.run(main())
