"""The batch of a group's check-out. A saga that starts with a command answers it."""

from __future__ import annotations

from sagakit import Module, Saga
from sagakit.demos.hotel.batch.messages import CheckOutGroup, GroupCheckoutCompleted, GroupCheckoutFailed
from sagakit.demos.hotel.stays.messages import CheckOut, GuestCheckedOut

batch = Module("batch")

AT_ONCE = 50


@batch.saga(key="group_checkout_id")
async def check_out_group(group: CheckOutGroup, saga: Saga) -> GroupCheckoutCompleted | GroupCheckoutFailed:
    """Check them out, at most so many at once; who could not leave is named."""

    def check_out(guest: str) -> CheckOut:
        return CheckOut(guest, group.group_checkout_id)

    result = await saga.each(group.guest_stay_ids, check_out, then=GuestCheckedOut, at_once=AT_ONCE)
    if result.failed:
        detained = tuple(guest for guest, _ in result.failures())
        return GroupCheckoutFailed(group.group_checkout_id, result.done, detained)
    return GroupCheckoutCompleted(group.group_checkout_id)
