"""Processes over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import msgspec
import pytest
from tests.each_store import ON_EACH_STORE, only_on
from tests.server.conftest import BookRoom, GuestLeft, RoomBooked, served

from sagakit import Engine
from sagakit.core.streams import instance_id

pytestmark = ON_EACH_STORE

STAY = "rooms.stay"


async def stays(engine: Engine, *rooms: str) -> None:
    for room in rooms:
        await engine.send_and_wait(BookRoom(room), until=RoomBooked)


async def ended(engine: Engine, room: str) -> None:
    await engine.publish(GuestLeft(room))
    await engine.wait(STAY, room)


async def listed(client: httpx.AsyncClient, **query: Any) -> list[str]:
    answer = await client.get("/api/v1/processes", params=query)
    assert answer.status_code == 200, answer.text
    return [one["key"] for one in answer.json()["items"]]


async def test_a_list_has_the_newest_first_and_filters(client: httpx.AsyncClient, engine: Engine) -> None:
    await stays(engine, "a", "b", "c")
    await ended(engine, "b")
    assert await listed(client) == ["c", "b", "a"]
    assert await listed(client, sort="oldest") == ["a", "b", "c"]
    assert await listed(client, status="live") == ["c", "a"]
    assert await listed(client, status="completed") == ["b"]
    assert await listed(client, type=STAY, key="a") == ["a"]
    assert await listed(client, type="rooms.other") == []
    assert await listed(client, older_than=3600) == []
    assert await listed(client, younger_than=3600) == ["c", "b", "a"]
    assert await listed(client, attribute="floor:1") == []


async def test_a_list_comes_in_pages(client: httpx.AsyncClient, engine: Engine) -> None:
    await stays(engine, "a", "b", "c")
    first = (await client.get("/api/v1/processes", params={"limit": 2})).json()
    assert [one["key"] for one in first["items"]] == ["c", "b"]
    second = (await client.get("/api/v1/processes", params={"limit": 2, "next": first["next"]})).json()
    assert ([one["key"] for one in second["items"]], second["next"]) == (["a"], None)


@only_on("memory", because="it is refused before a store is asked")
@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"status": "asleep"}, "status"),
        ({"next": "x"}, "x: no page came with that token"),
        ({"attribute": "floor"}, "'floor': write name:value"),
        ({"older_than": -1}, "older_than"),
    ],
)
async def test_a_query_that_does_not_fit_is_named(client: httpx.AsyncClient, query: Any, detail: str) -> None:
    answer = await client.get("/api/v1/processes", params=query)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert detail in problem["detail"]
    assert problem["type"] == f"urn:sagakit:problem:{problem['error']}"
    assert problem["status"] == 400


async def test_one_process_is_found_by_id_and_by_key(client: httpx.AsyncClient, engine: Engine) -> None:
    await stays(engine, "a")
    by_key = await client.get("/api/v1/processes/a")
    by_id = await client.get(f"/api/v1/processes/{instance_id(STAY, 'a')}")
    assert by_key.json() == by_id.json()
    assert (by_key.json()["status"], by_key.json()["waiting_for"]) == ("running", ["rooms.GuestLeft"])
    assert by_key.headers["etag"] == f'"{by_key.json()["version"]}"'
    missing = await client.get("/api/v1/processes/z")
    assert (missing.status_code, missing.json()["detail"]) == (404, "there is no process z")


async def test_a_client_may_wait_for_the_end(client: httpx.AsyncClient, engine: Engine) -> None:
    await stays(engine, "a")
    asking = asyncio.ensure_future(client.get("/api/v1/processes/a", headers={"Prefer": "wait=30"}))
    await engine.publish(GuestLeft("a"))
    answer = await asking
    assert answer.json()["status"] == "completed"
    assert answer.headers["preference-applied"] == "wait=30"


async def test_who_does_not_want_to_wait_longer_is_told_where_it_stands(
    client: httpx.AsyncClient, engine: Engine
) -> None:
    await stays(engine, "a")
    answer = await client.get("/api/v1/processes/a", headers={"Prefer": "wait=0"})
    assert (answer.status_code, answer.json()["status"]) == (200, "running")


async def test_a_history_comes_in_pages(client: httpx.AsyncClient, engine: Engine) -> None:
    await stays(engine, "a")
    await ended(engine, "a")
    whole = (await client.get("/api/v1/processes/a/history")).json()
    assert [one["message"] for one in whole["items"]] == [
        "rooms.RoomBooked",
        "rooms.GuestLeft",
        "rooms.CleanRoom",
        "rooms.RoomCleaned",
    ]
    found, rest = [], ""
    while rest is not None:
        query = {"limit": 1, "next": rest} if rest else {"limit": 1}
        page = (await client.get("/api/v1/processes/a/history", params=query)).json()
        found += page["items"]
        rest = page["next"]
    assert found == whole["items"]


async def events(lines: Any, count: int) -> list[dict[str, str]]:
    """The next so many events of a stream; comments and the wish to come again are passed over."""
    found: list[dict[str, str]] = []
    fields: dict[str, str] = {}
    async for line in lines:
        name, colon, value = line.partition(": ")
        if line == "" and fields:
            found.append(fields)
            fields = {}
            if len(found) == count:
                return found
        elif colon and name in ("id", "event", "data"):
            fields[name] = value
    return found


async def test_a_process_is_watched_to_its_end(engine: Engine) -> None:
    await stays(engine, "a")
    async with (
        served(engine) as address,
        httpx.AsyncClient(base_url=address, timeout=60) as client,
        client.stream("GET", "/api/v1/processes/a/watch") as stream,
    ):
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.aiter_lines()
        (now,) = await events(lines, 1)
        assert (now["event"], msgspec.json.decode(now["data"])["status"]) == ("update", "running")
        await engine.publish(GuestLeft("a"))
        left, cleaned, end = await events(lines, 3)
        assert msgspec.json.decode(left["data"])["event"]["message"] == "rooms.GuestLeft"
        assert msgspec.json.decode(cleaned["data"])["status"] == "completed"
        assert end["event"] == "end"


async def test_a_stream_goes_on_where_it_broke_off(engine: Engine, client: httpx.AsyncClient) -> None:
    await stays(engine, "a")
    await ended(engine, "a")
    for where in ({"params": {"after": "1"}}, {"headers": {"Last-Event-ID": "1"}}):
        answer = await client.get("/api/v1/processes/a/watch", **where)  # type: ignore[arg-type]
        told = [line for line in answer.text.splitlines() if line.startswith("id: ")]
        assert told == ["id: 2", "id: 3"]


async def test_a_cursor_of_the_future_is_told_so_with_where_it_stands(
    engine: Engine, client: httpx.AsyncClient
) -> None:
    await stays(engine, "a")
    answer = await client.get("/api/v1/processes/a/watch", params={"after": "77"})
    assert answer.status_code == 200
    assert "event: cursor_gone" in answer.text
    assert '"status":"running"' in answer.text


async def test_there_is_nothing_to_watch(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/v1/processes/z/watch")).status_code == 404
