"""The app under fire: orders that are confirmed or undone, with effects that a ledger outside keeps."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from tests.chaos import faults
from tests.chaos.ledger import Ledger, ledger
from tests.chaos.shipping import QUICK, Fate, Ship, Shipped, over_kafka, ship

from sagakit import App, Context, Module, RetryableError, Saga
from sagakit.transports.kafka import Kafka

PRODUCTS = 8
SHIP_WITHIN = 30
"""Seconds. What a broker in memory holds is gone when it is killed: then this ends the step."""


@dataclass(frozen=True)
class PlaceOrder:
    order_id: str
    product: str
    units: int
    fate: Fate


@dataclass(frozen=True)
class OrderConfirmed:
    order_id: str


@dataclass(frozen=True)
class OrderCancelled:
    order_id: str
    reason: str


@dataclass(frozen=True)
class CancelOrder:
    order_id: str
    reason: str


@dataclass(frozen=True)
class Reserve:
    product: str
    order_id: str
    units: int


@dataclass(frozen=True)
class Release:
    product: str
    order_id: str


@dataclass(frozen=True)
class Reserved:
    order_id: str
    units: int


@dataclass(frozen=True)
class Released:
    order_id: str


@dataclass(frozen=True)
class Charge:
    order_id: str
    fate: Fate


@dataclass(frozen=True)
class Charged:
    order_id: str


@dataclass(frozen=True)
class Refund:
    order_id: str


@dataclass(frozen=True)
class Refunded:
    order_id: str


stock = Module("stock")
payments = Module("payments")
shipping = Module("shipping")
app = App("chaos", stock, payments, shipping)


@stock.aggregate(key="product")
@dataclass(frozen=True)
class Shelf:
    """The units of one product that are held, by order: many orders meet in few lanes."""

    held: Mapping[str, int] | None = None
    given_back: int = 0

    def decide(self, command: Reserve | Release) -> Reserved | Released | None:
        held = self.held or {}
        match command:
            case Reserve():
                return Reserved(command.order_id, command.units) if command.order_id not in held else None
            case Release():
                return Released(command.order_id) if command.order_id in held else None

    def evolve(self, event: Reserved | Released) -> Self:
        held = dict(self.held or {})
        match event:
            case Reserved():
                held[event.order_id] = event.units
                return replace(self, held=held)
            case Released():
                return replace(self, held=held, given_back=self.given_back + held.pop(event.order_id))


payments.provides(ledger)


@payments.handles(retry=QUICK)
async def charge(command: Charge, ledger: Ledger, context: Context) -> Charged:
    await ledger.write(context.idempotency_key, "charge", command.order_id)
    if command.fate == "flaky" and context.attempt == 1:
        raise RetryableError("the answer of the card company is lost")
    return Charged(command.order_id)


@payments.handles(retry=QUICK)
async def refund(command: Refund, ledger: Ledger, context: Context) -> Refunded:
    await ledger.write(context.idempotency_key, "refund", command.order_id)
    return Refunded(command.order_id)


if "SAGAKIT_KAFKA" in os.environ:  # shipping is a service of its own
    over_kafka(Kafka(), shipping)
else:
    shipping.handles(retry=QUICK)(ship)


@app.handles
async def cancel_order(command: CancelOrder) -> OrderCancelled:
    return OrderCancelled(command.order_id, command.reason)


@app.saga(key="order_id")
async def order(placed: PlaceOrder, saga: Saga) -> OrderConfirmed:
    id = placed.order_id
    saga.on_undo(lambda undo: CancelOrder(id, undo.reason))
    await saga.do(Reserve(placed.product, id, placed.units), then=Reserved, undo=Release(placed.product, id))
    if placed.fate == "naps":
        await saga.sleep(1)
    await saga.do(Charge(id, placed.fate), then=Charged, undo=Refund(id))
    await saga.do(Ship(id, placed.fate), then=Shipped, timeout=SHIP_WITHIN)
    return OrderConfirmed(id)


faults.plant(os.environ.get("CHAOS_FAULT"))
