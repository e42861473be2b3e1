"""Amounts: doubles on the wire, decimal inside."""

from __future__ import annotations

import math
from decimal import Decimal

from sagakit import InvalidMessage
from sagakit.demos.shop.numbers import DIGITS_AFTER, in_bounds

_CENT = Decimal(1).scaleb(-DIGITS_AFTER)
_NEAR = _CENT / 20
"""Sums of doubles are a little beside what they mean."""


def decimal_of(value: float, what: str) -> Decimal:
    """The amount that a double means, to the cent. Raises InvalidMessage."""
    if math.isfinite(value):
        exact = Decimal(value)
        amount = round(exact, DIGITS_AFTER)
        if abs(exact - amount) < _NEAR and in_bounds(amount):
            return amount
    raise InvalidMessage(f"{what} is {value!r}: send an amount of at most 12 digits before the point and 2 after it")
