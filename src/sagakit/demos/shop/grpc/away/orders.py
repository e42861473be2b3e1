"""Orders, as the gateway has them: kept elsewhere, fulfilled here."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from sagakit import Module
from sagakit.demos.shop.grpc.away.patience import UNTIL_IT_IS_BACK, WITHIN
from sagakit.demos.shop.grpc.beyond import ORDER_ID, REASON, read_outcome
from sagakit.demos.shop.grpc.generated.order_pb2 import (
    CANCELLED,
    CONFIRMED,
    CreateOrderRequest,
    CreateOrderResponse,
    OrderItem,
    UpdateOrderStatusRequest,
    UpdateOrderStatusResponse,
)
from sagakit.demos.shop.grpc.generated.order_pb2_grpc import OrderStub
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
from sagakit.demos.shop.orders.order import total_of
from sagakit.transports.grpc import Metadata, connected, text_value, unary


def create_request(command: PlaceOrder) -> CreateOrderRequest:
    """Prices as the doubles that they have to be."""
    items = [
        OrderItem(product_id=item.product_id, quantity=item.quantity, unit_price=float(item.price))
        for item in command.items
    ]
    return CreateOrderRequest(customer_id=command.customer_id, items=items)


def placed(reply: CreateOrderResponse, command: PlaceOrder) -> OrderPlaced:
    """It stands; its process begins with that."""
    return OrderPlaced(command.order_id, command.customer_id, command.items, total_of(command.items), command.at)


def confirm_request(command: ConfirmOrder) -> UpdateOrderStatusRequest:
    """To CONFIRMED."""
    return UpdateOrderStatusRequest(id=command.order_id, status=CONFIRMED)


def confirmed(
    reply: UpdateOrderStatusResponse, command: ConfirmOrder, metadata: Metadata
) -> OrderConfirmed | OrderRefused:
    """Confirmed, or not to be."""
    if reply.success:
        return OrderConfirmed(command.order_id, command.at)
    return read_outcome(metadata, OrderRefused(command.order_id, "the order cannot be confirmed"))


def cancel_request(command: CancelOrder) -> UpdateOrderStatusRequest:
    """To CANCELLED."""
    return UpdateOrderStatusRequest(id=command.order_id, status=CANCELLED)


def cancelled(reply: UpdateOrderStatusResponse, command: CancelOrder) -> OrderCancelled:
    """Whatever it was, it is cancelled now."""
    return OrderCancelled(command.order_id, command.reason, command.at)


def orders_at(address: str) -> Module:
    """The module whose commands are calls of the service at this address, with the process of an order."""
    module = Module("orders")
    handles = module.handles(retry=UNTIL_IT_IS_BACK, timeout=WITHIN)
    handles(
        unary(
            OrderStub,
            "CreateOrder",
            command=PlaceOrder,
            request=create_request,
            response=placed,
            metadata=lambda command: {ORDER_ID: command.order_id},
            name="place_order",
        )
    )
    handles(
        unary(
            OrderStub,
            "UpdateOrderStatus",
            command=ConfirmOrder,
            request=confirm_request,
            response=confirmed,
            name="confirm_order",
        )
    )
    handles(
        unary(
            OrderStub,
            "UpdateOrderStatus",
            command=CancelOrder,
            request=cancel_request,
            response=cancelled,
            metadata=lambda command: dict([text_value(REASON, command.reason)]),
            name="cancel_order",
        )
    )
    module.on(key="order_id")(tell_order)
    module.saga(key=fulfil_order.key, name=fulfil_order.name)(fulfil_order.code)

    @module.provides
    async def stub() -> AsyncGenerator[OrderStub]:
        async with connected(address) as channel:
            yield OrderStub(channel)

    return module
