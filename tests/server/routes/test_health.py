"""Readiness names what nobody will do, and does not take that for a fault of the worker that is asked."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from tests.engine.stage import until
from tests.engine.workers.crew import Crew
from tests.server.conftest import rooms

from sagakit.core.commit import Commit, Delivery, Envelope
from sagakit.errors import StoreFailed
from sagakit.server.api import api

WAITS = "3 deliveries wait for rooms.gone, which no living worker has code for"


def gone() -> Commit:
    envelope = Envelope("m", "command", "rooms.Gone", b"{}", "m", 0)
    return Commit(messages=[envelope], deliveries=[Delivery(envelope, "rooms.gone", f"m{lane}") for lane in range(3)])


async def test_what_no_living_worker_has_code_for_is_a_warning(monkeypatch: Any) -> None:
    monkeypatch.setattr("sagakit.server.showing.unclaimed.PATIENCE", 60.0)
    crew = Crew(rooms())
    engine = await crew.join("one")
    await crew.settle()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api(engine)), base_url="http://rooms") as client:

        async def ready() -> tuple[int, Any]:
            answer = await client.get("/health/ready")
            return answer.status_code, answer.json()

        assert await ready() == (200, {"status": "ready"})
        await engine.store.commit([gone()])
        await crew.advance(9)
        assert await ready() == (200, {"status": "ready"}), "it counts the deliveries of all, so not at each probe"
        await crew.advance(1)
        assert await ready() == (200, {"status": "ready", "warnings": [WAITS]})
        await crew.advance(10)
        cluster = engine.store.cluster
        assert cluster is not None

        async def fail() -> Any:
            raise StoreFailed("no server")

        cluster.read_unclaimed = fail  # type: ignore[method-assign]
        assert await ready() == (200, {"status": "ready", "warnings": [WAITS]}), "as of late"
        await crew.leave("one")
        status, said = await ready()
        assert (status, said["status"], said["warnings"]) == (503, "not_ready", [WAITS])


async def test_a_store_that_does_not_answer_is_named(monkeypatch: Any) -> None:
    crew = Crew(rooms())
    engine = await crew.join("one")
    await crew.settle()
    monkeypatch.setattr("sagakit.engine.observing.store_answers.PATIENCE", 0.0)
    answers, read = asyncio.Event(), engine.store.read_delivery

    async def wait(id: int) -> Any:
        await answers.wait()
        return await read(id)

    monkeypatch.setattr(engine.store, "read_delivery", wait)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api(engine)), base_url="http://rooms") as client:
        assert (await client.get("/health/ready")).status_code == 200
        await crew.advance(5)
        answer = await client.get("/health/ready")
        assert answer.status_code == 503
        assert answer.json() == {
            "status": "not_ready",
            "reason": "the store does not answer: it was asked 5 s ago",
        }
        answers.set()
        await crew.rest()
        assert (await client.get("/health/ready")).status_code == 200
    await crew.leave("one")


async def test_a_probe_does_not_wait_for_a_store_that_does_not_answer(monkeypatch: Any) -> None:
    monkeypatch.setattr("sagakit.server.showing.unclaimed.PATIENCE", 0.0)
    crew = Crew(rooms())
    engine = await crew.join("one")
    await crew.settle()
    cluster, looks = engine.store.cluster, 0
    assert cluster is not None
    answers = asyncio.Event()
    read = cluster.read_unclaimed

    async def wait() -> Any:
        nonlocal looks
        looks += 1
        await answers.wait()
        return await read()

    cluster.read_unclaimed = wait  # type: ignore[method-assign]
    await engine.store.commit([gone()])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api(engine)), base_url="http://rooms") as client:
        for _ in range(3):
            assert (await client.get("/health/ready")).json() == {"status": "ready"}
            await crew.advance(10)
        assert looks == 1
        answers.set()
        await crew.rest()
        assert (await client.get("/health/ready")).json() == {"status": "ready", "warnings": [WAITS]}
    await crew.leave("one")


async def test_a_store_that_hangs_costs_a_probe_one_wait(monkeypatch: Any) -> None:
    for place in ("server.showing.unclaimed", "engine.observing.store_answers"):
        monkeypatch.setattr(f"sagakit.{place}.PATIENCE", 60.0)
    crew = Crew(rooms())
    engine = await crew.join("one")
    await crew.settle()
    cluster, answers, asked = engine.store.cluster, asyncio.Event(), set[str]()
    assert cluster is not None

    async def read_delivery(id: int) -> None:
        asked.add("whether it answers")
        await answers.wait()

    async def read_unclaimed() -> list[Any]:
        asked.add("what nobody claims")
        await answers.wait()
        return []

    engine.store.read_delivery = read_delivery  # type: ignore[method-assign]
    cluster.read_unclaimed = read_unclaimed  # type: ignore[method-assign]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api(engine)), base_url="http://rooms") as client:
        probing = asyncio.create_task(client.get("/health/ready"))
        await until(lambda: len(asked) == 2)
        answers.set()
        assert (await probing).json() == {"status": "ready"}
    await crew.leave("one")
