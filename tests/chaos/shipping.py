"""Shipping: a module beside the others, or a service of its own that speaks over a broker."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import Literal

from tests.chaos.ledger import Ledger, ledger

from sagakit import App, Context, Module, Retry
from sagakit.transports.kafka import Kafka

Fate = Literal["ships", "refused", "flaky", "naps"]
QUICK = Retry(None, first=0.05, cap=0.5)
TOPIC = "chaos.shipping"
ANSWERS = "chaos.answers"


@dataclass(frozen=True)
class Ship:
    order_id: str
    fate: Fate


@dataclass(frozen=True)
class Shipped:
    order_id: str


@dataclass(frozen=True)
class NotShipped:
    order_id: str
    reason: str


async def ship(command: Ship, ledger: Ledger, context: Context) -> Shipped | NotShipped:
    if command.fate == "refused":
        return NotShipped(command.order_id, "the truck is full")
    await asyncio.sleep(0.01)
    await ledger.write(context.idempotency_key, "ship", command.order_id)
    return Shipped(command.order_id)


def over_kafka(kafka: Kafka, shipping: Module) -> None:
    """For those who send to it: it is elsewhere."""
    kafka.calls(shipping, TOPIC, {Ship: (Shipped, NotShipped)}, answers=ANSWERS)


def service() -> App:
    """The service of its own."""
    shipping = Module("shipping")
    shipping.provides(ledger)
    shipping.handles(retry=QUICK)(ship)
    Kafka().serves(shipping, TOPIC, Ship)
    return App("warehouse", shipping)


if "SAGAKIT_KAFKA" in os.environ:
    app = service()
