"""The shop, running behind its gateway."""

from collections.abc import AsyncIterator

import httpx
import pytest
from tests.each_store import new_url

from sagakit import Engine
from sagakit.demos.shop.app import shop
from sagakit.demos.shop.gateway import gateway


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    async with shop.engine(new_url()) as engine:
        yield engine


@pytest.fixture
async def client(engine: Engine) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(gateway(engine))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        yield client
