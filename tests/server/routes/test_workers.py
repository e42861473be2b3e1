"""The workers of a database over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from tests.each_store import ON_EACH_STORE, new_url, only_on
from tests.engine.stage import PATIENCE
from tests.engine.workers.crew import Crew
from tests.server.conftest import rooms

from sagakit import Engine
from sagakit.core.commit import Commit, Delivery, Envelope
from sagakit.server.api import api


async def asked(engine: Engine, path: str) -> Any:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api(engine)), base_url="http://rooms") as client:
        answer = await client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    return answer.json()


async def test_each_of_them_with_where_its_own_metrics_are() -> None:
    crew = Crew(rooms())
    for number, name in enumerate(("one", "two")):
        engine = await crew.join(name)
        await engine.store.announce(f"http://127.0.0.1:{9000 + number}")
    await crew.join("silent")
    await crew.settle()
    items = (await asked(crew.engines["one"], "/api/v1/workers"))["items"]
    assert {one["name"]: one["url"] for one in items} == {
        "one": "http://127.0.0.1:9000",
        "two": "http://127.0.0.1:9001",
        "silent": None,
    }
    assert all(one["consumers"] and one["partitions"] and one["app"] == "rooms" for one in items)
    targets = await asked(crew.engines["two"], "/metrics/targets")
    assert {one["labels"]["worker"]: one["targets"] for one in targets} == {
        "one": ["127.0.0.1:9000"],
        "two": ["127.0.0.1:9001"],
    }
    await crew.crash("one")
    assert [one["labels"]["worker"] for one in await asked(crew.engines["two"], "/metrics/targets")] == ["two"]
    for name in ("two", "silent"):
        await crew.leave(name)


@ON_EACH_STORE
@only_on("memory", "sqlite", because="several may share one on a server")
async def test_where_one_engine_owns_the_database_there_are_none() -> None:
    async with rooms().engine(new_url()) as engine:
        assert await asked(engine, "/api/v1/workers") == {"items": [], "unclaimed": []}
        assert await asked(engine, "/metrics/targets") == []


@ON_EACH_STORE
@only_on("postgresql", because="several have to share it")
async def test_those_of_a_server() -> None:
    url = new_url()
    async with rooms().engine(url, worker="one") as one, rooms().engine(url, worker="two") as two:
        for number, engine in enumerate((one, two)):
            await engine.store.announce(f"http://127.0.0.1:{9000 + number}")
        items: list[Any] = []
        async with asyncio.timeout(PATIENCE):
            while not items or not all(item["partitions"] for item in items):
                items = (await asked(two, "/api/v1/workers"))["items"]
        assert {item["name"]: item["url"] for item in items} == {
            "one": "http://127.0.0.1:9000",
            "two": "http://127.0.0.1:9001",
        }
        targets = await asked(one, "/metrics/targets")
        assert {target["labels"]["worker"] for target in targets} == {"one", "two"}


async def test_what_none_of_them_has_code_for() -> None:
    crew = Crew(rooms())
    engine = await crew.join("one")
    await crew.settle()
    envelope = Envelope("m", "command", "rooms.Gone", b"{}", "m", 0)
    deliveries = [Delivery(envelope, "rooms.gone", "m")]
    await engine.store.commit([Commit(messages=[envelope], deliveries=deliveries)])
    assert (await asked(engine, "/api/v1/workers"))["unclaimed"] == [{"consumer": "rooms.gone", "deliveries": 1}]
    await crew.leave("one")
