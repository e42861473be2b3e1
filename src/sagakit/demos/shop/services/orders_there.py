"""The gateway's order book where orders are kept in another process, and their sagas run in this one."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from datetime import UTC, datetime

import msgspec

from sagakit import Engine, NotFound, Stopping, WaitTimeout
from sagakit.core.commit import ENDED
from sagakit.core.streams import stream_name
from sagakit.demos.shop.order_book import ACCEPT_WITHIN, Found, OrderView
from sagakit.demos.shop.order_request import OrderRequest
from sagakit.demos.shop.orders.messages import OrderPlaced
from sagakit.demos.shop.services.acceptance import Acceptance, AcceptOrder, OrderAccepted
from sagakit.demos.shop.services.wiring import OrdersAway, Wiring

PLACE_WITHIN = 2.0
"""Seconds that a client waits for the order to be placed; it is accepted then, and will be."""


class OrdersThere:
    """Accepts orders whether or not the others are up; says how they are as the one that keeps them says."""

    command = AcceptOrder

    def __init__(self, engine: Engine, wiring: Wiring) -> None:
        self._engine = engine
        self._wiring = wiring
        self._process = engine.topology.starters[OrderPlaced][0].name

    async def place(self, order_id: str, asked: OrderRequest, *, key: str | None, trace: str | None) -> OrderView:
        """PENDING, once it is accepted for good. WaitTimeout if even that takes long: it may still come."""
        command = AcceptOrder(order_id, asked.customer_id, asked.items, datetime.now(UTC))
        receipt = await self._engine.send(command, idempotency_key=key, digest=asked.digest(), trace=trace)
        story = receipt.correlation_id
        accepted = await self._engine.wait(until=OrderAccepted, correlation_id=story, timeout=ACCEPT_WITHIN)
        with suppress(WaitTimeout):
            await self._engine.wait(until=OrderPlaced, correlation_id=story, timeout=PLACE_WITHIN)
        return _pending(accepted)

    async def find(self, order_id: str) -> Found:
        """What this process has accepted is an order, also while the other one does not know of it yet."""
        accepted = await self._accepted(order_id)
        try:
            order, version = await self._wiring.find_order(order_id)
        except (NotFound, OrdersAway):
            if accepted is None or not await self._unsettled(order_id):
                raise
            return Found(_pending(accepted), "0")
        if accepted is not None:  # amounts as the client has written them, and when we have taken it
            order = msgspec.structs.replace(order, items=accepted.items, total=accepted.total, created_at=accepted.at)
        return Found(order, version)

    async def settled(self, order_id: str, within: float) -> None:
        """Wait for the end of its saga, also where that has not begun: all that follows is one story."""
        stream = stream_name(self._engine.topology.aggregates[Acceptance].name, order_id)
        accepted = await self._engine.store.read_stream(stream, limit=1)
        if not accepted:
            return
        story = accepted[0].correlation_id
        with suppress(TimeoutError, Stopping):
            async with asyncio.timeout(within), aclosing(self._engine.watch(correlation_id=story)) as updates:
                async for _ in updates:
                    if not await self._unsettled(order_id):
                        return

    async def _unsettled(self, order_id: str) -> bool:
        """Whether its saga has not ended: then it is PENDING, whoever says so."""
        try:
            return await self._engine.status(self._process, order_id) not in ENDED
        except NotFound:  # it has not begun
            return True

    async def _accepted(self, order_id: str) -> OrderAccepted | None:
        try:
            return (await self._engine.load(Acceptance, order_id)).state.accepted
        except NotFound:
            return None


def _pending(accepted: OrderAccepted) -> OrderView:
    at = accepted.at
    return OrderView(accepted.order_id, accepted.customer_id, "PENDING", accepted.total, accepted.items, at, at)
