"""Stays: each guest's account, and what the rest of the hotel is told of it."""

from sagakit.demos.hotel.stays import published
from sagakit.demos.hotel.stays.guest_stay import stays

__all__ = ["published", "stays"]
