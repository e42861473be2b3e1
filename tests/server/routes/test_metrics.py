"""Metrics over HTTP."""

from __future__ import annotations

import httpx
from tests.server.conftest import BookRoom, RoomBooked, rooms
from tests.telemetry.reading import samples_of

from sagakit import Engine
from sagakit.server.api import api
from sagakit.telemetry import Telemetry


async def asked(engine: Engine, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api(engine)), base_url="http://rooms") as client:
        return await client.get("/metrics", headers=headers)


async def test_they_are_read_as_text() -> None:
    async with rooms().engine("memory://", observer=Telemetry()) as engine:
        await engine.send_and_wait(BookRoom("a"), until=RoomBooked)
        answer = await asked(engine)
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, "text/plain")
    found = samples_of(answer.text)
    assert found['sagakit_processes_started_total{process="rooms.stay"}'] == 1
    assert found["process_cpu_seconds_total"] > 0


async def test_they_are_read_as_openmetrics() -> None:
    async with rooms().engine("memory://", observer=Telemetry()) as engine:
        answer = await asked(engine, Accept="application/openmetrics-text; version=1.0.0")
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


async def test_two_engines_do_not_mix() -> None:
    async with rooms().engine("memory://", observer=Telemetry()) as engine:
        async with rooms().engine("memory://", observer=Telemetry()) as other:
            await other.send_and_wait(BookRoom("a"), until=RoomBooked)
        found = samples_of((await asked(engine)).text)
    assert not [sample for sample in found if sample.startswith("sagakit_processes_started")]


async def test_without_an_observer_there_are_none() -> None:
    async with rooms().engine("memory://") as engine:
        assert (await asked(engine)).status_code == 404
