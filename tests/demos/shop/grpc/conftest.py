"""The shop's services over engines in this process, called as any client calls them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from tests.each_store import new_url

from sagakit import Engine
from sagakit.demos.shop.gateway import gateway
from sagakit.demos.shop.grpc.generated.inventory_pb2_grpc import InventoryStub
from sagakit.demos.shop.grpc.generated.order_pb2_grpc import OrderStub
from sagakit.demos.shop.grpc.generated.payment_pb2_grpc import PaymentStub
from sagakit.demos.shop.grpc.wiring import GrpcWiring
from sagakit.demos.shop.services.app import service_app
from sagakit.demos.shop.services.orders_there import OrdersThere
from sagakit.demos.shop.services.wiring import Service
from sagakit.transports.grpc import connected

STUBS: Mapping[Service, Any] = {"order": OrderStub, "inventory": InventoryStub, "payment": PaymentStub}


@dataclass
class Services:
    """Engines and stubs by service."""

    engines: dict[Service, Engine]
    addresses: dict[Service, str]
    stubs: dict[Service, Any]


@pytest.fixture
async def services() -> AsyncIterator[Services]:
    """The three that are called."""
    found = Services({}, {}, {})
    async with AsyncExitStack() as stack:
        for service, stub in STUBS.items():
            wiring = GrpcWiring({})
            engine = await stack.enter_async_context(service_app(service, wiring).engine(new_url()))
            where = await stack.enter_async_context(wiring.answering(service, engine, 0))
            found.engines[service] = engine
            found.addresses[service] = where.split()[-1]
            channel = await stack.enter_async_context(connected(found.addresses[service]))
            found.stubs[service] = stub(channel)
        yield found


@pytest.fixture
async def client(services: Services) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the gateway, which reaches the others over gRPC."""
    wiring = GrpcWiring(services.addresses)
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(service_app("gateway", wiring).engine(new_url()))
        await stack.enter_async_context(wiring.answering("gateway", engine, 0))
        services.engines["gateway"] = engine
        transport = httpx.ASGITransport(gateway(engine, OrdersThere(engine, wiring)))
        yield await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://shop"))
