"""An order as the service that keeps it says."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import grpc
import grpc.aio

from sagakit import NotFound
from sagakit.demos.shop.grpc.amounts import decimal_of
from sagakit.demos.shop.grpc.beyond import REASON
from sagakit.demos.shop.grpc.generated import order_pb2
from sagakit.demos.shop.order_book import Found, OrderView
from sagakit.demos.shop.orders.messages import Item
from sagakit.demos.shop.services.wiring import OrdersAway
from sagakit.transports.grpc import Metadata, text_of

WITHIN = 2.0
"""Seconds that a client waits for it."""


async def find_order(stub: Any, order_id: str) -> Found:
    """Ask `GetOrder`. Raises NotFound, OrdersAway."""
    calling = stub.GetOrder(order_pb2.GetOrderRequest(id=order_id), timeout=WITHIN)
    try:
        reply = await calling
    except grpc.aio.AioRpcError as error:
        if error.code() in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT):
            raise NotFound(error.details() or f"there is no order {order_id}") from None
        raise OrdersAway(f"the service that keeps orders does not answer ({error.code().name})") from error
    return _found(reply.order, dict(await calling.trailing_metadata()))


def _found(info: order_pb2.OrderInfo, metadata: Metadata) -> Found:
    items = tuple(Item(one.product_id, one.quantity, decimal_of(one.unit_price, "unit_price")) for one in info.items)
    total: Decimal = decimal_of(info.total_amount, "total_amount")
    status = order_pb2.Status.Name(info.status)
    created, updated = _time(metadata, "x-created-at"), _time(metadata, "x-updated-at")
    reason = text_of(metadata, REASON)
    view = OrderView(info.id, info.customer_id, status, total, items, created, updated, reason)
    return Found(view, str(metadata.get("x-version") or status))


def _time(metadata: Metadata, name: str) -> datetime | None:
    value = metadata.get(name)
    return datetime.fromisoformat(value) if isinstance(value, str) and value else None
