"""The API before a fast path: repeats are answered from copies, and the engine decides all else."""

from collections.abc import AsyncIterator

import httpx
import pytest
from tests.each_store import ON_EACH_STORE, new_url
from tests.idempotency.shelf import Books, Gateway, Shelf, Time
from tests.server.conftest import BookRoom

from sagakit import Engine
from sagakit.demos.shop.app import shop
from sagakit.demos.shop.gateway import shop_server
from sagakit.idempotency import FastPath, fast_path
from sagakit.server.api import api

pytestmark = ON_EACH_STORE


@pytest.fixture
async def fast() -> AsyncIterator[FastPath]:
    fast = fast_path(None)
    yield fast
    await fast.close()


@pytest.fixture
async def client(engine: Engine, fast: FastPath) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(api(engine, fast=fast))
    async with httpx.AsyncClient(transport=transport, base_url="http://rooms") as client:
        yield client


async def book(client: httpx.AsyncClient, key: str, room_id: str = "r-1", **headers: str) -> httpx.Response:
    path = "/api/v1/commands/rooms.BookRoom"
    return await client.post(path, json={"room_id": room_id}, headers={"Idempotency-Key": key, **headers})


async def begun(client: httpx.AsyncClient) -> None:
    """The log has its first message: from then on the database can be told from any other."""
    assert (await book(client, "k-0")).status_code == 202


async def test_a_repeat_is_answered_from_the_copy(client: httpx.AsyncClient, fast: FastPath) -> None:
    await begun(client)
    first = await book(client, "k-1")
    again = await book(client, "k-1")
    assert (again.status_code, again.content, again.headers) == (202, first.content, first.headers)
    assert (fast.counted.store, fast.counted.near) == (1, 1)


async def test_who_prefers_to_wait_is_told_the_outcome_of_the_first(client: httpx.AsyncClient, fast: FastPath) -> None:
    await begun(client)
    first = await book(client, "k-1")
    again = await book(client, "k-1", prefer="wait=10")
    assert again.status_code == 200
    assert again.json()["message_id"] == first.json()["message_id"]
    assert again.json()["outcome"]["message"] == "rooms.RoomBooked"


async def test_a_claim_left_behind_does_not_hide_what_the_engine_knows(engine: Engine) -> None:
    class Forgetful(Shelf):
        async def put(self, name: str, value: bytes, keep: float) -> None:
            raise ConnectionError("gone meanwhile")

    books, time = Books(), Time()
    shelf = Forgetful(time)
    one, two = Gateway(shelf, books, time), Gateway(shelf, books, time)
    answers: list[bytes] = []
    for fast in (one.fast, one.fast, two.fast):
        transport = httpx.ASGITransport(api(engine, fast=fast))
        async with httpx.AsyncClient(transport=transport, base_url="http://rooms") as client:
            await begun(client)
            answers.append((await book(client, "k-1")).content)
    assert len(shelf.values) == 2, "the claims of k-0 and k-1"
    assert len(set(answers)) == 1
    assert (two.counted.store, two.counted.in_flight) == (2, 0)


async def test_another_command_with_the_key_is_refused(client: httpx.AsyncClient, fast: FastPath) -> None:
    await begun(client)
    await book(client, "k-1")
    other = await book(client, "k-1", "r-2")
    assert (other.status_code, other.json()["error"]) == (422, "idempotency_key_reused")


async def test_the_engine_and_the_copies_agree(client: httpx.AsyncClient, fast: FastPath, engine: Engine) -> None:
    await begun(client)
    sent = await engine.send(BookRoom("r-1"), idempotency_key="k-1")
    answer = await book(client, "k-1")
    assert answer.json()["message_id"] == sent.message_id


async def test_two_doors_give_their_own_answers_to_a_key(fast: FastPath) -> None:
    item = {"product_id": "prod_1", "quantity": 1, "price": "50.00"}
    command = {"order_id": "o-1", "customer_id": "ann", "items": [item], "at": "2026-01-01T00:00:00Z"}
    order = {"customer_id": "ann", "items": [item | {"price": 50}]}
    async with (
        shop.engine(new_url()) as engine,
        httpx.AsyncClient(
            transport=httpx.ASGITransport(shop_server(engine, fast=fast)), base_url="http://shop"
        ) as client,
    ):
        for key in ("k-0", "k-1"):
            placed = await client.post("/orders", json=order, headers={"Idempotency-Key": key})
            assert placed.status_code == 201
        name = engine.topology.codecs.by_class[next(c for c in engine.topology.commands if c.__name__ == "PlaceOrder")]
        path = f"/api/v1/commands/{name.name}"
        assert (await client.post(path, json=command, headers={"Idempotency-Key": "k-2"})).status_code == 202
        # the same key at the other door: another request, so the engine says; never the other door's answer
        assert (await client.post(path, json=command, headers={"Idempotency-Key": "k-1"})).status_code == 422
        assert (await client.post("/orders", json=order, headers={"Idempotency-Key": "k-2"})).status_code == 422
