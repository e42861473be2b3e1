"""Inventory, as the gateway has it."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from sagakit import Module
from sagakit.demos.shop.grpc.away.patience import UNTIL_IT_IS_BACK, WITHIN
from sagakit.demos.shop.grpc.beyond import read_outcome
from sagakit.demos.shop.grpc.generated.inventory_pb2 import (
    ReleaseRequest,
    ReleaseResponse,
    ReserveRequest,
    ReserveResponse,
    StockItem,
)
from sagakit.demos.shop.grpc.generated.inventory_pb2_grpc import InventoryStub
from sagakit.demos.shop.inventory.account import tell_stock
from sagakit.demos.shop.inventory.messages import OutOfStock, ReleaseStock, ReserveStock, StockReleased, StockReserved
from sagakit.transports.grpc import Metadata, connected, unary


def reserve_request(command: ReserveStock) -> ReserveRequest:
    """Lines of units."""
    items = [StockItem(product_id=product_id, quantity=number) for product_id, number in command.units.items()]
    return ReserveRequest(order_id=command.order_id, items=items)


def reserved(reply: ReserveResponse, command: ReserveStock, metadata: Metadata) -> StockReserved | OutOfStock:
    """Held, or not."""
    if reply.success:
        return read_outcome(metadata, StockReserved(command.order_id, command.units, {}))
    return read_outcome(metadata, OutOfStock(command.order_id, "", "the stock cannot be reserved"))


def release_request(command: ReleaseStock) -> ReleaseRequest:
    """Whatever is held."""
    return ReleaseRequest(order_id=command.order_id)


def released(reply: ReleaseResponse, command: ReleaseStock, metadata: Metadata) -> StockReleased:
    """Given back, whatever it was."""
    return read_outcome(metadata, StockReleased(command.order_id, {}, {}))


def inventory_at(address: str) -> Module:
    """The module whose commands are calls of the service at this address."""
    module = Module("inventory")
    handles = module.handles(retry=UNTIL_IT_IS_BACK, timeout=WITHIN)
    handles(unary(InventoryStub, "Reserve", command=ReserveStock, request=reserve_request, response=reserved))
    handles(unary(InventoryStub, "Release", command=ReleaseStock, request=release_request, response=released))
    module.on(key="order_id")(tell_stock)

    @module.provides
    async def stub() -> AsyncGenerator[InventoryStub]:
        async with connected(address) as channel:
            yield InventoryStub(channel)

    return module
