"""The server beside an engine: where it may listen, and how it ends."""

import asyncio
import socket
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import uvicorn
from litestar import Litestar, get

from sagakit import App, Engine, Saga, Stopping, TerminalError
from sagakit.server.routes.health import health
from sagakit.server.serve import CannotServe, address_of, bind, serve

EMPTY = App("empty")


@dataclass(frozen=True)
class Begun:
    key: str


@dataclass(frozen=True)
class Enough:
    key: str


def test_takes_a_free_port() -> None:
    with bind(0) as bound:
        host, port = bound.getsockname()
        assert host == "127.0.0.1"
        assert address_of(bound) == f"http://127.0.0.1:{port}"


async def test_an_answer_is_not_held_back() -> None:
    with bind(0) as bound:
        delays: list[int] = []

        async def look(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            delays.append(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        async with await asyncio.start_server(look, sock=bound):
            reader, writer = await asyncio.open_connection(*bound.getsockname())
            await reader.read()
            writer.close()
        assert delays == [1]


def test_a_port_in_use_is_named() -> None:
    with bind(0) as bound:
        port = bound.getsockname()[1]
        with pytest.raises(CannotServe, match=rf"^port {port} on 127\.0\.0\.1 is in use: stop what listens there"):
            bind(port)
    bind(port).close()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])
def test_only_this_machine_is_served(host: str) -> None:
    with pytest.raises(CannotServe, match="no authentication yet"):
        bind(0, host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost"])
def test_every_name_of_this_machine_will_do(host: str) -> None:
    bind(0, host).close()


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_an_address_of_version_6_is_written_in_brackets() -> None:
    with bind(0, "::1") as bound:
        assert address_of(bound).startswith("http://[::1]:")


def test_a_port_that_cannot_be_is_named() -> None:
    with pytest.raises(CannotServe, match="70000 cannot be served"):
        bind(70_000)


def test_it_is_an_error_of_the_users_kind() -> None:
    assert issubclass(CannotServe, TerminalError)


class Server:
    """A server that runs, with a request that waits to be let go."""

    def __init__(self, engine: Engine, bound: socket.socket) -> None:
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()
        self.address = address_of(bound)

        @get("/slow")
        async def slow() -> str:
            self.reached.set()
            await self.go_on.wait()
            return "done"

        app = Litestar([slow, *health(engine)], openapi_config=None, logging_config=None)
        self.told = asyncio.Event()
        self.serving = asyncio.ensure_future(serve(engine, app, bound, self.told))


async def asked(address: str) -> Any:
    async with httpx.AsyncClient(timeout=60) as client:
        return (await client.get(f"{address}/health/ready")).json()


async def test_a_stop_finishes_what_is_being_answered() -> None:
    async with EMPTY.engine("memory://") as engine, httpx.AsyncClient(timeout=60) as client:
        server = Server(engine, bind(0))
        assert await asked(server.address) == {"status": "ready"}
        slow = asyncio.ensure_future(client.get(f"{server.address}/slow"))
        await server.reached.wait()
        server.told.set()
        server.go_on.set()
        assert (await slow).text == "done"
        await server.serving
        with pytest.raises(httpx.ConnectError):
            await asked(server.address)
        assert engine.ready() is None, "the engine is stopped after it, by whoever started it"


async def test_no_websocket_goes_past_the_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever library for them is installed: what answers here looks at requests."""
    configs: list[uvicorn.Config] = []

    class Kept(uvicorn.Config):
        def __init__(self, *args: Any, **named: Any) -> None:
            super().__init__(*args, **named)
            configs.append(self)

    monkeypatch.setattr(uvicorn, "Config", Kept)
    async with EMPTY.engine("memory://") as engine:
        server = Server(engine, bind(0))
        assert await asked(server.address) == {"status": "ready"}
        server.told.set()
        await server.serving
    assert [one.ws for one in configs] == ["none"]


async def test_those_who_watch_do_not_hold_a_stop_up() -> None:
    app = App("patience")

    @app.saga(key="key", receives=Enough)
    async def waits(begun: Begun, saga: Saga) -> None:
        await saga.receive(Enough)

    async with app.engine("memory://") as engine, httpx.AsyncClient(timeout=60) as client:
        watched = asyncio.Event()

        @get("/watch")
        async def watch() -> str:
            try:
                async for _ in engine.watch(waits, "a"):
                    watched.set()
            except Stopping as stopping:
                return str(stopping)
            return "ended"

        await engine.publish(Begun("a"))
        bound, told = bind(0), asyncio.Event()
        serving = asyncio.ensure_future(
            serve(engine, Litestar([watch], openapi_config=None, logging_config=None), bound, told)
        )
        asking = asyncio.ensure_future(client.get(f"{address_of(bound)}/watch"))
        await watched.wait()
        told.set()
        assert (await asking).text == "the engine is being stopped: watch again from your cursor"
        await serving


async def test_an_engine_that_stops_ends_the_server() -> None:
    async with EMPTY.engine("memory://") as engine:
        server = Server(engine, bind(0))
        assert await asked(server.address) == {"status": "ready"}
        await engine.stop()
        await server.serving


async def test_what_the_engine_died_of_is_raised() -> None:
    async with EMPTY.engine("memory://") as engine:
        server = Server(engine, bind(0))
        assert await asked(server.address) == {"status": "ready"}
        engine.fatal = RuntimeError("the disk is gone")
        await engine.stop()
        with pytest.raises(RuntimeError, match="the disk is gone"):
            await server.serving
        engine.fatal = None


async def test_who_connects_before_it_is_served_waits() -> None:
    bound = bind(0)
    early = asyncio.ensure_future(asked(address_of(bound)))
    async with EMPTY.engine("memory://") as engine:
        server = Server(engine, bound)
        assert await early == {"status": "ready"}
        server.serving.cancel()
        await asyncio.wait([server.serving])
