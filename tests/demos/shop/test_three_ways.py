"""The order process, written in three ways: one test, one story, one end."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal

import pytest
from tests.each_store import ON_EACH_STORE

from sagakit import ONE, TerminalError
from sagakit.demos.shop.app import Way, shop_app
from sagakit.demos.shop.inventory.stock import AT_THE_START, Stock
from sagakit.demos.shop.orders.messages import Item, OrderCancelled, OrderConfirmed, PlaceOrder
from sagakit.demos.shop.orders.order import Order
from sagakit.demos.shop.payments.cards import Cards
from sagakit.testing.manual import START, ManualEngine, engine

pytestmark = ON_EACH_STORE

ways = pytest.mark.parametrize("way", ["code", "steps", "manager"])
PROCESS = {"code": "orders.fulfil_order", "steps": "orders.fulfil_order", "manager": "orders.Fulfilment"}

RESERVED = ["orders.PlaceOrder", "orders.OrderPlaced", "inventory.ReserveStock", "inventory.StockReserved"]
CHARGED = [*RESERVED, "payments.ChargePayment", "payments.PaymentCharged"]
CANCELLED = ["orders.CancelOrder", "orders.OrderCancelled"]
RELEASED = ["inventory.ReleaseStock", "inventory.StockReleased", *CANCELLED]
REFUNDED = ["payments.RefundPayment", "payments.PaymentRefunded", *RELEASED]


def order(price: str = "50.00", product: str = "prod_1") -> PlaceOrder:
    return PlaceOrder("o-1", "ann", (Item(product, 2, Decimal(price)),), START)


async def story(running: ManualEngine) -> Sequence[str]:
    """The shop's messages, in the order in which they were recorded."""
    return [message.type for message in await running.store.read_messages() if not message.type.startswith("sagakit.")]


async def ends(running: ManualEngine, way: Way) -> tuple[str, str, str, dict[str, int]]:
    state = (await running.load(Order, "o-1")).state
    return (
        await running.status(PROCESS[way], "o-1"),
        state.status,
        state.reason,
        (await running.load(Stock, ONE)).state.free,
    )


@ways
async def test_a_paid_order_is_confirmed(way: Way) -> None:
    async with engine(shop_app(way)) as running:
        await running.send(order())
        await running.settle()
        assert await story(running) == [*CHARGED, "orders.ConfirmOrder", "orders.OrderConfirmed"]
        assert await ends(running, way) == ("completed", "CONFIRMED", "", AT_THE_START | {"prod_1": 13})


@ways
async def test_what_is_out_of_stock_is_cancelled(way: Way) -> None:
    async with engine(shop_app(way)) as running:
        await running.send(order(product="prod_3"))
        await running.settle()
        assert await story(running) == [*RESERVED[:3], "inventory.OutOfStock", *CANCELLED]
        reason = "prod_3 is out of stock: 2 wanted, none left"
        assert await ends(running, way) == ("compensated", "CANCELLED", reason, AT_THE_START)


@ways
async def test_a_declined_payment_releases_the_stock(way: Way) -> None:
    async with engine(shop_app(way)) as running:
        await running.send(order("300.00"))
        await running.settle()
        assert await story(running) == [*RESERVED, "payments.ChargePayment", "payments.PaymentDeclined", *RELEASED]
        reason = "payment declined: 600.00 is above the limit of 500.00"
        assert await ends(running, way) == ("compensated", "CANCELLED", reason, AT_THE_START)


class LostAnswer(Cards):
    """Charges, and fails before it can say so."""

    async def charge(self, order_id: str, amount: Decimal, *, idempotency_key: str) -> str:
        await super().charge(order_id, amount, idempotency_key=idempotency_key)
        raise TerminalError("the connection was lost")


@ways
async def test_a_charge_of_which_nothing_is_known_is_refunded(way: Way) -> None:
    cards = LostAnswer()
    async with engine(shop_app(way), provide={Cards: cards}) as running:
        await running.send(order())
        await running.settle()
        assert await story(running) == [*RESERVED, "payments.ChargePayment", *REFUNDED]
        status, order_status, reason, free = await ends(running, way)
        assert (status, order_status, free) == ("compensated", "CANCELLED", AT_THE_START)
        assert "the connection was lost" in reason
    assert await cards.refund("o-1") == Decimal("100.00")


class Unreachable(Cards):
    """Fails a few times, then answers."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.failures = failures

    async def charge(self, order_id: str, amount: Decimal, *, idempotency_key: str) -> str:
        if self.failures:
            self.failures -= 1
            raise ConnectionError("nobody answers")
        return await super().charge(order_id, amount, idempotency_key=idempotency_key)


@ways
async def test_a_provider_that_comes_back_is_waited_for(way: Way) -> None:
    async with engine(shop_app(way), provide={Cards: Unreachable(7)}) as running:
        await running.send(order())
        await running.settle()
        assert await running.status(PROCESS[way], "o-1") == "running"
        await running.advance(hours=1)
        assert (await ends(running, way))[:2] == ("completed", "CONFIRMED")


@ways
async def test_a_provider_that_stays_away_is_given_up(way: Way) -> None:
    async with engine(shop_app(way), provide={Cards: Unreachable(8)}) as running:
        await running.send(order())
        await running.settle()
        await running.advance(hours=1)
        status, order_status, reason, free = await ends(running, way)
        assert (status, order_status, free) == ("compensated", "CANCELLED", AT_THE_START)
        assert "nobody answers" in reason


@ways
async def test_a_cancel_undoes_what_was_done(way: Way) -> None:
    async with engine(shop_app(way), provide={Cards: Unreachable(1)}) as running:
        await running.send(order())
        await running.settle()
        assert await running.cancel(PROCESS[way], "o-1", reason="changed my mind")
        await running.settle()
        assert await story(running) == [*RESERVED, "payments.ChargePayment", *REFUNDED]
        assert await ends(running, way) == ("compensated", "CANCELLED", "changed my mind", AT_THE_START)


@ways
def test_the_shop_is_whole(way: Way) -> None:
    app = shop_app(way)
    app.check()
    assert list(app.warnings) == []


class SilentCards(Cards):
    """Charges, and never says so."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()

    async def charge(self, order_id: str, amount: Decimal, *, idempotency_key: str) -> str:
        await super().charge(order_id, amount, idempotency_key=idempotency_key)
        self.asked.set()
        return await asyncio.Event().wait()  # type: ignore[return-value]


@pytest.mark.parametrize("way", ["code", "steps"])
async def test_a_charge_that_is_not_answered_in_time_is_undone(way: Way) -> None:
    cards = SilentCards()
    async with engine(shop_app(way), provide={Cards: cards}) as running:
        waiting = asyncio.ensure_future(
            running.send_and_wait(order(), until=(OrderConfirmed, OrderCancelled), timeout=10_000)
        )
        await asyncio.wait_for(cards.asked.wait(), 60)
        await running.advance(seconds=119)
        assert await running.status(PROCESS[way], "o-1") == "running"
        await running.advance(seconds=1)
        await running.settle()
        reason = "timed out after 120 s"
        assert (await waiting).reason == reason  # type: ignore[union-attr]
        assert await story(running) == [*RESERVED, "payments.ChargePayment", *REFUNDED]
        assert await ends(running, way) == ("compensated", "CANCELLED", reason, AT_THE_START)
