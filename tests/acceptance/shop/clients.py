"""Clients of a shop that may be killed while they order."""

from __future__ import annotations

import asyncio
import json
import random
from decimal import Decimal
from typing import Any, Protocol

import httpx

PATIENCE, WAITERS = 60, 10


class Running(Protocol):
    """A shop that takes orders at its address, until it has ended."""

    address: str
    ended: asyncio.Future[Any]


def orders_of(chance: random.Random, count: int) -> dict[str, str]:
    """Orders by their keys: some to be paid, some declined, some out of stock."""
    payable = chance.choice([0.1, 0.3, 0.8])
    orders: dict[str, str] = {}
    for number in range(count):
        products = chance.choices(["prod_1", "prod_2", "prod_3", "prod_9"], [6, 4, 1, 1], k=chance.choice([1, 1, 2]))
        price = chance.choice(["50.00", "0.10", "19.99"]) if chance.random() < payable else "600.00"
        items = ", ".join(
            f'{{"product_id": "{product}", "quantity": {chance.choice([1, 1, 2])}, "price": {price}}}'
            for product in products
        )
        orders[f"key-{number}"] = f'{{"customer_id": "c-{number % 7}", "items": [{items}]}}'
    return orders


async def place(running: Running, client: httpx.AsyncClient, key: str, body: str) -> str | None:
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
    """Some who order at the same time, and note what was acknowledged."""

    def __init__(self, orders: dict[str, str], clients: int) -> None:
        self.orders = orders
        self._clients = clients
        self.acknowledged: dict[str, str] = {}
        self._changed = asyncio.Condition()

    async def order_all(self, running: Running) -> None:
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
            await asyncio.gather(*(order_some(client) for _ in range(self._clients)))

    async def have(self, acknowledged: int) -> None:
        """Wait until so many orders are acknowledged."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.acknowledged) >= acknowledged)


async def settled(address: str, ids: list[str]) -> dict[str, Any]:
    """Every order, once it is no longer PENDING."""
    found: dict[str, Any] = {}
    asked = iter(ids)

    async def settle_some(client: httpx.AsyncClient) -> None:
        for order_id in asked:
            while True:
                answer = await client.get(f"/orders/{order_id}", headers={"Prefer": "wait=20"})
                if answer.status_code == 503:  # a service that was started anew is not found again yet
                    continue
                assert answer.status_code == 200, answer.text
                order = json.loads(answer.text, parse_float=Decimal)
                if order["status"] != "PENDING":
                    break
            found[order_id] = order

    async with httpx.AsyncClient(base_url=address, timeout=PATIENCE) as client:
        await asyncio.gather(*(settle_some(client) for _ in range(WAITERS)))
    return {order_id: found[order_id] for order_id in ids}
