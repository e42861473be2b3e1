"""The HTTP server beside an engine: on this machine only, stopped gracefully."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import uvicorn

from sagakit.engine.engine import Engine
from sagakit.errors import TerminalError
from sagakit.server.hosts import THIS_MACHINE, Hosts, guarded
from sagakit.server.trace import traced

if TYPE_CHECKING:
    from litestar.types import ASGIApp

LOOPBACK = "127.0.0.1"
FINISH_WITHIN = 5
"""Seconds that a stop waits for requests that are being answered."""


class CannotServe(TerminalError):
    """The address cannot be served; the text says why and what to do."""


def bind(port: int, host: str = LOOPBACK) -> socket.socket:
    """The address, ours from now on: who connects waits until it is served. `port` 0 takes a free one.

    Raises CannotServe.
    """
    address = _loopback(host)
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    # asyncio turns Nagle's delay off only where the protocol is named: without it each answer takes 40 ms
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((str(address), port))
        bound.listen()
    except (OSError, OverflowError) as error:
        bound.close()
        raise CannotServe(_why(error, str(address), port)) from error
    return bound


def address_of(bound: socket.socket) -> str:
    """The URL of a bound socket."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve(
    engine: Engine,
    app: ASGIApp,
    bound: socket.socket,
    told: asyncio.Event,
    *,
    shared: socket.socket | None = None,
    hosts: Hosts = THIS_MACHINE,
) -> None:
    """Answer requests until `told` (to stop, by a signal); then finish those under way, and return.

    `shared`: a socket at which other processes answer as well. `hosts`: the names that it may be asked by.
    Raises what the engine died of, if it dies before.
    """
    waiting = {asyncio.ensure_future(told.wait()), asyncio.ensure_future(engine.stopped())}
    server = _Server(
        uvicorn.Config(
            guarded(traced(app), hosts),
            lifespan="off",
            ws="none",  # there are no WebSockets: none goes past the guard
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=FINISH_WITHIN,
        )
    )
    await engine.store.announce(address_of(bound))  # the command line acts through this door
    sockets = [bound] if shared is None else [bound, shared]
    serving = asyncio.ensure_future(server.serve(sockets=sockets))
    try:
        await asyncio.wait({*waiting, serving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()
        engine.end_watches()  # else those who wait for news would hold the server up
        server.should_exit = True
        await serving
    if engine.fatal is not None:
        raise engine.fatal


class _Server(uvicorn.Server):
    """Leaves signals alone: the engine has to stop as well, and after it."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def _loopback(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    with suppress(ValueError):
        address = ipaddress.ip_address(LOOPBACK if host == "localhost" else host)
        if address.is_loopback:
            return address
    raise CannotServe(
        f"{host} is not this machine alone: there is no authentication yet, so serve {LOOPBACK}, ::1 or localhost"
    )


def _why(error: Exception, host: str, port: int) -> str:
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        return f"port {port} on {host} is in use: stop what listens there, or choose another port"
    if number == errno.EACCES:
        return f"port {port} on {host} is not for this user: choose one above 1023"
    return f"{host}:{port} cannot be served: {error}"
