"""The services that calls go to, looked after: readiness names the one that does not serve."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, cast

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from sagakit.ports import Doors
from sagakit.transports.grpc.channel import connected

EVERY = 1.0
"""Seconds between two looks, and seconds that a service has to answer one."""


class Peers:
    """A link that asks services for their health (grpc.health.v1). What it finds keeps the engine from nothing."""

    name = "services"

    def __init__(
        self, targets: Mapping[str, str], *, every: float = EVERY, options: Sequence[tuple[str, Any]] = ()
    ) -> None:
        """`targets`: `host:port` by the name that people know a service by."""
        self._targets = targets
        self._every = every
        self._options = options
        self._down: dict[str, str] = dict.fromkeys(targets, "it was not asked yet")

    def ready(self) -> str | None:
        """None if all serve; else those that do not."""
        down = [f"{name} at {self._targets[name]} is down ({why})" for name, why in self._down.items()]
        return ", ".join(down) or None

    async def run(self, doors: Doors) -> None:
        """Look, until it is cancelled."""
        async with AsyncExitStack() as stack:
            stubs: dict[str, Any] = {}
            for name, target in self._targets.items():
                channel = await stack.enter_async_context(connected(target, options=self._options))
                stubs[name] = cast(Any, health_pb2_grpc).HealthStub(channel)
            while True:
                await asyncio.gather(*(self._look(name, stub) for name, stub in stubs.items()))
                await asyncio.sleep(self._every)

    async def _look(self, name: str, stub: Any) -> None:
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=self._every)
        except grpc.aio.AioRpcError as error:
            self._down[name] = error.code().name
            return
        if answer.status == health_pb2.HealthCheckResponse.SERVING:
            self._down.pop(name, None)
        else:
            self._down[name] = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
