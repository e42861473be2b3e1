"""The shop's modules over Kafka: as their own process has them, and as the gateway has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sagakit import Module
from sagakit.demos.shop.inventory.account import tell_stock
from sagakit.demos.shop.inventory.messages import OutOfStock, ReleaseStock, ReserveStock, StockReleased, StockReserved
from sagakit.demos.shop.orders.account import tell_order
from sagakit.demos.shop.orders.fulfilment import fulfil_order
from sagakit.demos.shop.orders.messages import (
    CancelOrder,
    ConfirmOrder,
    OrderCancelled,
    OrderConfirmed,
    OrderPlaced,
    OrderRefused,
    PlaceOrder,
)
from sagakit.demos.shop.payments.account import tell_payment
from sagakit.demos.shop.payments.messages import (
    ChargePayment,
    PaymentCharged,
    PaymentDeclined,
    PaymentRefunded,
    RefundPayment,
)
from sagakit.demos.shop.services.wiring import Service
from sagakit.transports.kafka import Kafka, Outcomes


class Topics(NamedTuple):
    """What goes over which topics for one service."""

    module: str
    commands: Outcomes

    @property
    def asked(self) -> str:
        """The topic of its commands."""
        return f"shop.{self.module}"

    @property
    def answered(self) -> str:
        """The topic of its outcomes."""
        return f"shop.{self.module}.answers"


TOPICS: Mapping[Service, Topics] = {
    "inventory": Topics("inventory", {ReserveStock: (StockReserved, OutOfStock), ReleaseStock: StockReleased}),
    "payment": Topics("payments", {ChargePayment: (PaymentCharged, PaymentDeclined), RefundPayment: PaymentRefunded}),
    "order": Topics(
        "orders",
        {
            PlaceOrder: (OrderPlaced, OrderRefused),
            ConfirmOrder: (OrderConfirmed, OrderRefused),
            CancelOrder: (OrderCancelled, OrderRefused),
        },
    ),
}


def away(kafka: Kafka, service: Service) -> Module:
    """The module of another process: its commands go over a topic, and so do their outcomes."""
    topics = TOPICS[service]
    module = Module(topics.module)
    kafka.calls(module, topics.asked, topics.commands, answers=topics.answered, key="order_id")
    match service:
        case "inventory":
            module.on(key="order_id")(tell_stock)
        case "payment":
            module.on(key="order_id")(tell_payment)
        case _:
            module.on(key="order_id")(tell_order)
            module.saga(key=fulfil_order.key, name=fulfil_order.name)(fulfil_order.code)
    return module


def serve(kafka: Kafka, service: Service, app: Module) -> None:
    """Handle what comes over the topics of a service."""
    topics = TOPICS[service]
    kafka.serves(app, topics.asked, *topics.commands, of=topics.module, group=topics.asked)
