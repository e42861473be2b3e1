"""The four processes of the shop, each of which can be killed, held and started anew."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from tests.acceptance.shop.audit import Databases
from tests.acceptance.shop.opened import service_words
from tests.servers.ports import free_port

from sagakit.demos.shop.run import BOOKS

SERVICES = ("order", "inventory", "payment", "gateway")


class Service:
    """One process, at a port that it keeps."""

    def __init__(self, name: str, port: int, words: Sequence[str], books: Path) -> None:
        self.name, self.port = name, port
        self._environment = os.environ | {BOOKS: str(books)}
        self.said = ""
        self._words = words
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return once it is open."""
        opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sagakit", *self._words),
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self._reading = asyncio.create_task(self._read(self._process, opened))
        await opened

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def end(self, number: int) -> int:
        """Send it a signal and wait for its end."""
        assert self._process is not None
        assert self._reading is not None
        self.signal(number)
        await self._reading
        return await self._process.wait()

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def _read(self, process: asyncio.subprocess.Process, opened: asyncio.Future[None]) -> None:
        assert process.stdout
        async for line in process.stdout:
            self.said += line.decode()
            if b"open at " in line or b"is open: " in line:
                opened.set_result(None)
        if not opened.done():
            opened.set_exception(AssertionError(f"{self.name} did not open:\n{self.said[-2000:]}"))


class Shop:
    """All four, at one address."""

    def __init__(self, folder: Path, kafka: str | None = None, url: str = "") -> None:
        self.databases = Databases.of_services(folder, url)
        ports = dict(zip(SERVICES, _free_ports(len(SERVICES)), strict=True))
        at = [word for name in SERVICES for word in ("--at", f"{name}=127.0.0.1:{ports[name]}")]
        at = at if kafka is None else ["--kafka", kafka]
        self.services = {
            name: Service(name, port, (*service_words(name, port, self.databases.of(name)), *at), self.databases.books)
            for name, port in ports.items()
        }
        self.address = f"http://127.0.0.1:{ports['gateway']}"
        self.ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        """Never: what was killed is started anew, and clients come again."""

    async def says(self, *, down: str) -> None:
        """Wait until the gateway's readiness names this service; "": none."""
        async with httpx.AsyncClient(base_url=self.address, timeout=60) as client:
            while True:
                reason = (await client.get("/health/ready")).json().get("reason", "")
                if (f"{down}: 127.0.0.1:" in reason) if down else not reason:
                    return


@asynccontextmanager
async def opened(folder: Path, kafka: str | None = None, url: str = "") -> AsyncIterator[Shop]:
    """All four, ended in order if nothing has failed. `kafka`: the broker that they speak over, instead of gRPC.

    `url`: they have schemas of this server, instead of files.
    """
    shop = Shop(folder, kafka, url)
    async with AsyncExitStack() as stack:
        for service in shop.services.values():
            stack.push_async_callback(_killed, service)
        await asyncio.gather(*(service.start() for service in shop.services.values()))
        yield shop
        for name in reversed(SERVICES):
            assert await shop.services[name].end(signal.SIGTERM) == 0, shop.services[name].said[-2000:]


async def _killed(service: Service) -> None:
    print(f"--- {service.name}\n{service.said[-2000:]}")  # shown if the test fails
    if service.runs:
        service.signal(signal.SIGCONT)
        await service.end(signal.SIGKILL)


def _free_ports(count: int) -> list[int]:
    """A service that is started anew must have the one that it had."""
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port())
    return [*ports]
