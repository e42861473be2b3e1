"""The shop as four processes over Kafka: the same outcome, whoever is killed or held, the broker too."""

import asyncio
import json
import random
import signal
from pathlib import Path

import pytest
from tests.acceptance.shop.audit import all_is_handled, check_all
from tests.acceptance.shop.clients import Clients, orders_of, settled
from tests.acceptance.shop.services import SERVICES, opened
from tests.acceptance.test_shop_services import ordered, unsettled
from tests.servers.kafka import broker

pytestmark = pytest.mark.long

ORDERS, CLIENTS = 40, 10


@pytest.mark.timeout(360)
@pytest.mark.parametrize("victim", [*SERVICES, "broker"])
async def test_everything_adds_up_whoever_fails(victim: str, tmp_path: Path) -> None:
    chance = random.Random(victim)
    clients = Clients(orders_of(chance, ORDERS), CLIENTS)
    with broker(tmp_path) as kafka:
        async with opened(tmp_path, kafka.url) as shop:
            ordering = asyncio.ensure_future(clients.order_all(shop))
            await clients.have(chance.randrange(5, ORDERS - 15))
            if victim == "broker":
                kafka.pause()
                await asyncio.sleep(5)  # longer than the session of its groups
                kafka.resume()
            else:
                await shop.services[victim].end(signal.SIGKILL)
                await shop.services[victim].start()
            await ordering
            orders = await settled(shop.address, [json.loads(answer)["id"] for answer in clients.acknowledged.values()])
            await clients.order_all(shop)  # every key again: the first answers
            await all_is_handled(shop.databases)
        assert len(orders) == ORDERS
        await check_all(shop.databases, orders)


@pytest.mark.timeout(360)
async def test_a_service_that_is_away_delays_its_orders_and_loses_none(tmp_path: Path) -> None:
    """A payment service that is killed; then the broker, which comes back without its topics and its groups."""
    ids: list[str] = []
    with broker(tmp_path) as kafka:
        async with opened(tmp_path, kafka.url) as shop:
            await shop.services["payment"].end(signal.SIGKILL)
            delayed = await ordered(shop, "no-payments")
            assert await unsettled(shop, delayed) == delayed
            await shop.services["payment"].start()
            ids += delayed
            await settled(shop.address, ids)
            kafka.kill()  # nothing is under way: what is in its memory is not needed any more
            delayed = await ordered(shop, "no-broker")
            assert await unsettled(shop, delayed) == delayed
            kafka.start()
            ids += delayed
            orders = await settled(shop.address, ids)
            await all_is_handled(shop.databases)
    assert [order["status"] for order in orders.values()] == ["CONFIRMED", "CANCELLED", "CONFIRMED"] * 2
    await check_all(shop.databases, orders)
