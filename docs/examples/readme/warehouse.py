"""The warehouse: what it is asked, what it answers, and the stock itself, which is outside the store."""

from msgspec import Struct


class ReserveStock(Struct, frozen=True):
    order_id: str
    items: dict[str, int]


class StockReserved(Struct, frozen=True):
    order_id: str


class OutOfStock(Struct, frozen=True):
    order_id: str
    reason: str


class ReleaseStock(Struct, frozen=True):
    order_id: str


class StockReleased(Struct, frozen=True):
    order_id: str


class Warehouse:
    """Remembers each order, so that being asked twice changes nothing."""

    def __init__(self) -> None:
        self._stock = {"prod_1": 15}
        self._taken: dict[str, dict[str, int]] = {}

    async def take(self, order_id: str, items: dict[str, int]) -> bool:
        """Set the items aside; False if there are too few."""
        if order_id in self._taken:
            return True
        if any(self._stock.get(item, 0) < count for item, count in items.items()):
            return False
        self._taken[order_id] = items
        for item, count in items.items():
            self._stock[item] -= count
        return True

    async def put_back(self, order_id: str) -> None:
        """Put back what was set aside for an order; nothing, if nothing was."""
        for item, count in self._taken.pop(order_id, {}).items():
            self._stock[item] += count
