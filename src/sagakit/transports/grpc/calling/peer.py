"""A service that calls go to, looked after: readiness says when it does not serve."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from sagakit.ports import Doors
from sagakit.transports.grpc.calling.channel import connected

EVERY = 1.0
"""Seconds between two looks, and seconds that the service has to answer one."""


class Peer:
    """A link that asks a service for its health (grpc.health.v1). What it finds keeps the engine from nothing."""

    def __init__(
        self, name: str, target: str, *, every: float = EVERY, options: Sequence[tuple[str, Any]] = ()
    ) -> None:
        """`name`: as people know the service. `target`: `host:port`."""
        self.name = name
        self._target = target
        self._every = every
        self._options = options
        self._down: str | None = "not asked yet"

    def ready(self) -> str | None:
        """None if it serves."""
        return self._down and f"{self._target} does not serve ({self._down})"

    async def run(self, doors: Doors) -> None:
        """Look, until it is cancelled."""
        async with connected(self._target, options=self._options) as channel:
            stub: Any = cast(Any, health_pb2_grpc).HealthStub(channel)
            while True:
                self._down = await self._look(stub)
                await asyncio.sleep(self._every)

    async def _look(self, stub: Any) -> str | None:
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=self._every)
        except grpc.aio.AioRpcError as error:
            return error.code().name
        if answer.status == health_pb2.HealthCheckResponse.SERVING:
            return None
        return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
