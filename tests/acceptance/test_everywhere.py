"""The order process in three ways, and the shop: one outcome, whatever crashes, is doubled or overtakes."""

from __future__ import annotations

from decimal import Decimal

import pytest
from tests.acceptance.orders.messages import PlaceOrder
from tests.acceptance.orders.processes import WAYS, order_app
from tests.acceptance.orders.world import World
from tests.acceptance.test_crash_everywhere import SCRIPTS
from tests.acceptance.test_disorder import ORDERS, SCRIPT

from sagakit import ONE
from sagakit.demos.shop.app import Way, shop_app
from sagakit.demos.shop.inventory.stock import Stock
from sagakit.demos.shop.orders.messages import Item
from sagakit.demos.shop.orders.messages import PlaceOrder as PlaceShopOrder
from sagakit.demos.shop.orders.order import Order
from sagakit.testing import Trial, crash_everywhere
from sagakit.testing.manual import START


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("script", SCRIPTS)
def test_one_order(way: str, script: str) -> None:
    @crash_everywhere(order_app(way), provide=lambda: {World: World(**SCRIPTS[script])})
    async def one_order(trial: Trial) -> object:
        await trial.send(PlaceOrder("order-1"))
        await trial.finish()
        world: World = trial.provided[World]  # type: ignore[assignment]
        return world.held, world.applied

    one_order()


@pytest.mark.parametrize("way", WAYS)
def test_many_orders_at_the_same_time(way: str) -> None:
    @crash_everywhere(order_app(way), provide=lambda: {World: World(**SCRIPT)}, orders=3)
    async def many_orders(trial: Trial) -> object:
        for order in ORDERS[:6]:
            await trial.send(PlaceOrder(order))
        await trial.finish()
        world: World = trial.provided[World]  # type: ignore[assignment]
        return world.held, sorted(world.applied)

    many_orders()


@pytest.mark.parametrize("way", ["code", "steps", "manager"])
@pytest.mark.parametrize(("price", "product"), [("50.00", "prod_1"), ("300.00", "prod_1"), ("50.00", "prod_3")])
def test_the_shop(way: Way, price: str, product: str) -> None:
    @crash_everywhere(shop_app(way), orders=2)
    async def an_order(trial: Trial) -> object:
        await trial.send(PlaceShopOrder("o-1", "ann", (Item(product, 2, Decimal(price)),), START))
        await trial.finish()
        order = (await trial.load(Order, "o-1")).state
        return order.status, order.reason, (await trial.load(Stock, ONE)).state.free

    an_order()
