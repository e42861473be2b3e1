"""The gateway's order book where the shop runs on several workers."""

from __future__ import annotations

import asyncio

import httpx
from tests.engine.workers.crew import crew

from sagakit import stable_id
from sagakit.core.streams import instance_id, lane_name
from sagakit.demos.shop.app import shop_app
from sagakit.demos.shop.gateway import gateway
from sagakit.demos.shop.orders.fulfilment import fulfil_order

ORDER = {"customer_id": "ann", "items": [{"product_id": "prod_1", "quantity": 1, "price": 5}]}


async def test_an_order_whose_saga_another_worker_has_not_begun_yet_is_waited_for() -> None:
    async with crew(shop_app(), "a", "b") as made:
        saga = made.engines["a"].topology.processes[fulfil_order].name
        key = next(
            key
            for number in range(1000)
            if made.owner(saga, lane_name(saga, instance_id(saga, stable_id("order", key := f"k{number}")))) == "b"
            and made.owner("orders.Order", lane_name("orders.Order", stable_id("order", key))) == "a"
        )
        transport = httpx.ASGITransport(gateway(made.engines["a"]))
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            with made.unnoticed():  # that the saga is to begin, where it will
                placed = await client.post("/orders", json=ORDER, headers={"X-Idempotency-Key": key})
                assert (placed.status_code, placed.json()["status"]) == (201, "PENDING")
                asking = asyncio.create_task(client.get(placed.headers["location"], headers={"Prefer": "wait=60"}))
                await made.rest()
                assert not asking.done()
            await made.settle()
            await made.advance(3)  # that it is waited for was not noticed either
            assert (await asking).json()["status"] == "CONFIRMED"
