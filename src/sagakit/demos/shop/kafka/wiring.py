"""The shop's processes over Kafka: nobody needs to know where another one is, nor whether it is up."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from sagakit import App, Engine, Module, NotFound
from sagakit.core.streams import instance_id
from sagakit.demos.shop.kafka.modules import TOPICS, away, serve
from sagakit.demos.shop.order_book import Found, OrderView
from sagakit.demos.shop.orders.messages import OrderCancelled, OrderConfirmed, OrderPlaced
from sagakit.demos.shop.orders.order import Order
from sagakit.demos.shop.services.wiring import Service
from sagakit.ports import Link
from sagakit.transports.kafka import Kafka


class KafkaWiring:
    """Commands and their outcomes over topics."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self._engine: Engine | None = None

    def away(self, service: Service) -> Module:
        """The module as topics."""
        return away(self._kafka, service)

    def links(self, service: Service) -> Sequence[Link]:
        """None: what reads topics is declared with them."""
        return ()

    def join(self, service: Service, app: App) -> None:
        """Read the topics of a service."""
        if service != "gateway":
            serve(self._kafka, service, app)

    async def find_order(self, order_id: str) -> Found:
        """An order as its outcomes tell it: they are in the story of its saga, which the gateway has itself."""
        assert self._engine is not None
        process = self._engine.topology.starters[OrderPlaced][0].name
        search = await self._engine.store.read_search(instance_id(process, order_id))
        if search is None:
            raise NotFound(f"there is no order {order_id}")
        order, version = Order(), 0
        for one in await self._engine.store.read_story(search.correlation_id):
            if one.kind == "event" and one.type.startswith("orders."):
                event = self._engine.decode(one.type, one.payload, version=one.version)
                if isinstance(event, OrderPlaced | OrderConfirmed | OrderCancelled):
                    order, version = order.evolve(event), version + 1
        view = OrderView(
            order_id,
            order.customer_id,
            order.status,
            order.total,
            order.items,
            order.placed_at,
            order.updated_at,
            order.reason,
        )
        return Found(view, str(version))

    @asynccontextmanager
    async def answering(self, service: Service, engine: Engine, port: int) -> AsyncGenerator[str]:
        """Nothing listens: the topics bring what others ask."""
        self._engine = engine
        yield "" if service == "gateway" else f"topic {TOPICS[service].asked} of {self._kafka.settings()}"
