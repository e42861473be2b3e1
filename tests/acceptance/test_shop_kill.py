"""The shop killed with -9 among two hundred orders: nothing acknowledged is lost, nothing is done twice."""

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.acceptance.kept import on_kept_stores
from tests.acceptance.shop.audit import Databases, all_is_handled, check_all
from tests.acceptance.shop.clients import Clients, orders_of, settled

from sagakit.demos.shop.run import BOOKS

pytestmark = pytest.mark.long

ORDERS, CLIENTS = 200, 20


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
async def opened(databases: Databases) -> AsyncIterator[Shop]:
    arguments = ["-m", "sagakit", "demo", "--port", "0", "--db", databases.sagas]
    environment = os.environ | {BOOKS: str(databases.books)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    running = Shop(process)
    try:
        await running.is_open()
        yield running
    finally:
        print(running.said[-2000:])  # shown if the test fails
        if process.returncode is None:
            await running.end(signal.SIGKILL)


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


@pytest.mark.timeout(300)
@on_kept_stores("seed", sqlite=range(20), postgresql=range(5))
async def test_everything_adds_up(seed: int, kept_url: str, tmp_path: Path) -> None:
    chance = random.Random(seed)
    databases = Databases.of_one(kept_url, tmp_path / "books")
    clients = Clients(orders_of(chance, ORDERS), CLIENTS)
    async with opened(databases) as running:
        await killed_at_random(running, clients, chance)
    before = dict(clients.acknowledged)
    if chance.random() < 0.3:  # once more, while it recovers
        async with opened(databases) as running:
            await killed_at_random(running, clients, chance)
    async with opened(databases) as running:
        early = await settled(running.address, [json.loads(answer)["id"] for answer in before.values()])
        await clients.order_all(running)
        ids = {key: json.loads(answer)["id"] for key, answer in clients.acknowledged.items()}
        orders = await settled(running.address, list(ids.values()))
        await all_is_handled(databases)  # orders are settled before all was told
        assert await running.end(signal.SIGTERM) == 0, running.said

    assert len(set(ids.values())) == len(clients.orders) == ORDERS
    assert all(orders[order_id]["status"] == order["status"] for order_id, order in early.items())
    await check_all(databases, orders)
