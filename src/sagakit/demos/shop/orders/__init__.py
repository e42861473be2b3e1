"""Orders: the whole module, with the process that fulfils them."""

from sagakit.demos.shop.orders import account, fulfilment
from sagakit.demos.shop.orders.order import orders

__all__ = ["account", "fulfilment", "orders"]
