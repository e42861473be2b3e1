"""The shop in the simulation: whatever happens, stock and money are where the orders say."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from typing import Any

from sagakit import App
from sagakit.demos.shop.app import Way, shop_app
from sagakit.demos.shop.inventory.stock import AT_THE_START, Stock
from sagakit.demos.shop.orders.messages import Item, PlaceOrder
from sagakit.demos.shop.orders.order import Order
from sagakit.demos.shop.payments.cards import Cards
from sagakit.demos.simulated.decoded import folded
from sagakit.testing.simulation.clients import send
from sagakit.testing.simulation.operator import mend_all
from sagakit.testing.simulation.stage import Clients, Finding, Stage

OPENED = datetime(2026, 1, 1, tzinfo=UTC)


class FlakyCards(Cards):
    """A card provider that does not always answer, and does not always do what it was asked before."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self._stage = stage
        self._chance = stage.chance("cards")
        self.charges: dict[str, Decimal] = {}
        """What each order was charged, less what it was given back."""

    async def charge(self, order_id: str, amount: Decimal, *, idempotency_key: str) -> str:
        """As the provider does it, some of the time."""
        await self._may_fail()
        known = idempotency_key in self._payments
        payment_id = await super().charge(order_id, amount, idempotency_key=idempotency_key)
        if not known:
            self.charges[order_id] = self.charges.get(order_id, Decimal(0)) + amount
        self._stage.note(f"charged {order_id}")
        await self._may_fail()
        return payment_id

    async def refund(self, order_id: str) -> Decimal:
        """As the provider does it, some of the time."""
        await self._may_fail()
        amount = await super().refund(order_id)
        self.charges[order_id] = Decimal(0)
        self._stage.note(f"refunded {order_id}")
        await self._may_fail()
        return amount

    async def _may_fail(self) -> None:
        world = self._stage.world
        if world.healed:
            return
        if self._chance.random() < 0.3:
            await asyncio.sleep(self._chance.uniform(0.0, 2.0))
        if self._chance.random() < world.manners.fails:
            raise ConnectionError("the card provider does not answer")


class SimulatedShop:
    """The shop, with its order process written in one of the ways."""

    def __init__(self, way: Way) -> None:
        self.name = f"shop ({way})"
        self._app = shop_app(way)

    def app(self) -> App:
        """The shop."""
        return self._app

    def earlier(self) -> App | None:
        """There is none."""
        return None

    def provide(self, stage: Stage) -> Mapping[Any, object]:
        """One card provider for all engines."""
        if Cards not in stage.outside:
            stage.outside[Cards] = FlakyCards(stage)
        return {Cards: stage.outside[Cards]}

    async def drive(self, stage: Stage, clients: Clients) -> None:
        """Orders of all kinds: some are too dear, some for what is not there."""
        chance = stage.chance("clients")
        orders = [self._order(stage, clients, number, chance) for number in range(stage.profile.instances // 2)]
        for task in [asyncio.create_task(order) for order in orders]:
            await task

    async def _order(self, stage: Stage, clients: Clients, number: int, chance: Random) -> None:
        item = Item(chance.choice(tuple(AT_THE_START)), chance.randint(1, 3), Decimal(chance.choice((10, 100, 400))))
        await asyncio.sleep(chance.uniform(0.0, 20.0))
        for _ in range(chance.choice((1, 1, 2))):
            await send(stage, clients, f"order-{number}", PlaceOrder(f"order-{number}", "ann", (item,), OPENED))

    async def urge(self, stage: Stage, clients: Clients) -> bool:
        """A person looks after what waits for one."""
        await mend_all(stage, clients)
        return False

    def audit(self, stage: Stage) -> Iterator[Finding]:
        """An order is confirmed, and paid, and its units are held; or cancelled, and nothing of it is left."""
        cards: Any = stage.outside[Cards]
        codecs = self._app.topology().codecs
        stock = folded(codecs, stage.data, "inventory.Stock/", Stock())
        for product, units in AT_THE_START.items():
            held = sum(of_order.get(product, 0) for of_order in stock.held.values())
            if stock.free[product] + held != units:
                yield Finding("wrong", 7, f"{product}: {stock.free[product]} free and {held} held, of {units}")
        for key in stage.ledger.receipts:
            order = folded(codecs, stage.data, f"orders.Order/{key}", Order())
            paid, held = cards.charges.get(key, Decimal(0)), key in stock.held
            if order.status not in ("CONFIRMED", "CANCELLED"):
                yield Finding("unsettled", 5, f"{key} is {order.status}")
            elif order.status == "CONFIRMED" and (paid != order.total or not held):
                yield Finding("doubled", 3, f"{key} is confirmed: {paid} paid of {order.total}, units held: {held}")
            elif order.status == "CANCELLED" and (paid or held):
                yield Finding("lost", 6, f"{key} is cancelled: {paid} paid, units held: {held}")
