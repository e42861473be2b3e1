"""What every request has to have."""

from __future__ import annotations

from sagakit import InvalidMessage
from sagakit.demos.shop.order_request import LONGEST_NAME


def check_id(id: str) -> None:
    """Raise InvalidMessage unless it can be the id of an order."""
    if not 0 < len(id) <= LONGEST_NAME:
        raise InvalidMessage(f"the id of the order has {len(id)} characters: send 1 to {LONGEST_NAME}")
