"""Where the gateway's orders are: the door that it places them at and finds them by."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple, Protocol

import msgspec

from sagakit import Engine, Message, NotFound, Stopping, WaitTimeout
from sagakit.demos.shop.order_request import OrderRequest
from sagakit.demos.shop.orders.messages import Item, OrderPlaced, PlaceOrder
from sagakit.demos.shop.orders.order import Order

ACCEPT_WITHIN = 10
"""Seconds until a client is asked to come again with the same key."""


class OrderView(msgspec.Struct, omit_defaults=True):
    """An order as clients see it."""

    id: str
    customer_id: str
    status: str
    total: Decimal
    items: tuple[Item, ...]
    created_at: datetime | None
    updated_at: datetime | None
    reason: str = ""


class Found(NamedTuple):
    """An order, and what tells this state of it from any other."""

    order: OrderView
    version: str


class OrderBook(Protocol):
    """Where orders are placed and found."""

    @property
    def command(self) -> type[Message]:
        """What a client's order is to the engine beside the gateway: idempotency keys are kept for it."""
        ...

    async def place(self, order_id: str, asked: OrderRequest, *, key: str | None, trace: str | None) -> OrderView:
        """The order, PENDING, once it and its saga are durable; the same for each repeat of a key."""
        ...

    async def find(self, order_id: str) -> Found:
        """The order as it is now. Raises NotFound."""
        ...

    async def settled(self, order_id: str, within: float) -> None:
        """Wait until the process of an order has ended, at most so many seconds."""
        ...


class OrdersHere:
    """Orders and their sagas in the engine beside the gateway."""

    command = PlaceOrder

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def place(self, order_id: str, asked: OrderRequest, *, key: str | None, trace: str | None) -> OrderView:
        """The first answer; a repeat makes the same one from the same event."""
        placed = await self._engine.send_and_wait(
            PlaceOrder(order_id, asked.customer_id, asked.items, datetime.now(UTC)),
            until=OrderPlaced,
            timeout=ACCEPT_WITHIN,
            idempotency_key=key,
            digest=asked.digest(),
            trace=trace,
        )
        at = placed.placed_at
        return OrderView(placed.order_id, placed.customer_id, "PENDING", placed.total, placed.items, at, at)

    async def find(self, order_id: str) -> Found:
        """The order as its stream says."""
        order, version = await self._engine.load(Order, order_id)
        if order.status == "NEW":
            raise NotFound(f"there is no order {order_id}")
        view = OrderView(
            order_id,
            order.customer_id,
            order.status,
            order.total,
            order.items,
            order.placed_at,
            order.updated_at,
            order.reason,
        )
        return Found(view, str(version))

    async def settled(self, order_id: str, within: float) -> None:
        """Wait for the end of its saga, which may still have to begin: another worker may have it."""
        process = self._engine.topology.starters[OrderPlaced][0].name
        with suppress(WaitTimeout, Stopping):
            await self._engine.wait(process, order_id, timeout=within, begun=False)
