"""What the shop's account says of an order."""

from __future__ import annotations

from sagakit.demos.shop.account import Account
from sagakit.demos.shop.orders.messages import Item, OrderCancelled, OrderConfirmed, OrderPlaced
from sagakit.demos.shop.orders.order import orders


@orders.on(key="order_id")
async def tell_order(event: OrderPlaced | OrderConfirmed | OrderCancelled, account: Account) -> None:
    """Its beginning and its end."""
    match event:
        case OrderPlaced(order_id, customer_id, items, total):
            account.begin(order_id, f"{_listed(items)}, {total} in all, for {customer_id}")
        case OrderConfirmed(order_id):
            account.end(order_id, "CONFIRMED")
        case OrderCancelled(order_id, reason):
            account.end(order_id, "CANCELLED", reason)


def _listed(items: tuple[Item, ...]) -> str:
    shown = ", ".join(f"{item.quantity} x {item.product_id} at {item.price}" for item in items[:5])
    return f"{shown} and {len(items) - 5} more" if len(items) > 5 else shown
