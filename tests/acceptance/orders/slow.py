"""The order app with a charge that takes as long as a test wants, and cannot always be stopped."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from tests.acceptance.orders.handlers import HANDLERS, charge, place
from tests.acceptance.orders.messages import ChargePayment, PaymentCharged, PaymentDeclined
from tests.acceptance.orders.processes import WAYS
from tests.acceptance.orders.world import World

from sagakit import App, Context, Retry

TIMEOUT = 5.0


class Gate:
    """Where a slow charge waits before it does anything."""

    def __init__(self) -> None:
        self.entered = 0
        self.cancelled = 0
        self._open = asyncio.Event()
        self._open_to_threads = threading.Event()

    def open(self) -> None:
        self._open.set()
        self._open_to_threads.set()

    async def pass_through(self) -> None:
        self.entered += 1
        await self._open.wait()

    async def pass_through_stubbornly(self) -> None:
        """Whoever cancels this is not listened to."""
        self.entered += 1
        while not self._open.is_set():
            try:
                await self._open.wait()
            except asyncio.CancelledError:
                self.cancelled += 1

    def pass_through_in_a_thread(self) -> None:
        self.entered += 1
        assert self._open_to_threads.wait(30)


Answer = list[PaymentCharged | PaymentDeclined]


def _charged(command: ChargePayment, world: World, context: Context) -> Any:
    id, key = command.order_id, context.idempotency_key
    world.calls["charge", key] += 1
    return world.answer("charge", id, key, PaymentCharged(id, "payment"), PaymentDeclined(id, "no"))


async def obedient(command: ChargePayment, world: World, gate: Gate, context: Context) -> Answer:
    await gate.pass_through()
    return _charged(command, world, context)


async def stubborn(command: ChargePayment, world: World, gate: Gate, context: Context) -> Answer:
    await gate.pass_through_stubbornly()
    return _charged(command, world, context)


def threaded(command: ChargePayment, world: World, gate: Gate, context: Context) -> Answer:
    gate.pass_through_in_a_thread()
    return _charged(command, world, context)


CHARGES: dict[str, Callable[..., Any]] = {"obedient": obedient, "stubborn": stubborn, "threaded": threaded}
FINISHES_AFTER = ("stubborn", "threaded")


def slow_app(way: str, kind: str, *, attempts: int = 1, timeout: float | None = TIMEOUT) -> App:
    """The order app with one of the slow charges."""
    app = App("orders")
    app.handles(place)
    for handler in HANDLERS:
        if handler is not charge:
            app.handles(handler)
    app.handles(retry=Retry(attempts, first=1.0, jitter=0.0), timeout=timeout)(CHARGES[kind])
    WAYS[way](app)
    return app
