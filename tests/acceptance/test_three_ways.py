"""One order process, written as code, as steps and as a process manager: one test for all three."""

from __future__ import annotations

import pytest
from tests.acceptance.orders.processes import WAYS
from tests.acceptance.orders.running import End, end_of, run_order
from tests.acceptance.orders.world import Reply, World
from tests.each_store import ON_EACH_STORE, new_store

pytestmark = ON_EACH_STORE


FORWARD = [
    *("PlaceOrder", "OrderPlaced"),
    *("ReserveStock", "StockReserved"),
    *("ChargePayment", "PaymentCharged"),
    *("ShipOrder", "OrderShipped"),
    *("ConfirmOrder", "OrderConfirmed"),
]
HELD = ("stock", "money", "parcel", "confirmation")
RECALL = ["RecallShipment", "ShipmentRecalled"]
REFUND = ["RefundPayment", "PaymentRefunded"]
RELEASE = ["ReleaseStock", "StockReleased"]
CANCEL = ["CancelOrder", "OrderCancelled"]


def compensated(cause: str, reason: str, *story: list[str]) -> End:
    told = tuple(name for part in (*story, CANCEL) for name in part)
    return End("compensated", cause, reason, told, ("cancellation",), ())


CASES: dict[str, tuple[dict[str, Reply | tuple[Reply, ...]], End]] = {
    "all is done": ({}, End("completed", "", "", tuple(FORWARD), HELD, ())),
    "the first step is refused": (
        {"reserve": "refused"},
        compensated("refused", "reserve says no", FORWARD[:3], ["OutOfStock"]),
    ),
    "the second step is refused": (
        {"charge": "refused"},
        compensated("refused", "charge says no", FORWARD[:5], ["PaymentDeclined"], RELEASE),
    ),
    "the last step is refused": (
        {"confirm": "refused"},
        compensated("refused", "confirm says no", FORWARD[:9], ["ConfirmationRefused"], RECALL, REFUND, RELEASE),
    ),
    "a step leads to no event": (
        {"ship": "nothing"},
        compensated(
            "refused", "orders.ShipOrder led to no event", FORWARD[:7], ["CommandLedToNothing"], REFUND, RELEASE
        ),
    ),
    "a step breaks before its effect": (
        {"charge": "broken"},
        compensated("failed", "Broken: charge is broken", FORWARD[:5], ["CommandFailed"], REFUND, RELEASE),
    ),
    "a step breaks after its effect": (
        {"ship": "broken after"},
        compensated("failed", "Broken: ship is broken", FORWARD[:7], ["CommandFailed"], RECALL, REFUND, RELEASE),
    ),
    "a step's retries are used up": (
        {"charge": ("lost", "fails")},
        compensated(
            "failed", "ConnectionError: charge could not be reached", FORWARD[:5], ["CommandFailed"], REFUND, RELEASE
        ),
    ),
    "a step's last attempt succeeds": (
        {"charge": ("lost", "fails", "done")},
        End("completed", "", "", tuple(FORWARD), HELD, ()),
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", CASES)
async def test_ends_the_same(way: str, case: str) -> None:
    script, expected = CASES[case]
    store, world = new_store(), World(**script)
    await run_order(way, store.again, world)
    assert await end_of(store.again, world) == expected


@pytest.mark.parametrize("way", WAYS)
async def test_an_undo_that_is_given_up_waits_for_a_person(way: str) -> None:
    store, world = new_store(), World(ship="refused", refund="broken")
    await run_order(way, store.again, world)
    end = await end_of(store.again, world)
    assert (end.status, end.reason) == ("compensation_failed", "Broken: refund is broken")
    assert end.story == (*FORWARD[:7], "ShippingRefused", "RefundPayment", "CommandFailed")
    assert end.left == (("RefundPayment", "parked"),)
    assert end.held == ("stock", "money")  # what is below it on the stack waits too


@pytest.mark.parametrize("way", ["code", "steps"])
async def test_an_undo_that_leads_to_no_event_is_done(way: str) -> None:
    store, world = new_store(), World(ship="refused", refund="nothing")
    await run_order(way, store.again, world)
    end = await end_of(store.again, world)
    story = (*FORWARD[:7], "ShippingRefused", "RefundPayment", "CommandLedToNothing", *RELEASE, *CANCEL)
    assert end == End("compensated", "refused", "ship says no", story, ("money", "cancellation"), ())
