"""A server for services of your own: with health, reflection and an orderly end."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from grpc_reflection.v1alpha import reflection

from sagakit.errors import TerminalError
from sagakit.transports.grpc.answering.health import NAME, Health
from sagakit.transports.grpc.answering.incoming import ReadsMetadata

FINISH_WITHIN = 5.0
"""Seconds that a stop waits for requests that are being answered."""


class CannotServe(TerminalError):
    """The address cannot be served."""


@dataclass(frozen=True)
class Served:
    """A server that answers."""

    server: grpc.aio.Server
    port: int
    """The one that was asked for; the one that was free where that was 0."""
    services: tuple[str, ...]


@asynccontextmanager
async def serving(
    address: str,
    *services: Callable[[Any], None],
    ready: Callable[[], str | None] = lambda: None,
    credentials: grpc.ServerCredentials | None = None,
    interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
    options: Sequence[tuple[str, Any]] = (),
    finish_within: float = FINISH_WITHIN,
) -> AsyncGenerator[Served]:
    """Serve at `address` (`host:port`) until the context ends; what is being answered then has some seconds.

    `services`: each adds one to a server, `lambda server: add_PaymentServicer_to_server(servicer, server)`.
    `ready`: why requests cannot be answered, None while they can (`engine.ready`): grpc.health.v1 says so.
    Raises CannotServe.
    """
    server = grpc.aio.server(
        interceptors=[ReadsMetadata(), *interceptors],
        # two servers must not share a port: requests would go to either
        options=[("grpc.so_reuseport", 0), *options],
    )
    named = _Noting(server)
    for add in services:
        add(named)
    health = Health(ready, named.services)
    health.add_to(server)
    reflection.enable_server_reflection((*named.services, NAME, reflection.SERVICE_NAME), server)
    port = _bound(server, address, credentials)
    await server.start()
    try:
        yield Served(server, port, tuple(named.services))
    finally:
        await health.end()
        await server.stop(finish_within)


def _bound(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None) -> int:
    try:
        port = (
            server.add_insecure_port(address) if credentials is None else server.add_secure_port(address, credentials)
        )
    except RuntimeError:
        port = 0
    if not port:
        raise CannotServe(f"{address} cannot be served: is the port in use?")
    return port


class _Noting:
    """Takes what generated code adds to a server, and notes the names of the services."""

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server
        self.services: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._server, name)

    def add_generic_rpc_handlers(self, handlers: Sequence[Any]) -> None:
        self.services += [handler.service_name() for handler in handlers if hasattr(handler, "service_name")]
        self._server.add_generic_rpc_handlers(handlers)
