"""Which modules run in which process."""

from __future__ import annotations

from sagakit import App, Module
from sagakit.demos.shop.app import silence
from sagakit.demos.shop.inventory import inventory
from sagakit.demos.shop.orders.account import tell_order
from sagakit.demos.shop.orders.order import Order
from sagakit.demos.shop.payments import payments
from sagakit.demos.shop.services.acceptance import acceptance
from sagakit.demos.shop.services.wiring import Service, Wiring

orders_alone = Module("orders")
"""Orders without the process that fulfils them: that one is the gateway's."""
orders_alone.aggregate(key="order_id")(Order)
orders_alone.on(key="order_id")(tell_order)


def service_app(service: Service, wiring: Wiring) -> App:
    """What runs in one process. The gateway has all modules: its own, and the others as they are reached from there."""
    match service:
        case "gateway":
            modules = (acceptance, *(wiring.away(other) for other in ("order", "inventory", "payment")))
        case "inventory":
            modules = (inventory,)
        case "payment":
            modules = (payments,)
        case "order":
            modules = (orders_alone,)
    app = App(f"shop-{service}", *modules)
    app.provides(silence)
    wiring.join(service, app)
    for link in wiring.links(service):
        app.link(link)
    return app
