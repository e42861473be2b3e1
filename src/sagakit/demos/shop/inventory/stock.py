"""The stock: one for the whole shop. Units are free, or held for an order; together they never change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from sagakit import ONE, Module
from sagakit.demos.shop.inventory.messages import (
    OutOfStock,
    ReleaseStock,
    ReserveStock,
    StockEvent,
    StockReleased,
    StockReserved,
)

inventory = Module("inventory")

AT_THE_START = {"prod_1": 15, "prod_2": 10, "prod_3": 0}


@inventory.aggregate(key=ONE)
@dataclass(frozen=True)
class Stock:
    """Units by product: free, and held by order. What a confirmed order holds is sold."""

    free: dict[str, int] = field(default_factory=lambda: dict(AT_THE_START))
    held: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])
    released: frozenset[str] = frozenset()
    """Orders whose stock was given back: a reservation that comes after is refused."""

    def decide(self, command: ReserveStock | ReleaseStock) -> StockEvent:
        match command:
            case ReserveStock(order_id) if order_id in self.held:
                return self._reserved(order_id, self.held[order_id], moved=0)
            case ReserveStock(order_id, units):
                return self._refusal(order_id, units) or self._reserved(order_id, units, moved=-1)
            case ReleaseStock(order_id):
                units = self.held.get(order_id, {})
                return StockReleased(order_id, units, self._after(units, moved=1))

    def evolve(self, event: StockEvent) -> Self:
        match event:
            case StockReserved(order_id, units, free):
                return replace(self, free=self.free | free, held=self.held | {order_id: units})
            case StockReleased(order_id, _, free):
                held = {order: units for order, units in self.held.items() if order != order_id}
                return replace(self, free=self.free | free, held=held, released=self.released | {order_id})
            case OutOfStock():
                return self

    def _refusal(self, order_id: str, units: Mapping[str, int]) -> OutOfStock | None:
        if order_id in self.released:
            return OutOfStock(order_id, "", "this reservation was undone before it came")
        for product_id, wanted in units.items():
            if product_id not in self.free:
                return OutOfStock(order_id, product_id, f"{product_id} is not sold here")
            if wanted < 1:
                return OutOfStock(order_id, product_id, f"{wanted} units of {product_id} cannot be reserved")
            if wanted > self.free[product_id]:
                left = self.free[product_id] or "none"
                return OutOfStock(order_id, product_id, f"{product_id} is out of stock: {wanted} wanted, {left} left")
        return None

    def _reserved(self, order_id: str, units: dict[str, int], *, moved: int) -> StockReserved:
        return StockReserved(order_id, units, self._after(units, moved=moved))

    def _after(self, units: Mapping[str, int], *, moved: int) -> dict[str, int]:
        """What is free of these products once their units have moved."""
        return {product_id: self.free[product_id] + moved * number for product_id, number in units.items()}
