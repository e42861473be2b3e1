"""The same order process: as steps, and as a process manager that undoes by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self, assert_type

from tests.typing.accepted.messages import (
    CancelOrder,
    ChargePayment,
    ConfirmOrder,
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    OrderPlaced,
    OutOfStock,
    PaymentCharged,
    PaymentDeclined,
    PaymentRefunded,
    RefundPayment,
    ReleaseStock,
    ReserveStock,
    StockReleased,
    StockReserved,
)

from sagakit import Cancelled, Deadline, End, Failed, Message, Module, Step, StepSaga, Undo, Undoing

orders = Module("orders")

fulfil_in_steps = orders.step_saga(
    "fulfil_in_steps",
    Step(ReserveStock, then=StockReserved, undo=ReleaseStock),
    Step(ChargePayment, then=PaymentCharged, undo=RefundPayment),
    Step(ConfirmOrder, then=OrderConfirmed),
    starts_with=OrderPlaced,
    key="order_id",
    undo=CancelOrder,
)
assert_type(fulfil_in_steps, StepSaga[OrderPlaced])


def charge(order: OrderPlaced, reserved: StockReserved) -> ChargePayment:
    return ChargePayment(reserved.order_id, order.total)


def refund(order: OrderPlaced, undo: Undo[PaymentCharged]) -> RefundPayment:
    return RefundPayment(order.order_id, undo.outcome.payment_id if undo.outcome else None)


def end_of_steps(order: OrderPlaced, charged: PaymentCharged) -> OrderCompleted:
    return OrderCompleted(order.order_id, order.customer_id, order.total)


def cancel(order: OrderPlaced) -> CancelOrder:
    return CancelOrder(order.order_id, "too late")


fulfil_by_functions = orders.step_saga(
    "fulfil_by_functions",
    Step(ReserveStock, then=(StockReserved, OutOfStock), undo=ReleaseStock, timeout=30, name="reserve"),
    Step(ReserveStock, then=StockReserved),
    Step(charge, then=PaymentCharged, undo=refund),
    starts_with=OrderPlaced,
    key="order_id",
    returns=end_of_steps,
    deadline=Deadline(3600, then=cancel, warn=600),
    version=2,
)


@orders.process_manager(key="order_id", starts_with=OrderPlaced, early_for=60, attributes=("order_id",))
@dataclass(frozen=True)
class Fulfilment:
    order: OrderPlaced | None = None
    reason: str = ""

    def evolve(self, event: OrderPlaced | OutOfStock | PaymentDeclined) -> Self:
        match event:
            case OrderPlaced():
                return replace(self, order=event)
            case OutOfStock() | PaymentDeclined():
                return replace(self, reason=event.reason)

    def react(
        self,
        event: OrderPlaced
        | StockReserved
        | OutOfStock
        | PaymentCharged
        | PaymentDeclined
        | PaymentRefunded
        | StockReleased
        | OrderConfirmed
        | OrderCancelled
        | Failed[ChargePayment]
        | Cancelled,
    ) -> Message | Sequence[Message] | None:
        assert self.order
        match event:
            case OrderPlaced(order_id, _, items):
                return ReserveStock(order_id, items)
            case StockReserved(order_id):
                return ChargePayment(order_id, self.order.total)
            case PaymentCharged(order_id):
                return ConfirmOrder(order_id)
            case PaymentDeclined(order_id) | PaymentRefunded(order_id):
                return Undoing(ReleaseStock(order_id), of=ReserveStock(order_id, self.order.items))
            case OutOfStock(order_id) | StockReleased(order_id):
                return CancelOrder(order_id, self.reason)
            case OrderConfirmed():
                return End("completed")
            case OrderCancelled():
                return End("compensated", self.reason)
            case Failed(command, reason):
                assert_type(command, ChargePayment)
                return [Undoing(RefundPayment(command.order_id), of=command), CancelOrder(command.order_id, reason)]
            case Cancelled(reason):
                return [CancelOrder(self.order.order_id, reason), End("compensated", reason)]
