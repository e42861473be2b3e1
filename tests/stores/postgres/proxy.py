"""A wire to a server that a test can cut: before a question has reached it, or before its answer is back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

ABOUT = b"shop.PlaceOrder"


class Proxy:
    """Passes everything on. With `cut`, the next message about an order ends its connection."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self.cut: Literal["before", "after", "late"] | None = None
        """Before it is passed on, after it was done, or before: and it is passed on once `go_on` is set."""
        self.go_on = asyncio.Event()
        self.arrived = asyncio.Event()
        self.flows = asyncio.Event()
        """While it is not set nothing is passed on, and no connection ends: a server that hangs."""
        self.flows.set()
        self._under_way: set[asyncio.Task[None]] = set()
        self._served: set[asyncio.Task[Any]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        served = asyncio.current_task()
        assert served is not None
        self._served.add(served)
        answers, questions = await asyncio.open_connection(*self._to)
        lost = asyncio.Event()
        answered = asyncio.Event()

        async def ask() -> None:
            while data := await reader.read(1 << 20):
                await self.flows.wait()
                if self.cut and ABOUT in data:
                    cut, self.cut = self.cut, None
                    lost.set()
                    if cut == "late":
                        writer.transport.abort()
                        await self.go_on.wait()
                    if cut != "before":
                        answered.clear()
                        questions.write(data)
                        await answered.wait()
                        self.arrived.set()
                    break
                questions.write(data)
            questions.transport.abort()
            writer.transport.abort()

        async def answer() -> None:
            while data := await answers.read(1 << 20):
                answered.set()
                if not lost.is_set():
                    writer.write(data)
            writer.close()

        tasks = {asyncio.create_task(ask()), asyncio.create_task(answer())}
        self._under_way |= tasks
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            self._under_way -= tasks
            for end in (questions, writer):
                end.transport.abort()
                with suppress(OSError):
                    await end.wait_closed()

    async def end(self) -> None:
        """Cut everything."""
        for task in list(self._under_way):
            task.cancel()
        await asyncio.gather(*self._served, return_exceptions=True)


@asynccontextmanager
async def proxied(url: str) -> AsyncGenerator[tuple[str, Proxy]]:
    """The URL of a proxy in front of this server, and its hands."""
    parts = urlsplit(url)
    proxy = Proxy(parts.hostname or "127.0.0.1", parts.port or 5432)
    async with await asyncio.start_server(proxy.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        netloc = f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{port}"
        yield urlunsplit(parts._replace(netloc=netloc)), proxy
        await proxy.end()
