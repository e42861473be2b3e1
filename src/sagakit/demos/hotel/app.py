"""The hotel, put together: one kind of guest, three ways to check out a group."""

from __future__ import annotations

from sagakit import App
from sagakit.demos.hotel.batch import batch
from sagakit.demos.hotel.choreography import choreography
from sagakit.demos.hotel.manager import manager
from sagakit.demos.hotel.stays import stays

hotel = App("hotel", stays, choreography, manager, batch)
