"""A whole app in one file, with messages that are msgspec Structs."""

from msgspec import Struct

from sagakit import App, Saga


class Order(Struct, frozen=True):
    order_id: str


class OrderPlaced(Order, frozen=True):
    items: dict[str, int]


class ReserveStock(Order, frozen=True):
    items: dict[str, int]


class StockReserved(Order, frozen=True): ...


class OutOfStock(Order, frozen=True): ...


class ReleaseStock(Order, frozen=True): ...


class StockReleased(Order, frozen=True): ...


class Warehouse:
    async def take(self, order_id: str, items: dict[str, int]) -> bool:
        return len(items) > 0 and order_id != ""

    async def put_back(self, order_id: str) -> None: ...


shop = App("shop")
shop.provides(Warehouse)


@shop.handles
async def reserve(command: ReserveStock, warehouse: Warehouse) -> StockReserved | OutOfStock:
    if await warehouse.take(command.order_id, command.items):
        return StockReserved(command.order_id)
    return OutOfStock(command.order_id)


@shop.handles
async def release(command: ReleaseStock, warehouse: Warehouse) -> StockReleased:
    await warehouse.put_back(command.order_id)
    return StockReleased(command.order_id)


@shop.saga(key="order_id")
async def fulfil_order(order: OrderPlaced, saga: Saga) -> None:
    await saga.do(ReserveStock(order.order_id, order.items), then=StockReserved, undo=ReleaseStock(order.order_id))


async def main() -> None:
    async with shop.engine("sqlite:///shop.db") as engine:
        await engine.send(OrderPlaced("o-1", items={"prod_1": 1}))
