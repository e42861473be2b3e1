"""Sagas through the engine: many in flight, and one at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

from msgspec import Struct

from sagakit.bench.orders import NOWHERE, ORDER, OrderCancelled, OrderConfirmed, PlaceOrder, new_order
from sagakit.bench.sizes import BenchFailed
from sagakit.engine.engine import Engine

PATIENCE = 30.0
"""Seconds after which a saga counts as one that does not end."""


class Load(Struct, frozen=True):
    """What a round took."""

    sagas_per_s: float
    cpu_ms_per_saga: float
    """Of all threads of this process, and so of whoever sends, too."""


async def run_many(engine: Engine, sagas: int, concurrency: int, *, at_home: bool = False) -> Load:
    """Send so many orders, so many in flight, and wait for every end. `at_home`: the engine makes their keys."""
    orders = [new_order(index, engine.new_key(ORDER) if at_home else None) for index in range(sagas)]
    waiting = iter(orders)
    begun, cpu_begun = time.perf_counter(), time.process_time()
    await asyncio.gather(*(_send_each(engine, waiting) for _ in range(concurrency)))
    seconds, cpu_seconds = time.perf_counter() - begun, time.process_time() - cpu_begun
    return Load(sagas / seconds, cpu_seconds * 1000 / sagas)


async def run_alone(engine: Engine, sagas: int, within: float) -> list[float]:
    """One order at a time that is not refused: the milliseconds of each from the send to the committed end, sorted."""
    taken: list[float] = []
    until = time.perf_counter() + within
    for _ in range(sagas):
        order = new_order(0)
        begun = time.perf_counter()
        await send_order(engine, order)
        taken.append((time.perf_counter() - begun) * 1000)
        if time.perf_counter() > until:
            break
    return sorted(taken)


async def _send_each(engine: Engine, orders: Iterator[PlaceOrder]) -> None:
    for order in orders:
        await send_order(engine, order)


async def send_order(engine: Engine, order: PlaceOrder) -> None:
    """Send one and wait for its end. BenchFailed if that is not the one it must come to."""
    end = await engine.send_and_wait(order, until=(OrderConfirmed, OrderCancelled), timeout=PATIENCE)
    wanted = OrderCancelled if order.city == NOWHERE else OrderConfirmed
    if type(end) is not wanted:
        raise BenchFailed(f"the order {order.order_id} ended with {type(end).__name__}, not {wanted.__name__}")
