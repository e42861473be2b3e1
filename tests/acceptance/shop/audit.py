"""The auditor of the shop: sagas, orders, stock and the card provider's books must add up to the unit."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.acceptance.kept import reading

from sagakit.core.commit import Envelope
from sagakit.core.queries import InstanceQuery
from sagakit.demos.shop.app import shop
from sagakit.demos.shop.inventory.stock import AT_THE_START, Stock
from sagakit.demos.shop.payments.cards import books_of


@dataclass(frozen=True)
class Databases:
    """Where the parts of the shop keep what they know, as URLs or paths; all the same where it is one process."""

    sagas: str
    orders: str
    stock: str
    payments: str
    books: Path
    """The card provider's own, which is elsewhere."""

    @classmethod
    def of_one(cls, database: str, books: Path | None = None) -> Databases:
        """All in one; `books`: if they are not beside a file."""
        return cls(*[database] * 4, books or books_of(Path(database)))

    @classmethod
    def of_services(cls, folder: Path, url: str = "") -> Databases:
        """Each its own: a file, or a schema beside the one that this URL ends with."""
        files = {service: folder / f"{service}.db" for service in ("gateway", "order", "inventory", "payment")}
        each = [f"{url}_{service}" if url else str(file) for service, file in files.items()]
        return cls(*each, books_of(files["payment"]))

    def of(self, service: str) -> str:
        return {
            "gateway": self.sagas,
            "order": self.orders,
            "inventory": self.stock,
            "payment": self.payments,
        }[service]


async def check_all(databases: Databases, orders: dict[str, Any]) -> None:
    """One saga an order, all of them ended; stock, orders and money add up to the unit."""
    await check_sagas(databases.sagas, orders)
    counts = Counter(message.type for message in await messages(databases.orders))
    assert counts["orders.OrderPlaced"] == len(orders)
    for database in {databases.orders, databases.stock, databases.payments}:
        assert await outstanding(database) == []
    check_stock(await stock_of(databases.stock), orders)
    check_books(databases.books, orders)


async def check_sagas(database: str, orders: dict[str, Any]) -> None:
    async with reading(database) as store:
        sagas = await store.read_instances(InstanceQuery(limit=len(orders) + 1))
    ends = {"completed": "CONFIRMED", "compensated": "CANCELLED"}
    assert sorted(saga.row.key for saga in sagas) == sorted(orders)
    assert {saga.row.key: ends.get(saga.row.status) for saga in sagas} == {
        order_id: order["status"] for order_id, order in orders.items()
    }
    assert await outstanding(database) == []


def check_stock(stock: Stock, orders: dict[str, Any]) -> None:
    """What confirmed orders hold, and what is free, is what there was."""
    confirmed = {order_id: order for order_id, order in orders.items() if order["status"] == "CONFIRMED"}
    assert stock.held == {order_id: units(order) for order_id, order in confirmed.items()}
    sold = sum((Counter(units(order)) for order in confirmed.values()), Counter[str]())
    assert {product: free + sold[product] for product, free in stock.free.items()} == AT_THE_START


def check_books(books: Path, orders: dict[str, Any]) -> None:
    """The card provider charged once a key, and kept exactly what confirmed orders cost."""
    entries = [json.loads(line) for line in books.read_text().splitlines()]
    charges = [entry for entry in entries if entry["op"] == "charge"]
    assert max(Counter(entry["key"] for entry in charges).values(), default=1) == 1
    refunded = {entry["order_id"] for entry in entries if entry["op"] == "refund"}
    kept = {entry["order_id"]: Decimal(entry["amount"]) for entry in charges if entry["order_id"] not in refunded}
    assert len(kept) == sum(entry["order_id"] not in refunded for entry in charges)
    assert kept == {order_id: order["total"] for order_id, order in orders.items() if order["status"] == "CONFIRMED"}


def units(order: dict[str, Any]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for item in order["items"]:
        found[item["product_id"]] += item["quantity"]
    return dict(found)


async def messages(database: str) -> list[Envelope]:
    async with reading(database) as store:
        found: list[Envelope] = []
        while page := await store.read_messages(after=found[-1].position if found else 0):
            found += page
        return found


async def outstanding(database: str) -> list[tuple[str, str]]:
    """What is to be handled still: who is to handle what."""
    async with reading(database) as store:
        return [(one.consumer, one.envelope.type) for one in await store.read_deliveries()]


async def all_is_handled(databases: Databases) -> None:
    """Wait until every saga has ended, which it does after its order, and nothing is outstanding."""
    async with reading(databases.sagas) as store:
        while await store.read_instances(InstanceQuery(status="live")):
            await asyncio.sleep(0.1)
    for database in {databases.sagas, databases.orders, databases.stock, databases.payments}:
        while await outstanding(database):
            await asyncio.sleep(0.1)


async def stock_of(database: str) -> Stock:
    """The stock, as its events in this log say."""
    codecs, stock = shop.topology().codecs, Stock()
    for message in await messages(database):
        if message.kind == "event" and message.type.startswith("inventory."):
            stock = stock.evolve(codecs.decode(message.type, message.version, message.payload))
    return stock
