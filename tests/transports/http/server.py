"""A small HTTP server in the test's own process: it answers as a test says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

Answering = Callable[["Request"], str]


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def told(self) -> Any:
        return json.loads(self.body)


@dataclass
class Service:
    """What came, and what is answered: a status line, `|headers` and `|body` where there are any."""

    port: int = 0
    requests: list[Request] = field(default_factory=list[Request])
    answers: list[str] = field(default_factory=list[str])
    answering: Answering | None = None
    hangs: bool = False
    writers: list[asyncio.StreamWriter] = field(default_factory=list[asyncio.StreamWriter])
    tasks: list[Any] = field(default_factory=list[Any])

    def url(self, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}"

    def will(self, status: str, body: object = None, **headers: str) -> None:
        self.answers.append(answered(status, body, **headers))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        self.tasks.append(asyncio.current_task())
        try:
            while request := await _read(reader):
                self.requests.append(request)
                if self.hangs:
                    await reader.read()
                    return
                if self.answering is not None:
                    answer = self.answering(request)
                else:
                    answer = self.answers.pop(0) if self.answers else answered("204 No Content")
                writer.write(answer.encode())
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # who asked has gone
        finally:
            writer.close()


def answered(status: str, body: object = None, **headers: str) -> str:
    text = body if isinstance(body, str) else "" if body is None else json.dumps(body)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if not status.startswith("204"):
        sent["content-length"] = str(len(text.encode()))
    lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    return f"HTTP/1.1 {status}\r\n{lines}\r\n{text}"


async def _read(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, path, headers, body)


@asynccontextmanager
async def serving() -> AsyncIterator[Service]:
    service = Service()
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0)
    service.port = server.sockets[0].getsockname()[1]
    try:
        yield service
    finally:
        server.close()
        for writer in service.writers:
            writer.close()
        await asyncio.gather(*service.tasks)
