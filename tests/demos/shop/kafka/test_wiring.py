"""The shop's processes over topics: what each of them reads, and how the gateway knows an order."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest
from tests.servers.kafka import running

from sagakit import Engine, NotFound
from sagakit.demos.shop.app import shop_app
from sagakit.demos.shop.kafka.modules import TOPICS
from sagakit.demos.shop.kafka.wiring import KafkaWiring
from sagakit.demos.shop.order_request import OrderRequest
from sagakit.demos.shop.orders.messages import Item
from sagakit.demos.shop.services.app import service_app
from sagakit.demos.shop.services.orders_there import OrdersThere
from sagakit.demos.shop.services.wiring import SERVICES
from sagakit.transports.kafka import Kafka


@pytest.fixture
def kafka_url(tmp_path: Path) -> Iterator[str]:
    """A broker of its own: the shop's topics have the same names wherever it runs."""
    with running(tmp_path) as url:
        yield url


@dataclass(frozen=True)
class Shop:
    engine: Engine
    wiring: KafkaWiring
    book: OrdersThere


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Shop]:
    """All of them in this process, each with a store of its own."""
    async with AsyncExitStack() as stack:
        for service in reversed(SERVICES):
            wiring = KafkaWiring(Kafka(url))
            engine = await stack.enter_async_context(service_app(service, wiring).engine("memory://"))
            await stack.enter_async_context(wiring.answering(service, engine, 0))
        yield Shop(engine, wiring, OrdersThere(engine, wiring))


def test_the_topics_have_the_commands_and_outcomes_of_the_modules() -> None:
    """What a module of the shop handles is what goes over its topics, outcome by outcome."""
    whole = shop_app().topology()
    for topics in TOPICS.values():
        for command, outcomes in topics.commands.items():
            declared = whole.handlers[command].outcomes
            assert {*(outcomes if isinstance(outcomes, tuple) else (outcomes,))} <= declared
            assert whole.codecs.by_class[command].name == f"{topics.module}.{command.__qualname__}"


@pytest.mark.parametrize(
    ("price", "status", "reason"),
    [
        ("5.00", "CONFIRMED", ""),
        ("600.00", "CANCELLED", "payment declined: 600.00 is above the limit of 500.00"),
    ],
)
async def test_an_order_goes_its_way_over_topics(kafka_url: str, price: str, status: str, reason: str) -> None:
    async with opened(kafka_url) as shop:
        with pytest.raises(NotFound):
            await shop.wiring.find_order(f"o-{price}")
        request = OrderRequest("ann", (Item("prod_1", 1, Decimal(price)),))
        placed = await shop.book.place(f"o-{price}", request, key=None, trace=None)
        assert placed.status == "PENDING"
        while (found := (await shop.book.find(f"o-{price}")).order).status == "PENDING":
            await shop.book.settled(f"o-{price}", 20)
    assert (found.status, found.reason, found.total) == (status, reason, Decimal(price))
