from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tests.typing.accepted.messages import (
    Item,
    OutOfStock,
    ReleaseStock,
    ReserveStock,
    StockEvent,
    StockReleased,
    StockReserved,
)

from sagakit import ONE, Module

inventory = Module("inventory")


@inventory.aggregate(key=ONE)  # one stock for the whole module
@dataclass(frozen=True)
class Stock:
    free: Mapping[str, int] = field(default_factory=lambda: {"prod_1": 15, "prod_2": 10, "prod_3": 0})
    held: Mapping[str, tuple[Item, ...]] = field(default_factory=dict[str, tuple[Item, ...]])
    released: frozenset[str] = frozenset()  # undos remembered, also of what was never seen

    def decide(self, command: ReserveStock | ReleaseStock) -> StockEvent:
        match command:
            case ReserveStock(order_id, items):
                if order_id in self.released:
                    return OutOfStock(order_id, "", "this reservation was undone")
                for item in items:
                    if self.free.get(item.product_id, 0) < item.quantity:
                        return OutOfStock(order_id, item.product_id, f"{item.product_id} is out of stock")
                return StockReserved(order_id, items)
            case ReleaseStock(order_id):
                return StockReleased(order_id, self.held.get(order_id, ()))

    def evolve(self, event: StockEvent) -> Stock:
        match event:
            case StockReserved(order_id, items):
                return replace(self, free=self._moved(items, -1), held={**self.held, order_id: items})
            case StockReleased(order_id, items):
                held = {key: value for key, value in self.held.items() if key != order_id}
                return replace(self, free=self._moved(items, 1), held=held, released=self.released | {order_id})
            case OutOfStock():
                return self

    def _moved(self, items: tuple[Item, ...], sign: int) -> Mapping[str, int]:
        free = dict(self.free)
        for item in items:
            free[item.product_id] = free.get(item.product_id, 0) + sign * item.quantity
        return free
