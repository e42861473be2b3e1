"""What the shop's account says of the stock."""

from __future__ import annotations

from collections.abc import Mapping

from sagakit.demos.shop.account import Account
from sagakit.demos.shop.inventory.messages import OutOfStock, StockEvent, StockReleased, StockReserved
from sagakit.demos.shop.inventory.stock import inventory


@inventory.on(key="order_id")
async def tell_stock(event: StockEvent, account: Account) -> None:
    """How many units of each product are free, before and after."""
    match event:
        case StockReserved(order_id, units, free):
            account.step(order_id, "stock reserved", _moved(units, free, by=-1))
        case StockReleased(order_id, units, free):
            account.undo(order_id, "stock released", _moved(units, free, by=1))
        case OutOfStock(order_id, _, reason):
            account.refusal(order_id, reason)


def _moved(units: Mapping[str, int], free: Mapping[str, int], *, by: int) -> str:
    if units and not free:  # another process has the stock, and did not say
        return ", ".join(f"{number} x {product_id}" for product_id, number in units.items())
    moves = [
        f"{product_id} {free[product_id] - by * number} -> {free[product_id]}" for product_id, number in units.items()
    ]
    return f"{', '.join(moves)} free" if moves else "nothing was held"
