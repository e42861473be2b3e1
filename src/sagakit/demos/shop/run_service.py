"""`sagakit demo shop --service NAME`: one of the shop's processes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sagakit.demos.running import Demo, demo
from sagakit.demos.shop.gateway import shop_server
from sagakit.demos.shop.greeting import gateway_greeting, service_greeting
from sagakit.demos.shop.run import others, provided
from sagakit.demos.shop.services.app import service_app
from sagakit.demos.shop.services.orders_there import OrdersThere
from sagakit.demos.shop.services.wiring import PORTS, Service, Wiring, addresses
from sagakit.server.api import api
from sagakit.telemetry.logs import log_to_stderr

HTTP_PORT = "SAGAKIT_HTTP_PORT"


def run_service(
    service: Service,
    port: int | None = None,
    db: str | None = None,
    fresh: bool = False,
    at: Sequence[str] = (),
    idempotency: str | None = None,
    kafka: str | None = None,
) -> None:
    """Run one process of the shop until it is told to stop. `at`: where others are, `NAME=HOST:PORT`.

    `kafka`: the URL of the broker that they speak over, instead of gRPC.
    """
    log_to_stderr()
    if kafka is None:
        places = addresses(at)
        wiring = _over_grpc(places)
    else:
        wiring, places = _over_kafka(kafka)
    port = PORTS[service] if port is None else port
    asyncio.run(_run(service, wiring, port, db, fresh, places, idempotency))


async def _run(
    service: Service,
    wiring: Wiring,
    port: int,
    db: str | None,
    fresh: bool,
    places: Mapping[Service, str],
    idempotency: str | None,
) -> None:
    # operators, and who reads metrics, have an HTTP door to each process: at a free port, unless one is named
    http = port if service == "gateway" else int(os.environ.get(HTTP_PORT) or 0)
    app = service_app(service, wiring)
    async with (
        demo(
            app, port=http, db=db, fresh=fresh, idempotency=idempotency, provide=provided, others=_beside(service)
        ) as opened,
        wiring.answering(service, opened.engine, port) as answering,
    ):
        if service == "gateway":
            await _gateway(opened, wiring, places)
        else:
            opened.terminal.open(service_greeting(opened.engine, service, answering, opened.address, opened.path))
            await opened.serve(api(opened.engine))


async def _gateway(opened: Demo, wiring: Wiring, places: Mapping[Service, str]) -> None:
    elsewhere = {service: address for service, address in places.items() if service != "gateway"}
    opened.terminal.open(await gateway_greeting(opened.engine, opened.address, opened.path, elsewhere))
    await opened.serve(shop_server(opened.engine, OrdersThere(opened.engine, wiring), fast=opened.fast))


def _over_grpc(places: Mapping[Service, str]) -> Wiring:
    from sagakit.demos.shop.grpc.wiring import GrpcWiring  # an extra: asked for only where it is needed

    return GrpcWiring(places)


def _over_kafka(url: str) -> tuple[Wiring, Mapping[Service, str]]:
    from sagakit.demos.shop.kafka.modules import TOPICS  # an extra as well
    from sagakit.demos.shop.kafka.wiring import KafkaWiring
    from sagakit.transports.kafka import Kafka

    kafka = Kafka(url)
    kafka.settings()  # what is wrong with the URL is said now
    return KafkaWiring(kafka), {service: f"topic {topics.asked}" for service, topics in TOPICS.items()}


def _beside(service: Service) -> Callable[[Path], tuple[Path, ...]]:
    """The files that belong to a process besides its database."""
    return others if service == "payment" else lambda path: ()
