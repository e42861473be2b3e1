"""The shop killed with -9 among two hundred orders: nothing acknowledged is lost, nothing is done twice."""

import asyncio
import json
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from sagakit.core.queries import InstanceQuery
from sagakit.demos.shop.app import shop
from sagakit.demos.shop.inventory.stock import AT_THE_START, Stock
from sagakit.demos.shop.payments.cards import books_of
from sagakit.stores.sqlite.store import SqliteStore

ORDERS, CLIENTS, KILLS = 200, 20, 20
PATIENCE = 30


class Shop:
    """`sagakit demo` in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.address = ""
        self.lines = 0
        self.said = ""
        self._changed = asyncio.Condition()
        self._reading = asyncio.ensure_future(self._read())
        self.ended = asyncio.ensure_future(process.wait())

    async def _read(self) -> None:
        assert self.process.stdout
        async for line in self.process.stdout:
            async with self._changed:
                self.said += line.decode()
                self.lines += 1
                if "open at " in self.said and not self.address:
                    self.address = line.decode().partition("open at ")[2].strip()
                self._changed.notify_all()
        async with self._changed:
            self.process.stdout = None
            self._changed.notify_all()

    async def has_said(self, lines: int) -> None:
        """Wait for so many lines, or for its end."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.lines >= lines or self.process.stdout is None)

    async def is_open(self) -> None:
        """Wait until it takes orders."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.address or self.process.stdout is None)
        assert self.address, self.said

    async def end(self, number: int) -> int:
        """Send it a signal and wait for its end."""
        self.process.send_signal(number)
        await self._reading
        return await self.ended


@asynccontextmanager
async def opened(database: Path) -> AsyncIterator[Shop]:
    arguments = ["-m", "sagakit", "demo", "--port", "0", "--db", str(database)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    running = Shop(process)
    try:
        await running.is_open()
        yield running
    finally:
        print(running.said[-2000:])  # shown if the test fails
        if process.returncode is None:
            await running.end(signal.SIGKILL)


def orders_of(chance: random.Random) -> dict[str, str]:
    """Two hundred orders by their keys: some to be paid, some declined, some out of stock."""
    payable = chance.choice([0.1, 0.3, 0.8])
    orders: dict[str, str] = {}
    for number in range(ORDERS):
        products = chance.choices(["prod_1", "prod_2", "prod_3", "prod_9"], [6, 4, 1, 1], k=chance.choice([1, 1, 2]))
        price = chance.choice(["50.00", "0.10", "19.99"]) if chance.random() < payable else "600.00"
        items = ", ".join(
            f'{{"product_id": "{product}", "quantity": {chance.choice([1, 1, 2])}, "price": {price}}}'
            for product in products
        )
        orders[f"key-{number}"] = f'{{"customer_id": "c-{number % 7}", "items": [{items}]}}'
    return orders


async def place(running: Shop, client: httpx.AsyncClient, key: str, body: str) -> str | None:
    """The answer's text once the order is acknowledged; None if the shop has gone."""
    headers = {"X-Idempotency-Key": key, "Content-Type": "application/json"}
    while not running.ended.done():
        try:
            answer = await client.post("/orders", content=body, headers=headers)
        except httpx.TransportError:
            await asyncio.wait([running.ended], timeout=0.5)
            continue
        if answer.status_code == 201:
            return answer.text
        assert answer.status_code in (409, 503), answer.text
    return None


