"""An order process whose payments are made by a service of its own: what the tests of Kafka run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sagakit import App, Context, Module, Retry, Saga
from sagakit.transports.kafka.kafka import Kafka


@dataclass(frozen=True)
class PlaceOrder:
    order_id: str
    total: int = 50


@dataclass(frozen=True)
class OrderPlaced:
    order_id: str
    total: int


@dataclass(frozen=True)
class OrderPaid:
    order_id: str


@dataclass(frozen=True)
class Charge:
    order_id: str
    total: int


@dataclass(frozen=True)
class Refund:
    order_id: str


@dataclass(frozen=True)
class Ship:
    order_id: str


@dataclass(frozen=True)
class Charged:
    order_id: str


@dataclass(frozen=True)
class Noted:
    order_id: str


@dataclass(frozen=True)
class Declined:
    order_id: str
    reason: str


@dataclass(frozen=True)
class Refunded:
    order_id: str


@dataclass(frozen=True)
class Shipped:
    order_id: str


@dataclass(frozen=True)
class Delayed:
    order_id: str
    reason: str


PAYMENTS: Mapping[type[Any], Any] = {Charge: (Charged, Noted, Declined), Refund: Refunded}


@dataclass
class World:
    """What was done, in order."""

    done: list[str] = field(default_factory=list[str])
    shipping: bool = True


def orders_app(kafka: Kafka, run: str) -> App:
    """Orders: the process, with payments elsewhere."""
    orders, payments = Module("orders"), Module("payments")
    kafka.calls(payments, f"{run}.payments", PAYMENTS, answers=f"{run}.answers", key="order_id")
    kafka.publishes(orders, f"{run}.orders", OrderPaid, key="order_id")

    @orders.handles
    async def place(command: PlaceOrder) -> OrderPlaced:
        return OrderPlaced(command.order_id, command.total)

    @orders.handles
    async def ship(command: Ship, world: World) -> Shipped | Delayed:
        world.done.append(f"ship {command.order_id}")
        return Shipped(command.order_id) if world.shipping else Delayed(command.order_id, "no van")

    @orders.saga(key="order_id")
    async def fulfil(placed: OrderPlaced, saga: Saga) -> OrderPaid:
        charge = Charge(placed.order_id, placed.total)
        await saga.do(charge, then=Charged, undo=Refund(placed.order_id))
        await saga.do(Ship(placed.order_id), then=Shipped)
        return OrderPaid(placed.order_id)

    return App("orders", orders, payments)


def payments_app(kafka: Kafka, run: str) -> App:
    """Payments: a service of its own."""
    payments = Module("payments")
    kafka.serves(payments, f"{run}.payments", Charge, Refund, group=f"{run}.payments")

    @payments.handles(retry=Retry(1))
    async def charge(command: Charge, world: World, context: Context) -> Charged | Declined | Sequence[Charged | Noted]:
        if command.total == 13:
            raise RuntimeError("the till is broken")
        if command.total > 500:
            return Declined(command.order_id, "too much")
        world.done.append(f"charge {command.order_id}")
        charged = Charged(command.order_id)
        return [charged, Noted(command.order_id)] if command.total == 2 else charged

    @payments.handles
    async def refund(command: Refund, world: World) -> Refunded:
        world.done.append(f"refund {command.order_id}")
        return Refunded(command.order_id)

    return App("payments", payments)


def mailing_app(kafka: Kafka, run: str) -> App:
    """Mailing: it hears of orders."""
    mailing = Module("mailing")
    kafka.consumes(mailing, f"{run}.orders", OrderPaid, of="orders", group=f"{run}.mailing")

    @mailing.on(key="order_id")
    async def write(event: OrderPaid, world: World) -> None:
        world.done.append(f"mail {event.order_id}")

    return App("mailing", mailing)
