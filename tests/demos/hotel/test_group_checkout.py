"""One test of a group's check-out, whichever way it is written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from tests.each_store import ON_EACH_STORE

from sagakit import NotFound
from sagakit.core.queries import InstanceQuery
from sagakit.demos.hotel.app import hotel
from sagakit.demos.hotel.batch import messages as of_batch
from sagakit.demos.hotel.batch.group_checkout import check_out_group
from sagakit.demos.hotel.choreography import messages as of_choreography
from sagakit.demos.hotel.manager import messages as of_manager
from sagakit.demos.hotel.manager.group_checkout import GroupCheckout
from sagakit.demos.hotel.stays.guest_stay import GuestStay
from sagakit.demos.hotel.stays.messages import CheckIn, CheckOut, RecordCharge, RecordPayment
from sagakit.testing import ManualEngine, engine

pytestmark = ON_EACH_STORE

GUESTS = tuple(f"guest-{number:02}" for number in range(40))
UNPAID = (GUESTS[3], GUESTS[17], GUESTS[39])
PRICE = Decimal("180.00")


@dataclass(frozen=True)
class Way:
    """How a group's check-out is begun and tried again, and what it ends with."""

    begin: Callable[[ManualEngine, str], Awaitable[Any]]
    again: Callable[[ManualEngine, str], Awaitable[Any]]
    completed: type
    failed: type


async def again_by_batch(running: ManualEngine, group: str) -> None:
    listed = await running.status(check_out_group, group)
    assert listed == "completed"
    (id,) = [one.row.id for one in await running.store.read_instances(InstanceQuery(key=group))]
    await running.operator.act(id, "rerun_failed", by="ann", reason="the three have paid")


WAYS = {
    "choreography": Way(
        lambda running, group: running.send(of_choreography.CheckOutGroup(group, GUESTS)),
        lambda running, group: running.send(of_choreography.TryGroupAgain(group)),
        of_choreography.GroupCheckoutCompleted,
        of_choreography.GroupCheckoutFailed,
    ),
    "manager": Way(
        lambda running, group: running.publish(of_manager.GroupCheckoutInitiated(group, GUESTS)),
        lambda running, group: running.publish(of_manager.AnotherTryAsked(group)),
        of_manager.GroupCheckoutCompleted,
        of_manager.GroupCheckoutFailed,
    ),
    "batch": Way(
        lambda running, group: running.send(of_batch.CheckOutGroup(group, GUESTS)),
        again_by_batch,
        of_batch.GroupCheckoutCompleted,
        of_batch.GroupCheckoutFailed,
    ),
}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    return WAYS[request.param]


@pytest.fixture
async def running() -> AsyncIterator[ManualEngine]:
    """A hotel with forty guests, three of whom have not paid."""
    async with engine(hotel) as running:
        for guest in GUESTS:
            await running.send(CheckIn(guest))
            await running.send(RecordCharge(guest, PRICE))
            if guest not in UNPAID:
                await running.send(RecordPayment(guest, PRICE))
        await running.settle()
        yield running


async def said(running: ManualEngine, *types: type) -> list[Any]:
    """The messages of these types, in the order of the log."""
    log = await running.store.read_messages(limit=100_000)
    by_name = running.topology.codecs.by_name
    decoded = [by_name[one.type].cls for one in log]
    return [
        running.topology.codecs.decode(one.type, one.version, one.payload)
        for one, cls in zip(log, decoded, strict=True)
        if cls in types
    ]


async def closed(running: ManualEngine) -> set[str]:
    stays = {guest: await running.load(GuestStay, guest) for guest in GUESTS}
    return {guest for guest, stay in stays.items() if stay.state.status == "closed"}


async def test_who_has_paid_leaves_and_the_others_are_named(running: ManualEngine, way: Way) -> None:
    await way.begin(running, "group-1")
    await running.settle()
    (failed,) = await said(running, way.failed, way.completed)
    assert isinstance(failed, way.failed)
    assert (failed.completed, set(failed.failed)) == (37, set(UNPAID))  # type: ignore[attr-defined]
    assert await closed(running) == set(GUESTS) - set(UNPAID)


async def test_when_they_have_paid_the_next_try_finishes_just_them(running: ManualEngine, way: Way) -> None:
    await way.begin(running, "group-1")
    await running.settle()
    for guest in UNPAID:
        await running.send(RecordPayment(guest, PRICE))
    await running.settle()
    asked = len(await said(running, CheckOut))
    assert asked == len(GUESTS)
    await way.again(running, "group-1")
    await running.settle()
    again = (await said(running, CheckOut))[asked:]
    assert [command.guest_stay_id for command in sorted(again, key=lambda one: one.guest_stay_id)] == sorted(UNPAID)
    assert await said(running, way.completed) == [way.completed("group-1")]
    assert await closed(running) == set(GUESTS)


async def test_a_second_try_may_fail_again(running: ManualEngine, way: Way) -> None:
    await way.begin(running, "group-1")
    await running.settle()
    await running.send(RecordPayment(UNPAID[0], PRICE))
    await running.settle()
    await way.again(running, "group-1")
    await running.settle()
    first, second = await said(running, way.failed)
    assert (first.completed, second.completed) == (37, 38)
    assert set(second.failed) == set(UNPAID[1:])
    assert not await said(running, way.completed)


async def test_the_three_ways_stand_side_by_side(running: ManualEngine) -> None:
    """One group is begun in every way at once: whoever is first checks a guest out, the others name it as failed."""
    for name, way in WAYS.items():
        await way.begin(running, f"group-{name}")
    await running.settle()
    for way in WAYS.values():
        (failed,) = await said(running, way.failed)
        assert set(failed.failed) >= set(UNPAID)
    assert await closed(running) == set(GUESTS) - set(UNPAID)


async def test_a_guest_alone_is_no_matter_of_groups(running: ManualEngine) -> None:
    await running.send(CheckOut(GUESTS[0]))
    await running.settle()
    with pytest.raises(NotFound):
        await running.status(GroupCheckout, "group-1")
    assert await closed(running) == {GUESTS[0]}
