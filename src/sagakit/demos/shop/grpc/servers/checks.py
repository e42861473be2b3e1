"""What every request has to have."""

from __future__ import annotations

from sagakit import InvalidMessage
from sagakit.demos.shop.ids import LONGEST


def check_id(id: str, field: str = "order_id") -> None:
    """Raise InvalidMessage unless it can be the id of an order."""
    if not 0 < len(id) <= LONGEST:
        raise InvalidMessage(f"{field} has {len(id)} characters: send 1 to {LONGEST}")
    if "\0" in id:
        raise InvalidMessage(f"{field} is {id[:40]!r}, which has a NUL character: send an id without one")
