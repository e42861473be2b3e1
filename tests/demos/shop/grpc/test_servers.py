"""The services as formats and clients know them: one effect a key, undos that come early, doubles on the wire."""

from __future__ import annotations

import json
import math
from typing import Any

import grpc
import grpc.aio
import pytest
from tests.demos.shop.grpc.conftest import Services
from tests.each_store import ON_EACH_STORE, only_on

from sagakit import ONE, stable_id
from sagakit.demos.shop.grpc.generated.inventory_pb2 import ReleaseRequest, ReserveRequest, StockItem
from sagakit.demos.shop.grpc.generated.order_pb2 import (
    CANCELLED,
    CONFIRMED,
    PENDING,
    CreateOrderRequest,
    GetOrderRequest,
    OrderItem,
    UpdateOrderStatusRequest,
)
from sagakit.demos.shop.grpc.generated.payment_pb2 import ChargeRequest, RefundRequest
from sagakit.demos.shop.inventory.stock import AT_THE_START, Stock
from sagakit.demos.shop.services.wiring import Service
from sagakit.transports.grpc import text_value

pytestmark = ON_EACH_STORE


def key(text: str) -> Any:
    return (("x-idempotency-key", text),)


async def status(calling: Any) -> str:
    """The status that a call fails with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await calling
    return caught.value.code().name


def reserve(order_id: str = "o-1", **units: int) -> ReserveRequest:
    wanted = units or {"prod_1": 2}
    return ReserveRequest(order_id=order_id, items=[StockItem(product_id=one, quantity=n) for one, n in wanted.items()])


async def stock(services: Services) -> Stock:
    return (await services.engines["inventory"].load(Stock, ONE)).state


# ---------------------------------------------------------------------- inventory


async def test_stock_is_reserved_and_released_once(services: Services) -> None:
    inventory = services.stubs["inventory"]
    for _ in range(3):
        assert (await inventory.Reserve(reserve(), metadata=key("k-1"))).success
    assert (await inventory.Reserve(reserve(), metadata=key("k-2"))).success, "the order has it already"
    assert (await stock(services)).free == AT_THE_START | {"prod_1": 13}
    for number in range(2):
        assert (await inventory.Release(ReleaseRequest(order_id="o-1"), metadata=key(f"r-{number}"))).success
    assert (await stock(services)).free == AT_THE_START


async def test_what_is_not_there_is_not_reserved(services: Services) -> None:
    inventory = services.stubs["inventory"]
    for units in ({"prod_3": 1}, {"prod_1": 16}, {"prod_9": 1}, {"prod_1": 0}, {"prod_1": -1}):
        assert not (await inventory.Reserve(reserve(**units))).success
    assert (await stock(services)).free == AT_THE_START


async def test_a_reservation_that_was_undone_before_it_came_is_refused(services: Services) -> None:
    inventory = services.stubs["inventory"]
    assert (await inventory.Release(ReleaseRequest(order_id="o-1"))).success, "what was never done"
    assert not (await inventory.Reserve(reserve())).success


async def test_requests_that_are_none_are_refused(services: Services) -> None:
    inventory = services.stubs["inventory"]
    assert await status(inventory.Reserve(ReserveRequest(order_id="o-1"))) == "INVALID_ARGUMENT"
    assert await status(inventory.Reserve(reserve(order_id=""))) == "INVALID_ARGUMENT"
    assert await status(inventory.Release(ReleaseRequest(order_id="o" * 256))) == "INVALID_ARGUMENT"
    await inventory.Reserve(reserve(), metadata=key("k-1"))
    assert await status(inventory.Reserve(reserve(prod_2=1), metadata=key("k-1"))) == "INVALID_ARGUMENT", "key reused"


# ---------------------------------------------------------------------- payment


def charge(amount: float, order_id: str = "o-1") -> ChargeRequest:
    return ChargeRequest(order_id=order_id, amount=amount)


async def refunded(services: Services, order_id: str = "o-1") -> str:
    """What a refund gives back."""
    calling = services.stubs["payment"].Refund(RefundRequest(order_id=order_id))
    assert (await calling).success
    return str(json.loads(dict(await calling.trailing_metadata())["x-outcome-bin"])["amount"])


async def test_a_card_is_charged_once_a_key(services: Services) -> None:
    payment = services.stubs["payment"]
    for _ in range(3):
        assert (await payment.Charge(charge(0.1 + 0.2), metadata=key("k-1"))).success
    assert await refunded(services) == "0.30", "a sum of doubles is the amount that it means"


async def test_what_is_above_the_limit_is_declined(services: Services) -> None:
    payment = services.stubs["payment"]
    assert (await payment.Charge(charge(500.00))).success
    assert not (await payment.Charge(charge(500.01, "o-2"))).success


async def test_a_charge_that_was_refunded_before_it_came_is_refused(services: Services) -> None:
    assert await refunded(services) == "0"
    assert not (await services.stubs["payment"].Charge(charge(5))).success


@only_on("memory", because="it is refused before a store is asked")
@pytest.mark.parametrize("amount", [0.0, -1.0, math.nan, math.inf, 1e13, 5.001])
async def test_an_amount_is_one(services: Services, amount: float) -> None:
    assert await status(services.stubs["payment"].Charge(charge(amount))) == "INVALID_ARGUMENT"


@only_on("memory", because="it is refused before a store is asked")
@pytest.mark.parametrize(
    ("service", "method", "request_", "field"),
    [
        ("payment", "Charge", charge(5, "o\0"), "order_id"),
        ("payment", "Refund", RefundRequest(order_id="o\0"), "order_id"),
        ("inventory", "Reserve", reserve("o\0"), "order_id"),
        ("inventory", "Release", ReleaseRequest(order_id="o\0"), "order_id"),
        ("order", "GetOrder", GetOrderRequest(id="o\0"), "id"),
        ("order", "UpdateOrderStatus", UpdateOrderStatusRequest(id="o\0", status=CONFIRMED), "id"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_an_id_that_no_store_can_hold_is_refused_by_name(
    services: Services, service: Service, method: str, request_: Any, field: str
) -> None:
    """Who takes what was done for the order has that as its key: it would be parked there, after the charge."""
    with pytest.raises(grpc.aio.AioRpcError, match="INVALID_ARGUMENT") as caught:
        await getattr(services.stubs[service], method)(request_)
    assert caught.value.details() == f"{field} is 'o\\x00', which has a NUL character: send an id without one"
    assert await services.engines[service].store.read_messages() == []


# ---------------------------------------------------------------------- orders


def create(price: float = 50.0) -> CreateOrderRequest:
    return CreateOrderRequest(customer_id="ann", items=[OrderItem(product_id="prod_1", quantity=2, unit_price=price)])


async def test_an_order_is_created_once_a_key_with_the_id_that_http_gives_it(services: Services) -> None:
    order = services.stubs["order"]
    made = [(await order.CreateOrder(create(19.99), metadata=key("k-1"))).order for _ in range(2)]
    assert made[0] == made[1]
    assert (made[0].id, made[0].status, made[0].total_amount) == (stable_id("order", "k-1"), PENDING, 39.98)
    assert (await order.GetOrder(GetOrderRequest(id=made[0].id))).order == made[0]
    assert await status(order.CreateOrder(create(5.0), metadata=key("k-1"))) == "INVALID_ARGUMENT"
    other = (await order.CreateOrder(create())).order
    assert other.id != made[0].id


async def test_who_creates_an_order_may_choose_its_id(services: Services) -> None:
    order = services.stubs["order"]
    chosen = (("x-order-id", "o-7"),)
    assert (await order.CreateOrder(create(), metadata=chosen + key("k-1"))).order.id == "o-7"
    assert (await order.CreateOrder(create(), metadata=chosen + key("k-1"))).order.id == "o-7"
    assert await status(order.CreateOrder(create(), metadata=chosen + key("k-2"))) == "ALREADY_EXISTS"


async def test_a_status_is_updated_as_often_as_it_is_asked_for(services: Services) -> None:
    order = services.stubs["order"]
    id = (await order.CreateOrder(create())).order.id

    async def updated(wanted: Any, *metadata: Any) -> tuple[bool, Any]:
        answer = await order.UpdateOrderStatus(UpdateOrderStatusRequest(id=id, status=wanted), metadata=metadata)
        return answer.success, (await order.GetOrder(GetOrderRequest(id=id))).order.status

    assert await updated(PENDING) == (True, PENDING)
    assert [await updated(CONFIRMED, *key("k-1")) for _ in range(3)] == [(True, CONFIRMED)] * 3
    assert await updated(PENDING) == (False, CONFIRMED)
    assert await updated(CANCELLED, text_value("x-reason", "zu spät")) == (True, CANCELLED)
    assert await updated(CANCELLED) == (True, CANCELLED)
    assert await updated(CONFIRMED) == (False, CANCELLED)
    calling = order.GetOrder(GetOrderRequest(id=id))
    await calling
    assert dict(await calling.trailing_metadata())["x-reason-bin"].decode() == "zu spät"


async def test_an_order_that_is_not_there_is_not_found(services: Services) -> None:
    order = services.stubs["order"]
    assert await status(order.GetOrder(GetOrderRequest(id="nobody"))) == "NOT_FOUND"
    asked = UpdateOrderStatusRequest(id="nobody", status=CONFIRMED)
    assert await status(order.UpdateOrderStatus(asked)) == "NOT_FOUND"


@only_on("memory", because="it is refused before a store is asked")
@pytest.mark.parametrize(
    "request_",
    [
        CreateOrderRequest(customer_id="ann"),
        CreateOrderRequest(items=[OrderItem(product_id="prod_1", quantity=1, unit_price=1)]),
        CreateOrderRequest(customer_id="ann", items=[OrderItem(product_id="prod_1", quantity=0, unit_price=1)]),
        CreateOrderRequest(customer_id="ann", items=[OrderItem(product_id="prod_1", quantity=1, unit_price=0)]),
    ],
)
async def test_an_order_is_checked_as_at_the_http_door(services: Services, request_: CreateOrderRequest) -> None:
    assert await status(services.stubs["order"].CreateOrder(request_)) == "INVALID_ARGUMENT"