class Clients:
    """Twenty who order at the same time, and note what was acknowledged."""

    def __init__(self, orders: dict[str, str]) -> None:
        self.orders = orders
        self.acknowledged: dict[str, str] = {}
        self._changed = asyncio.Condition()

    async def order_all(self, running: Shop) -> None:
        """Send every key, acknowledged before or not; every answer is the first one."""
        waiting = list(self.orders.items())

        async def order_some(client: httpx.AsyncClient) -> None:
            while waiting:
                key, body = waiting.pop()
                answer = await place(running, client, key, body)
                if answer is None:
                    return
                async with self._changed:
                    assert self.acknowledged.setdefault(key, answer) == answer
                    self._changed.notify_all()

        async with httpx.AsyncClient(base_url=running.address, timeout=PATIENCE) as client:
            await asyncio.gather(*(order_some(client) for _ in range(CLIENTS)))

    async def have(self, acknowledged: int) -> None:
        """Wait until so many orders are acknowledged."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.acknowledged) >= acknowledged)


async def killed_at_random(running: Shop, clients: Clients, chance: random.Random) -> None:
    """Order, and kill it: at an acknowledgement, or when it says something."""
    ordering = asyncio.ensure_future(clients.order_all(running))
    if chance.random() < 0.5:
        moment = clients.have(chance.randrange(1, ORDERS))
    else:
        moment = running.has_said(running.lines + chance.randrange(1, 3 * ORDERS))
    reached = asyncio.ensure_future(moment)
    await asyncio.wait([reached, ordering], return_when=asyncio.FIRST_COMPLETED)
    await running.end(signal.SIGKILL)
    await ordering
    reached.cancel()
    await asyncio.wait([reached])


async def settled(address: str, ids: list[str]) -> dict[str, Any]:
    """Every order, once it is no longer PENDING."""
    found: dict[str, Any] = {}
    async with httpx.AsyncClient(base_url=address, timeout=PATIENCE) as client:
        for order_id in ids:
            while True:
                answer = await client.get(f"/orders/{order_id}")
                assert answer.status_code == 200, answer.text
                order = json.loads(answer.text, parse_float=Decimal)
                if order["status"] != "PENDING":
                    break
            found[order_id] = order
    return found


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", range(KILLS))
async def test_everything_adds_up(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    database = tmp_path / "shop.db"
    clients = Clients(orders_of(chance))
    async with opened(database) as running:
        await killed_at_random(running, clients, chance)
    before = dict(clients.acknowledged)
    if chance.random() < 0.3:  # once more, while it recovers
        async with opened(database) as running:
            await killed_at_random(running, clients, chance)
    async with opened(database) as running:
        early = await settled(running.address, [json.loads(answer)["id"] for answer in before.values()])
        await clients.order_all(running)
        ids = {key: json.loads(answer)["id"] for key, answer in clients.acknowledged.items()}
        orders = await settled(running.address, list(ids.values()))
        assert await running.end(signal.SIGTERM) == 0, running.said

    assert len(set(ids.values())) == len(clients.orders) == ORDERS
    assert all(orders[order_id]["status"] == order["status"] for order_id, order in early.items())
    await check_store(database, orders)
    check_books(database, orders)


async def check_store(database: Path, orders: dict[str, Any]) -> None:
    """One saga a key, all of them ended; stock and orders add up to the unit."""
    store = SqliteStore(database)
    await store.open(own=False)
    try:
        sagas = await store.read_instances(InstanceQuery(limit=ORDERS + 1))
        assert {saga.row.key for saga in sagas} == set(orders)
        ends = {"completed": "CONFIRMED", "compensated": "CANCELLED"}
        assert {saga.row.key: ends.get(saga.row.status) for saga in sagas} == {
            order_id: order["status"] for order_id, order in orders.items()
        }
        assert await store.read_deliveries() == []
        messages = [message for after in range(0, 20_000, 1000) for message in await store.read_messages(after=after)]
    finally:
        await store.close()
    counts = Counter(message.type for message in messages)
    assert counts["orders.OrderPlaced"] == ORDERS
    codecs = shop.topology().codecs
    stock = Stock()
    for message in messages:
        if message.kind == "event" and message.type.startswith("inventory."):
            stock = stock.evolve(codecs.decode(message.type, message.version, message.payload))
    confirmed = {order_id: order for order_id, order in orders.items() if order["status"] == "CONFIRMED"}
    assert stock.held == {order_id: units(order) for order_id, order in confirmed.items()}
    sold = sum((Counter(units(order)) for order in confirmed.values()), Counter[str]())
    assert {product: free + sold[product] for product, free in stock.free.items()} == AT_THE_START


def units(order: dict[str, Any]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for item in order["items"]:
        found[item["product_id"]] += item["quantity"]
    return dict(found)


def check_books(database: Path, orders: dict[str, Any]) -> None:
    """The card provider charged once a key, and kept exactly what confirmed orders cost."""
    entries = [json.loads(line) for line in books_of(database).read_text().splitlines()]
    charges = [entry for entry in entries if entry["op"] == "charge"]
    assert max(Counter(entry["key"] for entry in charges).values(), default=1) == 1
    refunded = {entry["order_id"] for entry in entries if entry["op"] == "refund"}
    kept = {entry["order_id"]: Decimal(entry["amount"]) for entry in charges if entry["order_id"] not in refunded}
    assert len(kept) == sum(entry["order_id"] not in refunded for entry in charges)
    assert kept == {order_id: order["total"] for order_id, order in orders.items() if order["status"] == "CONFIRMED"}
