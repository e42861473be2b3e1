"""The shop in four processes: one that is killed or held delays its orders, loses none, and does nothing twice."""

import asyncio
import json
import random
import signal
from pathlib import Path

import httpx
import pytest
from tests.acceptance.kept import on_kept_stores
from tests.acceptance.shop.audit import all_is_handled, check_all
from tests.acceptance.shop.clients import Clients, orders_of, place, settled
from tests.acceptance.shop.services import SERVICES, Shop, opened

pytestmark = pytest.mark.long

ORDERS, CLIENTS = 50, 10


@pytest.mark.timeout(300)
@on_kept_stores("victim", sqlite=SERVICES, postgresql=("payment", "gateway"))
async def test_everything_adds_up_whoever_is_killed(victim: str, kept_url: str, tmp_path: Path) -> None:
    chance = random.Random(victim)
    clients = Clients(orders_of(chance, ORDERS), CLIENTS)
    async with opened(tmp_path, url=kept_url if "://" in kept_url else "") as shop:
        ordering = asyncio.ensure_future(clients.order_all(shop))
        await clients.have(chance.randrange(5, ORDERS - 15))
        await shop.services[victim].end(signal.SIGKILL)
        await shop.services[victim].start()
        await ordering
        orders = await settled(shop.address, [json.loads(answer)["id"] for answer in clients.acknowledged.values()])
        await clients.order_all(shop)  # every key again: the first answers
        await all_is_handled(shop.databases)  # orders are settled before all was told
    assert len(orders) == ORDERS
    await check_all(shop.databases, orders)


def body(price: str) -> str:
    return f'{{"customer_id": "ann", "items": [{{"product_id": "prod_1", "quantity": 1, "price": {price}}}]}}'


async def ordered(shop: Shop, name: str) -> list[str]:
    """Some orders, all of them accepted: their ids."""
    async with httpx.AsyncClient(base_url=shop.address, timeout=60) as client:
        answers = [await place(shop, client, f"{name}-{price}", body(price)) for price in ("5.00", "600.00", "7.50")]
    return [json.loads(answer)["id"] for answer in answers if answer]


@pytest.mark.timeout(300)
async def test_a_service_that_is_away_delays_its_orders_and_loses_none(tmp_path: Path) -> None:
    ids: list[str] = []
    async with opened(tmp_path) as shop:
        await shop.says(down="")
        for name in ("order", "inventory", "payment"):
            service = shop.services[name]
            service.signal(signal.SIGSTOP)
            await shop.says(down=name)
            held = await ordered(shop, f"held-{name}")
            assert await unsettled(shop, held) == held
            service.signal(signal.SIGCONT)
            ids += held
            await service.end(signal.SIGKILL)
            await shop.says(down=name)
            killed = await ordered(shop, f"killed-{name}")
            assert await unsettled(shop, killed) == killed
            await service.start()
            ids += killed
            await settled(shop.address, ids)
            await shop.says(down="")
        orders = await settled(shop.address, ids)
        await all_is_handled(shop.databases)
    assert len(orders) == 18
    assert [order["status"] for order in orders.values()] == ["CONFIRMED", "CANCELLED", "CONFIRMED"] * 6
    await check_all(shop.databases, orders)


async def unsettled(shop: Shop, ids: list[str]) -> list[str]:
    """Those that are PENDING."""
    async with httpx.AsyncClient(base_url=shop.address, timeout=60) as client:
        answers = [await client.get(f"/orders/{order_id}") for order_id in ids]
    return [answer.json()["id"] for answer in answers if answer.json()["status"] == "PENDING"]
