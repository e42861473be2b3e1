"""Services that speak over a broker: one story, each effect once, whatever is doubled, late or away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.transports.kafka.services import OrderPlaced, PlaceOrder, World, mailing_app, orders_app, payments_app

from sagakit import App, Engine
from sagakit.transports.kafka.kafka import Kafka


@asynccontextmanager
async def running(app: App, world: World, url: str = "memory://") -> AsyncIterator[Engine]:
    async with app.engine(url, provide={World: world}) as engine:
        yield engine


async def ended(engine: Engine, key: str) -> str:
    return (await engine.wait("orders.fulfil", key, timeout=30)).status


async def test_a_process_goes_on_with_what_a_service_answers(kafka_url: str, topic: str) -> None:
    kafka, world = Kafka(kafka_url), World()
    async with (
        running(orders_app(kafka, topic), world) as orders,
        running(payments_app(kafka, topic), world),
        running(mailing_app(kafka, topic), world),
    ):
        await orders.send_and_wait(PlaceOrder("o-1"), until=OrderPlaced)
        assert await ended(orders, "o-1") == "completed"
        while "mail o-1" not in world.done:
            await asyncio.sleep(0.01)
    assert world.done == ["charge o-1", "ship o-1", "mail o-1"]
