"""An order: from placed to confirmed or cancelled."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from sagakit.demos.shop.orders.messages import (
    CancelOrder,
    ConfirmOrder,
    Item,
    OrderCancelled,
    OrderConfirmed,
    OrderPlaced,
    OrderRefused,
    PlaceOrder,
)
from sagakit.demos.shop.orders.order import Order, total_of, units_of

THEN = datetime(2026, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 1, 2, tzinfo=UTC)
ITEMS = (Item("prod_1", 2, Decimal("50.00")), Item("prod_2", 1, Decimal("0.10")), Item("prod_1", 1, Decimal("50.00")))
PLACED = OrderPlaced("o-1", "c-1", ITEMS, Decimal("150.10"), THEN)
PENDING = Order().evolve(PLACED)


def test_is_placed_with_its_total_to_the_cent() -> None:
    assert Order().decide(PlaceOrder("o-1", "c-1", ITEMS, THEN)) == PLACED
    assert Order("PENDING", "c-1", ITEMS, Decimal("150.10"), placed_at=THEN, updated_at=THEN) == PENDING


def test_is_placed_once() -> None:
    assert PENDING.decide(PlaceOrder("o-1", "c-1", ITEMS, NOW)) == OrderRefused("o-1", "the order is PENDING")
    assert PENDING.evolve(OrderRefused("o-1", "the order is PENDING")) == PENDING


def test_is_confirmed_once() -> None:
    event = PENDING.decide(ConfirmOrder("o-1", NOW))
    assert event == OrderConfirmed("o-1", NOW)
    confirmed = PENDING.evolve(event)
    assert confirmed == replace(PENDING, status="CONFIRMED", updated_at=NOW)
    assert confirmed.decide(ConfirmOrder("o-1", NOW)) == OrderRefused("o-1", "the order is CONFIRMED")


@pytest.mark.parametrize("status", ["PENDING", "CONFIRMED"])
def test_is_cancelled_with_its_reason(status: str) -> None:
    order = PENDING if status == "PENDING" else PENDING.evolve(OrderConfirmed("o-1", NOW))
    event = order.decide(CancelOrder("o-1", "no luck", NOW))
    assert event == OrderCancelled("o-1", "no luck", NOW)
    cancelled = order.evolve(event)
    assert (cancelled.status, cancelled.reason, cancelled.updated_at) == ("CANCELLED", "no luck", NOW)
    assert cancelled.decide(CancelOrder("o-1", "again", NOW)) is None


def test_what_was_never_placed_is_not_confirmed_and_needs_no_cancelling() -> None:
    assert Order().decide(ConfirmOrder("o-1")) == OrderRefused("o-1", "the order is NEW")
    assert Order().decide(CancelOrder("o-1")) is None


def test_who_does_not_tell_the_time_changes_no_time() -> None:
    assert PENDING.evolve(OrderConfirmed("o-1", None)).updated_at == THEN


def test_lines_of_one_product_are_reserved_together() -> None:
    assert units_of(ITEMS) == {"prod_1": 3, "prod_2": 1}


def test_a_total_is_exact() -> None:
    assert total_of([Item("a", 3, Decimal("0.10"))]) == Decimal("0.30")
    assert str(total_of([Item("a", 2, Decimal("25.00"))])) == "50.00"
    largest = Item("a", 2**31 - 1, Decimal("999999999999.99"))
    assert total_of([largest] * 1000) == 1000 * (2**31 - 1) * Decimal("999999999999.99")
