"""The id of an order, as every door of the shop takes it."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

LONGEST = 255

OrderId: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST, pattern=r"^[^\x00]*$")]
"""It is the key of whoever takes what was done for the order, so it is what every store can hold: no NUL."""
