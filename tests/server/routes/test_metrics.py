"""Metrics over HTTP."""

from __future__ import annotations

import socket

import httpx
from tests.each_store import ON_EACH_STORE, new_url, only_on
from tests.server.conftest import BookRoom, RoomBooked, rooms
from tests.telemetry.reading import samples_of

from sagakit import Engine
from sagakit.idempotency import FastPath, Settings, fast_path
from sagakit.server.api import api
from sagakit.telemetry import Telemetry

pytestmark = ON_EACH_STORE


async def asked(engine: Engine, fast: FastPath | None = None, **headers: str) -> httpx.Response:
    app = httpx.ASGITransport(api(engine, fast=fast))
    async with httpx.AsyncClient(transport=app, base_url="http://rooms") as client:
        return await client.get("/metrics", headers=headers)


async def test_they_are_read_as_text() -> None:
    async with rooms().engine(new_url(), observer=Telemetry()) as engine:
        await engine.send_and_wait(BookRoom("a"), until=RoomBooked)
        answer = await asked(engine)
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, "text/plain")
    found = samples_of(answer.text)
    assert found['sagakit_processes_started_total{process="rooms.stay"}'] == 1
    assert found["process_cpu_seconds_total"] > 0


@only_on("memory", because="how they are written has nothing to do with the store")
async def test_they_are_read_as_openmetrics() -> None:
    async with rooms().engine(new_url(), observer=Telemetry()) as engine:
        answer = await asked(engine, Accept="application/openmetrics-text; version=1.0.0")
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


async def test_two_engines_do_not_mix() -> None:
    async with rooms().engine(new_url(), observer=Telemetry()) as engine:
        async with rooms().engine(new_url(), observer=Telemetry()) as other:
            await other.send_and_wait(BookRoom("a"), until=RoomBooked)
        found = samples_of((await asked(engine)).text)
    assert not [sample for sample in found if sample.startswith("sagakit_processes_started")]


@only_on("memory", because="there are none of a store, either")
async def test_without_an_observer_there_are_none() -> None:
    async with rooms().engine(new_url()) as engine:
        assert (await asked(engine)).status_code == 404


async def test_the_fast_path_of_keys_is_counted() -> None:
    with socket.socket() as taken:  # nobody listens there
        taken.bind(("127.0.0.1", 0))
        fast = fast_path(f"redis://127.0.0.1:{taken.getsockname()[1]}", Settings(failures=1))
        async with rooms().engine(new_url(), observer=Telemetry()) as engine:
            await engine.send_and_wait(BookRoom("b"), until=RoomBooked)  # a new database has no name yet to tell it by
            app = httpx.ASGITransport(api(engine, fast=fast))
            async with httpx.AsyncClient(transport=app, base_url="http://rooms") as client:
                for _ in range(3):
                    body, headers = {"room_id": "a"}, {"Idempotency-Key": "k-1"}
                    answer = await client.post("/api/v1/commands/rooms.BookRoom", json=body, headers=headers)
                    assert answer.status_code == 202, answer.text
            found = samples_of((await asked(engine, fast)).text)
            assert "sagakit_idempotency_breaker_open" not in samples_of((await asked(engine)).text)
        await fast.close()
    assert found['sagakit_idempotency_requests_total{answered_by="store"}'] == 1
    assert found['sagakit_idempotency_requests_total{answered_by="memory"}'] == 2
    assert found['sagakit_idempotency_server_errors_total{why="failed"}'] == 1
    assert found["sagakit_idempotency_breaker_open"] == found["sagakit_idempotency_breaker_opened_total"] == 1
