"""The document that describes the API, held against the API."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator

import httpx
import pytest
from tests.server.conftest import BookRoom, RoomBooked, rooms

from sagakit.demos.shop.app import shop_app
from sagakit.server.api import api
from sagakit.server.serve import address_of, bind, serve

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_schema_conformance,response_headers_conformance,unsupported_method"
)


@pytest.fixture
def address() -> Iterator[str]:
    """An app with a few processes on a port, in a thread of its own."""
    started, ended = threading.Event(), threading.Event()
    found: list[str] = []

    async def run() -> None:
        told = asyncio.Event()
        with bind(0) as bound:
            async with rooms().engine("memory://") as engine:
                await engine.send_and_wait(BookRoom("a"), until=RoomBooked)
                found.append(address_of(bound))
                asyncio.get_running_loop().run_in_executor(
                    None, lambda: (ended.wait(), loop.call_soon_threadsafe(told.set))
                )
                loop = asyncio.get_running_loop()
                started.set()
                await serve(engine, api(engine), bound, told)

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    started.wait(60)
    yield found[0]
    ended.set()
    thread.join(60)


@pytest.mark.long
@pytest.mark.timeout(360)
def test_no_request_is_answered_otherwise_than_the_document_says(address: str) -> None:
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{address}/schema/openapi.json"]
    options = ["--checks", CHECKS, "--exclude-path-regex", "watch$", "--max-examples", "25", "--seed", "1"]
    said = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout[-6000:] + said.stderr


async def test_every_command_has_its_own_fields() -> None:
    async with shop_app().engine("memory://") as engine:
        transport = httpx.ASGITransport(api(engine))
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            document = (await client.get("/schema/openapi.json")).json()
    paths = document["paths"]
    assert "/api/v1/commands/{name}" not in paths
    body = paths["/api/v1/commands/orders.PlaceOrder"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    schema = document["components"]["schemas"][body["$ref"].rpartition("/")[2]]
    assert set(schema["required"]) == {"order_id", "customer_id", "items", "at"}
    for path in ("/api/v1/processes", "/api/v1/processes/{id}/watch", "/api/v1/stories/{correlation_id}"):
        assert path in paths
    assert document["openapi"] == "3.1.0"
    assert document["servers"] == [{"url": "/"}]
