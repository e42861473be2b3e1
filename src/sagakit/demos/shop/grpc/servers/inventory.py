"""inventory.v1.Inventory."""

from __future__ import annotations

from typing import Any

from sagakit import Engine, InvalidMessage
from sagakit.demos.shop.grpc.beyond import outcome
from sagakit.demos.shop.grpc.generated.inventory_pb2 import (
    ReleaseRequest,
    ReleaseResponse,
    ReserveRequest,
    ReserveResponse,
)
from sagakit.demos.shop.grpc.servers.checks import check_id
from sagakit.demos.shop.inventory.messages import OutOfStock, ReleaseStock, ReserveStock, StockReleased, StockReserved
from sagakit.transports.grpc import ask


class InventoryService:
    """Answers from the stock. A repeat has one effect by its key, and by its order too: the stock knows both."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def Reserve(self, request: ReserveRequest, context: Any) -> ReserveResponse:
        """Hold units for an order."""
        check_id(request.order_id)
        units: dict[str, int] = {}
        for item in request.items:
            units[item.product_id] = units.get(item.product_id, 0) + item.quantity
        if not units:
            raise InvalidMessage("items is empty: name what is to be reserved")
        command = ReserveStock(request.order_id, units)
        event = await ask(self._engine, command, context, until=(StockReserved, OutOfStock))
        context.set_trailing_metadata(outcome(event))
        return ReserveResponse(success=isinstance(event, StockReserved))

    async def Release(self, request: ReleaseRequest, context: Any) -> ReleaseResponse:
        """Give them back."""
        check_id(request.order_id)
        event = await ask(self._engine, ReleaseStock(request.order_id), context, until=StockReleased)
        context.set_trailing_metadata(outcome(event))
        return ReleaseResponse(success=True)
