"""The shop's processes over gRPC."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from sagakit import App, Engine, Module
from sagakit.demos.shop.grpc.away.inventory import inventory_at
from sagakit.demos.shop.grpc.away.orders import orders_at
from sagakit.demos.shop.grpc.away.payments import payments_at
from sagakit.demos.shop.grpc.generated import inventory_pb2_grpc, order_pb2_grpc, payment_pb2_grpc
from sagakit.demos.shop.grpc.lookup import find_order
from sagakit.demos.shop.grpc.servers.inventory import InventoryService
from sagakit.demos.shop.grpc.servers.order import OrderService
from sagakit.demos.shop.grpc.servers.payment import PaymentService
from sagakit.demos.shop.order_book import Found
from sagakit.demos.shop.services.wiring import Service
from sagakit.ports import Link
from sagakit.transports.grpc import Peer, connected, serving

_AWAY: Mapping[Service, Callable[[str], Module]] = {
    "order": orders_at,
    "inventory": inventory_at,
    "payment": payments_at,
}


class GrpcWiring:
    """Each service at an address of its own; who needs one calls it."""

    def __init__(self, addresses: Mapping[Service, str]) -> None:
        self._addresses = addresses
        self._orders: Any = None

    def away(self, service: Service) -> Module:
        """The module as calls."""
        return _AWAY[service](self._addresses[service])

    def join(self, service: Service, app: App) -> None:
        """Nothing: what others ask is answered beside the engine."""

    def links(self, service: Service) -> Sequence[Link]:
        """Readiness of the gateway says which of the others does not serve."""
        return [Peer(name, self._addresses[name]) for name in _AWAY] if service == "gateway" else ()

    async def find_order(self, order_id: str) -> Found:
        """Ask the service that keeps orders."""
        return await find_order(self._orders, order_id)

    @asynccontextmanager
    async def answering(self, service: Service, engine: Engine, port: int) -> AsyncGenerator[str]:
        """Serve a service; the gateway has none, and gets its way to the orders."""
        if service == "gateway":
            async with connected(self._addresses["order"]) as channel:
                self._orders = order_pb2_grpc.OrderStub(channel)
                yield ""
            return
        async with serving(f"127.0.0.1:{port}", _adding(service, engine), ready=engine.ready) as served:
            yield f"{served.services[0]} at 127.0.0.1:{served.port}"


def _adding(service: Service, engine: Engine) -> Callable[[Any], None]:
    def add(server: Any) -> None:
        match service:
            case "inventory":
                cast(Any, inventory_pb2_grpc).add_InventoryServicer_to_server(InventoryService(engine), server)
            case "payment":
                cast(Any, payment_pb2_grpc).add_PaymentServicer_to_server(PaymentService(engine), server)
            case _:
                cast(Any, order_pb2_grpc).add_OrderServicer_to_server(OrderService(engine), server)

    return add
