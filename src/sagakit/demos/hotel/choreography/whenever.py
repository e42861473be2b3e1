"""Whenever this, then that: the whole choreography of a group's check-out."""

from __future__ import annotations

from sagakit.demos.hotel.choreography.group_book import choreography
from sagakit.demos.hotel.choreography.messages import GroupCheckoutInitiated, RecordGuestDetained, RecordGuestLeft
from sagakit.demos.hotel.stays.messages import CheckOut, GuestDetained, GuestLeft


@choreography.on
def check_out_guests(event: GroupCheckoutInitiated) -> list[CheckOut]:
    """Each guest for itself: all at the same time."""
    return [CheckOut(guest, event.group_checkout_id) for guest in event.guest_stay_ids]


@choreography.on
def record(event: GuestLeft | GuestDetained) -> RecordGuestLeft | RecordGuestDetained:
    """Into the group's book."""
    if isinstance(event, GuestLeft):
        return RecordGuestLeft(event.group_checkout_id, event.guest_stay_id)
    return RecordGuestDetained(event.group_checkout_id, event.guest_stay_id, event.reason)
