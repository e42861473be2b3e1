"""What inventory is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from sagakit.demos.shop.ids import OrderId


@dataclass(frozen=True)
class ReserveStock:
    """Hold these units (product to number) for an order."""

    order_id: OrderId
    units: dict[str, int]


@dataclass(frozen=True)
class ReleaseStock:
    """Give back what is held for an order, whatever that is."""

    order_id: OrderId


@dataclass(frozen=True)
class StockReserved:
    """`free` is what is left of each of these products."""

    order_id: str
    units: dict[str, int]
    free: dict[str, int]


@dataclass(frozen=True)
class OutOfStock:
    """The refusal: nothing is held."""

    order_id: str
    product_id: str
    reason: str


@dataclass(frozen=True)
class StockReleased:
    """`units` is empty if nothing was held; `free` is what there is now of each of these products."""

    order_id: str
    units: dict[str, int]
    free: dict[str, int]


StockEvent: TypeAlias = StockReserved | OutOfStock | StockReleased
