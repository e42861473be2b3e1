"""What other modules are told of a stay: its own events stay inside."""

from __future__ import annotations

from sagakit.demos.hotel.stays.guest_stay import stays
from sagakit.demos.hotel.stays.messages import GuestCheckedOut, GuestCheckoutFailed, GuestDetained, GuestLeft


@stays.publishes
def guest_left(event: GuestCheckedOut) -> GuestLeft | None:
    """Of groups only."""
    return None if event.group_checkout_id is None else GuestLeft(event.guest_stay_id, event.group_checkout_id)


@stays.publishes
def guest_detained(event: GuestCheckoutFailed) -> GuestDetained | None:
    """Of groups only."""
    group = event.group_checkout_id
    return None if group is None else GuestDetained(event.guest_stay_id, group, event.reason)
