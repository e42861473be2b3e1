"""The API inside a user's own app."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount
from tests.each_store import ON_EACH_STORE, new_url, only_on
from tests.server.conftest import rooms

from sagakit import App
from sagakit.server import asgi

pytestmark = ON_EACH_STORE


def in_fastapi(app: App) -> Any:
    host = FastAPI(lifespan=app.lifespan(new_url()))

    @host.get("/own")
    async def own() -> str:
        return "own"

    host.mount("/sagas", asgi(app))
    return host


def in_starlette(app: App) -> Any:
    return Starlette(routes=[Mount("/sagas", asgi(app))], lifespan=app.lifespan(new_url()))


HOSTS = [in_fastapi, in_starlette]


@pytest.mark.parametrize("hosted", HOSTS)
async def test_links_name_the_place_of_the_mount(hosted: Callable[[App], Any]) -> None:
    app = rooms()
    host = hosted(app)
    async with (
        host.router.lifespan_context(host),
        httpx.AsyncClient(transport=httpx.ASGITransport(host), base_url="http://host") as client,
    ):
        headers = {"Prefer": "wait=10"}
        sent = await client.post("/sagas/api/v1/commands/rooms.BookRoom", json={"room_id": "a"}, headers=headers)
        assert sent.status_code == 200
        assert sent.json()["outcome"] == {"message": "rooms.RoomBooked", "payload": {"room_id": "a"}}
        assert sent.headers["location"] == f"/sagas/api/v1/stories/{sent.json()['correlation_id']}"
        assert (await client.get(sent.headers["location"])).status_code == 200
        document = (await client.get("/sagas/schema/openapi.json")).json()
        assert document["servers"] == [{"url": "/sagas"}]
        assert "/api/v1/processes" in document["paths"]
        listed = await client.get("/sagas/api/v1/processes")
        assert [one["key"] for one in listed.json()["items"]] == ["a"]


@only_on("memory", because="no store is asked")
async def test_the_host_keeps_its_own_routes_and_errors_stay_ours() -> None:
    app = rooms()
    host = in_fastapi(app)
    async with (
        host.router.lifespan_context(host),
        httpx.AsyncClient(transport=httpx.ASGITransport(host), base_url="http://host") as client,
    ):
        assert (await client.get("/own")).json() == "own"
        missing = await client.get("/sagas/api/v1/nothing")
        assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")


@only_on("memory", because="there is none")
async def test_without_an_engine_it_says_so() -> None:
    host = in_fastapi(rooms())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(host), base_url="http://host") as client:
        answer = await client.get("/sagas/api/v1/processes")
    assert (answer.status_code, answer.json()["error"]) == (503, "stopping")
    assert "lifespan" in answer.json()["detail"]


@only_on("memory", because="that its store is empty shows that it is another one")
async def test_the_next_engine_is_found() -> None:
    app = rooms()
    host = in_fastapi(app)
    for _ in range(2):
        async with (
            host.router.lifespan_context(host),
            httpx.AsyncClient(transport=httpx.ASGITransport(host), base_url="http://host") as client,
        ):
            assert (await client.get("/sagas/health/ready")).status_code == 200
            assert (await client.get("/sagas/api/v1/processes")).json()["items"] == []
            await client.post("/sagas/api/v1/commands/rooms.BookRoom", json={"room_id": "a"})
