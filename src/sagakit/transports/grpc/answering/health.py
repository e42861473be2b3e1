"""grpc.health.v1: whether requests can be answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from grpc_health.v1 import health, health_pb2, health_pb2_grpc

NAME = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
_Status = health_pb2.HealthCheckResponse


class Health:
    """Asks at each check; who watches is told what the checks have found, and of the end."""

    def __init__(self, ready: Callable[[], str | None], services: Sequence[str]) -> None:
        self._told: Any = cast(Any, health).aio.HealthServicer()
        self._ready = ready
        self._services = ("", *services)

    def add_to(self, server: Any) -> None:
        """Have a server answer for it."""
        cast(Any, health_pb2_grpc).add_HealthServicer_to_server(self, server)

    async def end(self) -> None:
        """From now on it does not serve: who balances load looks elsewhere."""
        await self._told.enter_graceful_shutdown()

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802 (the name on the wire)
        """The status of a service, or ("") of the server."""
        await self._look()
        return await self._told.Check(request, context)

    async def Watch(self, request: Any, context: Any) -> Any:  # noqa: N802 (the name on the wire)
        """The same, now and whenever it is found to have changed."""
        await self._look()
        await self._told.Watch(request, context)

    def __getattr__(self, name: str) -> Any:
        """What else the service has."""
        return getattr(self._told, name)

    async def _look(self) -> None:
        status = _Status.SERVING if self._ready() is None else _Status.NOT_SERVING
        for name in self._services:
            await self._told.set(name, status)
