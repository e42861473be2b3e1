"""Clients: they send orders, each with its key until it is acknowledged, and write down every acknowledgement."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import httpx
from tests.chaos.orders import PRODUCTS
from tests.chaos.shipping import Fate

PATH = "/api/v1/commands/chaos.PlaceOrder"
FATES: tuple[Fate, ...] = get_args(Fate)
ACCEPTED = (200, 202)


class Clients:
    """Some clients of some doors."""

    def __init__(self, ports: Sequence[int], book: Path, chance: random.Random, pause: float) -> None:
        self._ports = ports
        self._book = book
        self._chance = chance
        self._pause = pause
        self._numbers = itertools.count(1)
        self.acknowledged: list[str] = []
        self.refused: list[str] = []
        """Answers that no client should see."""

    async def run(self, count: int, until: asyncio.Event) -> None:
        """Send until told to stop; what was begun is sent until it is acknowledged."""
        async with httpx.AsyncClient(timeout=5) as client:
            with self._book.open("a", encoding="utf-8", buffering=1) as book:
                await asyncio.gather(*(self._send(client, book.write, until) for _ in range(count)))

    async def _send(self, client: httpx.AsyncClient, write: object, until: asyncio.Event) -> None:
        assert callable(write)
        while not until.is_set():
            order = self._order(next(self._numbers))
            while not await self._is_acknowledged(client, order):
                await asyncio.sleep(0.05)
            write(f"{order['order_id']}\n")
            self.acknowledged.append(str(order["order_id"]))
            await asyncio.sleep(self._pause * self._chance.random() * 2)

    def _order(self, number: int) -> dict[str, object]:
        fate = self._chance.choice(FATES)
        product = f"product-{number % PRODUCTS}"
        return {"order_id": f"order-{number}", "product": product, "units": 1 + number % 3, "fate": fate}

    async def _is_acknowledged(self, client: httpx.AsyncClient, order: dict[str, object]) -> bool:
        headers = {"Idempotency-Key": f"key-{order['order_id']}", "Content-Type": "application/json"}
        url = f"http://127.0.0.1:{self._chance.choice(self._ports)}{PATH}"
        try:
            answer = await client.post(url, content=json.dumps(order), headers=headers)
        except httpx.HTTPError:
            return False
        if answer.status_code not in (*ACCEPTED, 409, 429, 503):
            self.refused.append(f"{answer.status_code}: {answer.text[:300]}")
        return answer.status_code in ACCEPTED
