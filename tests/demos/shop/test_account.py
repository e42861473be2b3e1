"""The account: what is told of an order, from its beginning to its end."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from tests.each_store import ON_EACH_STORE

from sagakit.demos.shop.account import Account
from sagakit.demos.shop.app import shop
from sagakit.demos.shop.orders.messages import Item, PlaceOrder
from sagakit.demos.terminal import Line
from sagakit.testing.manual import ManualEngine, engine

pytestmark = ON_EACH_STORE

NOW = datetime(2026, 1, 1, tzinfo=UTC)
told: list[Line] = []


@pytest.fixture
async def running() -> AsyncIterator[ManualEngine]:
    told.clear()
    async with engine(shop, provide={Account: Account(told.append)}) as running:
        yield running


async def lines_of(running: ManualEngine, *items: Item) -> list[str]:
    await running.send(PlaceOrder("o-1", "ann", items, NOW))
    await running.settle()
    return [f"{line.what}: {line.detail}" for line in told]


async def test_a_paid_order(running: ManualEngine) -> None:
    items = (Item("prod_1", 2, Decimal("50.00")), Item("prod_2", 1, Decimal("0.10")))
    assert await lines_of(running, *items) == [
        "order placed: 2 x prod_1 at 50.00, 1 x prod_2 at 0.10, 100.10 in all, for ann",
        "stock reserved: prod_1 15 -> 13, prod_2 10 -> 9 free",
        told[2].what + ": " + told[2].detail,
        "order CONFIRMED: ",
    ]
    assert told[2].what == "payment charged"
    assert told[2].detail.startswith("100.10 (pay_")
    assert {line.subject for line in told} == {"o-1"}


async def test_a_declined_order_and_its_undo(running: ManualEngine) -> None:
    declined = "payment declined: 600.00 is above the limit of 500.00"
    assert await lines_of(running, Item("prod_1", 1, Decimal("600.00"))) == [
        "order placed: 1 x prod_1 at 600.00, 600.00 in all, for ann",
        "stock reserved: prod_1 15 -> 14 free",
        f"refused: {declined}",
        "undo 1: stock released: prod_1 14 -> 15 free",
        f"order CANCELLED: {declined}",
    ]


async def test_an_order_out_of_stock(running: ManualEngine) -> None:
    reason = "prod_3 is out of stock: 1 wanted, none left"
    assert (await lines_of(running, Item("prod_3", 1, Decimal("1.00"))))[1:] == [
        f"refused: {reason}",
        f"order CANCELLED: {reason}",
    ]


async def test_a_long_order_is_told_briefly(running: ManualEngine) -> None:
    lines = await lines_of(running, *[Item("prod_1", 1, Decimal("1.00"))] * 7)
    assert lines[0].endswith(" and 2 more, 7.00 in all, for ann")


def test_undos_are_numbered_in_their_order() -> None:
    lines: list[Line] = []
    account = Account(lines.append)
    account.begin("o-1", "")
    account.undo("o-1", "payment refunded", "")
    account.undo("o-2", "stock released", "of an order that began before this process")
    account.undo("o-1", "stock released", "")
    assert [line.what for line in lines[1:]] == [
        "undo 1: payment refunded",
        "undo: stock released",
        "undo 2: stock released",
    ]


def test_nobody_needs_to_listen() -> None:
    Account(None).begin("o-1", "")
