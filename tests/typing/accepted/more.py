"""The breadth of a code saga, listeners, versions, and messages of all three kinds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, Generic, TypeVar, assert_type

from msgspec import Struct
from pydantic import BaseModel
from tests.typing.accepted.hotel import CheckOutGroup, GroupCheckoutCompleted, GroupCheckoutFailed, hotel
from tests.typing.accepted.inventory import inventory
from tests.typing.accepted.messages import (
    CancelOrder,
    ChargePayment,
    ConfirmOrder,
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    OrderPlaced,
    PaymentCharged,
    PaymentDeclined,
    RefundPayment,
    ReleaseStock,
    StockReleased,
)
from tests.typing.accepted.orders import orders
from tests.typing.accepted.payments import payments

from sagakit import App, Context, Message, NotDone, OutcomeUnknown, Refused, Retry, Saga, TimedOut, wire

shop = App("more", orders, inventory, payments, hotel)
T = TypeVar("T")


class Base(Struct, frozen=True):
    order_id: str


@wire("orders.OrderShipped", version=2)
class Shipped(Base, frozen=True):
    parcel: str


class Returned(BaseModel):
    order_id: str


@dataclass
class Remembered:  # frozen is better; it need not be
    order_id: str


class Page(Struct, Generic[T], frozen=True):
    order_id: str
    rows: list[T]


class Numbers(Page[int], frozen=True): ...


@shop.upcasts(Shipped, version=1)
def with_parcel(fields: dict[str, Any]) -> dict[str, Any]:
    return {**fields, "parcel": ""}


@shop.saga(key="order_id", receives=(Shipped, OrderCompleted), deadline=timedelta(days=30), version=3, name="deliver")
async def deliver(order: Remembered, saga: Saga) -> Returned | None:
    payment_id = saga.new_id("payment")
    assert_type(payment_id, str)
    try:
        paid = await saga.do(
            ChargePayment(order.order_id, Decimal(1)),
            then=(PaymentCharged, PaymentDeclined),
            undo=lambda undo: RefundPayment(
                order.order_id, undo.outcome.payment_id if isinstance(undo.outcome, PaymentCharged) else None
            ),
        )
        assert_type(paid, PaymentCharged | PaymentDeclined)
        match paid:
            case PaymentCharged():
                pass
            case PaymentDeclined(reason=reason):
                raise Refused(reason)
    except OutcomeUnknown as unknown:
        saga.log.info("charge unknown", reason=unknown.reason)
        await saga.undo()
    except NotDone as refused:
        saga.log.info("not charged", reason=refused.reason)
    assert_type(await saga.do(CancelOrder(order.order_id), then=None), None)
    group = await saga.do(CheckOutGroup("g", ("a",)), then=(GroupCheckoutCompleted, GroupCheckoutFailed))
    assert_type(group, GroupCheckoutCompleted | GroupCheckoutFailed)
    shipped = await saga.receive(Shipped)
    assert_type(shipped.parcel, str)
    in_time = await saga.receive(Shipped, timeout=timedelta(days=3))
    assert_type(in_time, Shipped | None)
    assert_type(await saga.sleep(30), None)
    shipped_or_late = await saga.first(saga.receive(Shipped), saga.sleep(timedelta(hours=1)))
    assert_type(shipped_or_late, Shipped | None)
    try:
        await saga.do(ConfirmOrder(order.order_id), then=OrderConfirmed, timeout=timedelta(minutes=5))
    except TimedOut as late:
        saga.log.info("late", reason=late.reason)
    either = await saga.first(saga.receive(Shipped), saga.receive(OrderCompleted))
    assert_type(either, Shipped | OrderCompleted)
    confirmed, released = await saga.all(
        saga.do(ConfirmOrder(order.order_id), then=OrderConfirmed),
        saga.do(ReleaseStock(order.order_id), then=StockReleased, undo=CancelOrder(order.order_id)),
    )
    assert_type(confirmed, OrderConfirmed)
    assert_type(released, StockReleased)
    one, two, three = await saga.all(saga.receive(Shipped), branch(saga, 3), saga.receive(OrderCompleted))
    assert_type(one, Shipped)
    assert_type(two, int)
    assert_type(three, OrderCompleted)
    answers = await saga.all(*(branch(saga, number) for number in range(3)))
    assert_type(answers, tuple[int, ...])
    charged = await saga.each(
        [("o-1", 1), ("o-2", 2)],
        lambda line: ChargePayment(line[0], Decimal(line[1])),
        then=PaymentCharged,
        stop_at=0.1,
        undo=lambda line: RefundPayment(line[0], ""),
    )
    assert_type(charged.done, int)
    for line, reason in charged.failures():
        assert_type(line, tuple[str, int])
        assert_type(reason, str)
    await saga.each((one for one in ["o-1"]), ReleaseStock, then=None, stop_at=3)
    saga.send(CancelOrder(order.order_id, "late"))
    saga.publish(Shipped(order.order_id, "p"))
    if confirmed.order_id == "again":
        saga.restart_with(Remembered(order.order_id))
    return Returned(order_id=order.order_id)


async def branch(saga: Saga, number: int) -> int:
    await saga.do(ReleaseStock(saga.key), then=StockReleased)
    return number


@shop.on
def whenever(event: Returned) -> ReleaseStock:
    return ReleaseStock(event.order_id)


@shop.on(key="order_id", retry=Retry(3))
async def mail(event: OrderCompleted | Shipped, context: Context) -> None:
    context.log.info("mail", order=event.order_id, attempt=context.attempt, at=context.recorded_at)


@shop.on
async def first_of_all(event: Returned) -> Message | None:
    return ReleaseStock(event.order_id)


@shop.handles
async def remember(command: Numbers) -> Returned:
    return Returned(order_id=command.order_id)


_ = (OrderCancelled, OrderPlaced)
