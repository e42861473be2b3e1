"""An app running: in a program of its own, beside synchronous code, and inside FastAPI."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Annotated, assert_type

from fastapi import Depends, FastAPI, Header, HTTPException
from pydantic import BaseModel
from tests.typing.accepted.inventory import Stock, inventory
from tests.typing.accepted.messages import Item, OrderCancelled, OrderConfirmed, OrderPlaced, PlaceOrder
from tests.typing.accepted.orders import Order, fulfil_order, orders
from tests.typing.accepted.payments import Cards, HttpCards, payments
from tests.typing.accepted.steps import Fulfilment

from sagakit import (
    ONE,
    App,
    BlockingEngine,
    CursorGone,
    Engine,
    KeyInFlight,
    KeyReused,
    NotFound,
    OutcomeUnknown,
    Receipt,
    Refused,
    StaleVersion,
    Update,
    WaitTimeout,
    stable_id,
)

shop = App("shop", orders, inventory, payments)


async def main(cards: HttpCards) -> None:
    shop.check(provide=[Cards])
    async with shop.engine("sqlite:///shop.db", provide={Cards: cards}) as engine:
        outcome = await engine.send_and_wait(
            PlaceOrder("o-1", "c-1", (Item("prod_1", 1, Decimal(50)),)),
            until=(OrderConfirmed, OrderCancelled),
            timeout=timedelta(seconds=5),
        )
        assert_type(outcome, OrderConfirmed | OrderCancelled)
        order, version = await engine.load(Order, "o-1")
        assert_type(order, Order)
        assert_type(version, int)
        stock = await engine.load(Stock, ONE)
        assert_type(stock.state, Stock)
        receipt = await engine.send(PlaceOrder("o-2", "c-1", ()), idempotency_key="k", expected_version=0)
        assert_type(receipt, Receipt)
        await engine.publish(OrderPlaced("o-3", "c-1", (), Decimal(0)), idempotency_key=receipt.message_id)
        assert_type(await engine.cancel(fulfil_order, "o-1", reason="enough"), bool)
        await engine.cancel(Fulfilment, "o-1", reason="enough")
        late = await engine.wait(until=(OrderConfirmed, OrderCancelled), correlation_id=receipt.correlation_id)
        assert_type(late, OrderConfirmed | OrderCancelled)
        assert_type(await engine.wait(until=OrderConfirmed, correlation_id="c"), OrderConfirmed)
        assert_type((await engine.wait(fulfil_order, "o-1", timeout=5)).status, str)
        try:
            async for update in engine.watch(fulfil_order, "o-1", after="3"):
                assert_type(update, Update)
        except CursorGone as gone:
            print(gone.current.cursor)
        async for update in engine.watch(correlation_id=receipt.correlation_id):
            assert_type(update.cursor, str)


def sync_main() -> None:
    with shop.blocking("sqlite:///shop.db") as engine:
        assert_type(engine, BlockingEngine)
        assert_type(engine.send(PlaceOrder("o-1", "c-1", ())), Receipt)
        placed = engine.send_and_wait(PlaceOrder("o-1", "c-1", ()), until=OrderPlaced)
        assert_type(placed, OrderPlaced)
        assert_type(engine.load(Order, "o-1").state, Order)
        assert_type(engine.wait(until=OrderConfirmed, correlation_id="c"), OrderConfirmed)
        for update in engine.watch(fulfil_order, "o-1"):
            assert_type(update, Update)
    shop.run("memory://")


api = FastAPI(lifespan=shop.lifespan("sqlite:///shop.db"))
Shop = Annotated[Engine, Depends(shop.current)]


class OrderRequest(BaseModel):
    customer_id: str
    items: list[Item]


@api.post("/orders", status_code=201)
async def post_order(body: OrderRequest, engine: Shop, idempotency_key: Annotated[str, Header()]) -> OrderPlaced:
    command = PlaceOrder(stable_id("order", idempotency_key), body.customer_id, tuple(body.items))
    try:
        return await engine.send_and_wait(command, until=OrderPlaced, idempotency_key=idempotency_key)
    except KeyReused:
        raise HTTPException(422) from None
    except (KeyInFlight, StaleVersion):
        raise HTTPException(409) from None
    except Refused as refused:
        raise HTTPException(402, refused.reason) from refused
    except OutcomeUnknown as unknown:
        raise HTTPException(502, unknown.reason) from unknown
    except WaitTimeout:
        raise HTTPException(504) from None


@api.get("/orders/{order_id}")
async def get_order(order_id: str, engine: Shop) -> Order:
    try:
        return (await engine.load(Order, order_id)).state
    except NotFound:
        raise HTTPException(404) from None
