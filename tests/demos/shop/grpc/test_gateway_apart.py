"""The gateway's contract where orders, stock and payments are in other processes."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest import mock

import httpx
import pytest
from tests.demos.shop.grpc.conftest import Services
from tests.each_store import ON_EACH_STORE, new_url

from sagakit import ONE, WaitTimeout
from sagakit.demos.shop.grpc.generated.order_pb2 import CreateOrderRequest, OrderItem
from sagakit.demos.shop.inventory.stock import AT_THE_START, Stock
from sagakit.demos.shop.services import orders_there
from sagakit.demos.shop.services.app import service_app

pytestmark = ON_EACH_STORE


def body(price: str = "50.00", product: str = "prod_1") -> str:
    item = f'{{"product_id": "{product}", "quantity": 1, "price": {price}}}'
    return f'{{"customer_id": "ann", "items": [{item}]}}'


async def post(client: httpx.AsyncClient, content: str = body(), key: str | None = None) -> httpx.Response:
    headers = {"Content-Type": "application/json"} | ({"X-Idempotency-Key": key} if key is not None else {})
    return await client.post("/orders", content=content, headers=headers)


async def settled(client: httpx.AsyncClient, order_id: str) -> Any:
    return (await client.get(f"/orders/{order_id}", headers={"Prefer": "wait=20"})).json()


async def test_an_order_is_confirmed(client: httpx.AsyncClient, services: Services) -> None:
    placed = (await post(client, body("0.1"))).json()
    assert list(placed) == ["id", "customer_id", "status", "total", "items", "created_at", "updated_at"]
    answer = await client.get(f"/orders/{placed['id']}", headers={"Prefer": "wait=20"})
    assert answer.headers["preference-applied"] == "wait=20"
    found = answer.json()
    assert found == placed | {"status": "CONFIRMED", "updated_at": found["updated_at"]}
    assert b'"price":0.1}' in answer.content, "with the digits that it came with"
    assert found["updated_at"] > placed["updated_at"]
    assert (await services.engines["inventory"].load(Stock, ONE)).state.free == AT_THE_START | {"prod_1": 14}


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (body("600.00"), "payment declined: 600.00 is above the limit of 500.00"),
        (body(product="prod_3"), "prod_3 is out of stock: 1 wanted, none left"),
    ],
)
async def test_an_order_is_cancelled_with_the_reason_that_the_service_gave(
    client: httpx.AsyncClient, services: Services, order: str, reason: str
) -> None:
    found = await settled(client, (await post(client, order)).json()["id"])
    assert (found["status"], found["reason"]) == ("CANCELLED", reason)
    assert (await services.engines["inventory"].load(Stock, ONE)).state.free == AT_THE_START


async def test_a_service_that_says_no_more_than_it_must_will_do(client: httpx.AsyncClient) -> None:
    with (
        mock.patch("sagakit.demos.shop.grpc.servers.payment.outcome", return_value=()),
        mock.patch("sagakit.demos.shop.grpc.servers.inventory.outcome", return_value=()),
    ):
        found = await settled(client, (await post(client, body("600.00"))).json()["id"])
        assert (found["status"], found["reason"]) == ("CANCELLED", "payment declined")
        assert (await settled(client, (await post(client)).json()["id"]))["status"] == "CONFIRMED"


async def test_a_repeat_gets_the_first_answer_and_another_body_none(
    client: httpx.AsyncClient, services: Services
) -> None:
    first = await post(client, key="k-1")
    await settled(client, first.json()["id"])
    again = await post(client, key="k-1")
    assert (again.status_code, again.content, again.headers["location"]) == (
        201,
        first.content,
        first.headers["location"],
    )
    other = await post(client, body("5.00"), key="k-1")
    assert (other.status_code, other.json()["error"]) == (422, "idempotency_key_reused")
    assert (await services.engines["inventory"].load(Stock, ONE)).state.free == AT_THE_START | {"prod_1": 14}


async def test_what_is_not_an_order_is_not_found(client: httpx.AsyncClient) -> None:
    assert (await client.get("/orders/nobody")).status_code == 404


async def test_an_order_that_came_over_grpc_is_found(client: httpx.AsyncClient, services: Services) -> None:
    items = [OrderItem(product_id="prod_2", quantity=2, unit_price=7.5)]
    made = (await services.stubs["order"].CreateOrder(CreateOrderRequest(customer_id="bob", items=items))).order
    found = (await client.get(f"/orders/{made.id}")).json()
    assert (found["status"], found["customer_id"], found["total"]) == ("PENDING", "bob", 15.0)
    assert found["created_at"] == found["updated_at"]


async def test_an_order_is_accepted_while_nobody_keeps_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    from sagakit.demos.shop.gateway import gateway
    from sagakit.demos.shop.grpc.wiring import GrpcWiring

    monkeypatch.setattr(orders_there, "PLACE_WITHIN", 0.0)
    wiring = GrpcWiring({"order": "127.0.0.1:1", "inventory": "127.0.0.1:1", "payment": "127.0.0.1:1"})
    app = service_app("gateway", wiring)
    async with app.engine(new_url()) as engine, wiring.answering("gateway", engine, 0):
        book = orders_there.OrdersThere(engine, wiring)
        transport = httpx.ASGITransport(gateway(engine, book))
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            placed = await post(client, key="k-1")
            assert (placed.status_code, placed.json()["status"]) == (201, "PENDING")
            assert (await post(client, key="k-1")).content == placed.content
            found = await client.get(f"/orders/{placed.json()['id']}")
            assert (found.status_code, found.json()) == (200, placed.json())
            waiting = asyncio.ensure_future(book.settled(placed.json()["id"], 60))
            done, _ = await asyncio.wait([waiting], timeout=0.2)
            assert not done, "who waits for an order that is not placed yet does not come again at once"
            waiting.cancel()
            await book.settled(placed.json()["id"], 0.05)
            await book.settled("nobody", 60)
            unknown = await client.get("/orders/nobody")
            assert (unknown.status_code, unknown.json()["error"]) == (503, "not_yet")
            ready = await client.get("/health/ready")
            assert ready.status_code == 503
            for service in ("order", "inventory", "payment"):
                assert f"{service}: 127.0.0.1:1 does not serve" in ready.json()["reason"]


async def test_who_is_not_accepted_in_time_is_told_to_come_again(client: httpx.AsyncClient, services: Services) -> None:
    late = WaitTimeout("no OrderAccepted within 10 s; it may still come")
    with mock.patch.object(services.engines["gateway"], "wait", side_effect=late):
        early = await post(client, key="k-1")
        assert (early.status_code, early.json()["error"], early.headers["retry-after"]) == (503, "not_yet", "1")
    placed = await post(client, key="k-1")
    assert placed.status_code == 201
    assert (await settled(client, placed.json()["id"]))["status"] == "CONFIRMED"
    assert (await services.engines["inventory"].load(Stock, ONE)).state.free == AT_THE_START | {"prod_1": 14}
