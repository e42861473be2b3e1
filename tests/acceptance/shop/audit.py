"""The auditor of the shop: sagas, orders, stock and the card provider's books must add up to the unit."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from sagakit.core.commit import Envelope
from sagakit.core.queries import InstanceQuery
from sagakit.demos.shop.app import shop
from sagakit.demos.shop.inventory.stock import AT_THE_START, Stock
from sagakit.demos.shop.payments.cards import books_of
from sagakit.stores.sqlite.store import SqliteStore


@dataclass(frozen=True)
class Databases:
    """Where the parts of the shop keep what they know; all the same where it is one process."""

    sagas: Path
    orders: Path
    stock: Path
    payments: Path

    @classmethod
    def of_services(cls, folder: Path) -> Databases:
        return cls(*(folder / f"{service}.db" for service in ("gateway", "order", "inventory", "payment")))

    def of(self, service: str) -> Path:
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
    check_books(databases.payments, orders)


async def check_sagas(database: Path, orders: dict[str, Any]) -> None:
    async with SqliteReader(database) as store:
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


def check_books(database: Path, orders: dict[str, Any]) -> None:
    """The card provider charged once a key, and kept exactly what confirmed orders cost."""
    books = books_of(database)
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


class SqliteReader:
    """A database, open for reading."""

    def __init__(self, database: Path) -> None:
        self._store = SqliteStore(database)

    async def __aenter__(self) -> SqliteStore:
        await self._store.open(own=False)
        return self._store

    async def __aexit__(self, *_: object) -> None:
        await self._store.close()


async def messages(database: Path) -> list[Envelope]:
    async with SqliteReader(database) as store:
        return [message for after in range(0, 20_000, 1000) for message in await store.read_messages(after=after)]


async def outstanding(database: Path) -> list[Any]:
    async with SqliteReader(database) as store:
        return list(await store.read_deliveries())


async def stock_of(database: Path) -> Stock:
    """The stock, as its events in this log say."""
    codecs, stock = shop.topology().codecs, Stock()
    for message in await messages(database):
        if message.kind == "event" and message.type.startswith("inventory."):
            stock = stock.evolve(codecs.decode(message.type, message.version, message.payload))
    return stock
