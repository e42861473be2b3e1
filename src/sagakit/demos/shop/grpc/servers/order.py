"""order.v1.Order."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeAlias

import grpc
from uuid_utils import uuid7

from sagakit import Engine, InvalidMessage, Loaded, NotFound, Refused, stable_id
from sagakit.demos.shop.grpc.amounts import decimal_of
from sagakit.demos.shop.grpc.beyond import ORDER_ID, REASON
from sagakit.demos.shop.grpc.generated import order_pb2
from sagakit.demos.shop.grpc.servers.checks import check_id
from sagakit.demos.shop.order_request import BadRequest, OrderRequest, order_of
from sagakit.demos.shop.orders.messages import (
    CancelOrder,
    ConfirmOrder,
    OrderCancelled,
    OrderConfirmed,
    OrderPlaced,
    OrderRefused,
    PlaceOrder,
)
from sagakit.demos.shop.orders.order import Order
from sagakit.transports.grpc import ask, current, text_of, text_value

Status: TypeAlias = order_pb2.Status


class OrderService:
    """Keeps orders. Who creates one may choose its id, so that a repeat finds it whatever the key."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def CreateOrder(self, request: order_pb2.CreateOrderRequest, context: Any) -> order_pb2.CreateOrderResponse:
        """A new order, PENDING."""
        order_id, asked = _id_of_new(), _asked(request)
        command = PlaceOrder(order_id, asked.customer_id, asked.items, datetime.now(UTC))
        digest = stable_id(order_id, asked.digest())
        event = await ask(self._engine, command, context, until=(OrderPlaced, OrderRefused), digest=digest)
        if isinstance(event, OrderRefused):
            await context.abort(grpc.StatusCode.ALREADY_EXISTS, f"the order {order_id}: {event.reason}")
        return order_pb2.CreateOrderResponse(order=_info(order_id, (await self._engine.load(Order, order_id)).state))

    async def GetOrder(self, request: order_pb2.GetOrderRequest, context: Any) -> order_pb2.GetOrderResponse:
        """An order as it is now. What its message has no field for goes along."""
        order, version = await self._order(request.id)
        at = order.updated_at
        more = [("x-version", str(version)), ("x-updated-at", at.isoformat() if at else "")]
        created = order.placed_at
        more.append(("x-created-at", created.isoformat() if created else ""))
        context.set_trailing_metadata((*more, text_value(REASON, order.reason)))
        return order_pb2.GetOrderResponse(order=_info(request.id, order))

    async def UpdateOrderStatus(
        self, request: order_pb2.UpdateOrderStatusRequest, context: Any
    ) -> order_pb2.UpdateOrderStatusResponse:
        """Confirm or cancel; success also where it is so already."""
        order, _ = await self._order(request.id)
        if request.status not in Status.values():
            raise InvalidMessage(f"status is {request.status}: it is none of order.v1.Status")
        wanted = Status.Name(request.status)
        if wanted != order.status:
            await self._update(request.id, wanted, context)
            order, _ = await self._order(request.id)
        return order_pb2.UpdateOrderStatusResponse(success=order.status == wanted)

    async def _update(self, order_id: str, wanted: str, context: Any) -> None:
        now, digest = datetime.now(UTC), stable_id("status", order_id, wanted)
        try:
            if wanted == "CONFIRMED":
                confirm = ConfirmOrder(order_id, now)
                await ask(self._engine, confirm, context, until=(OrderConfirmed, OrderRefused), digest=digest)
            elif wanted == "CANCELLED":
                cancel = CancelOrder(order_id, text_of(current().metadata, REASON), now)
                await ask(self._engine, cancel, context, until=OrderCancelled, digest=digest)
        except Refused:  # it was cancelled meanwhile
            return

    async def _order(self, order_id: str) -> Loaded[Order]:
        check_id(order_id, "id")
        loaded = await self._engine.load(Order, order_id)
        if loaded.state.status == "NEW":
            raise NotFound(f"there is no order {order_id}")
        return loaded


def _id_of_new() -> str:
    incoming = current()
    chosen, key = incoming.metadata.get(ORDER_ID), incoming.idempotency_key
    if isinstance(chosen, str):
        check_id(chosen, ORDER_ID)
        return chosen
    return stable_id("order", key) if key else uuid7().hex


def _asked(request: order_pb2.CreateOrderRequest) -> OrderRequest:
    """The same checks as at the HTTP door."""
    items = [
        {
            "product_id": item.product_id,
            "quantity": Decimal(item.quantity),
            "price": decimal_of(item.unit_price, "unit_price"),
        }
        for item in request.items
    ]
    try:
        return order_of({"customer_id": request.customer_id, "items": items})
    except BadRequest as error:
        raise InvalidMessage(str(error)) from None


def _info(order_id: str, order: Order) -> order_pb2.OrderInfo:
    items = [
        order_pb2.OrderItem(product_id=item.product_id, quantity=item.quantity, unit_price=float(item.price))
        for item in order.items
    ]
    return order_pb2.OrderInfo(
        id=order_id,
        customer_id=order.customer_id,
        items=items,
        status=order.status,
        total_amount=float(order.total),
    )
