"""One order process, written in three ways: reserve, charge, ship, confirm; what was done is undone, last one first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Self, TypeAlias

from tests.acceptance.orders.handlers import HANDLERS, place
from tests.acceptance.orders.messages import (
    CancelOrder,
    ChargePayment,
    ConfirmationRefused,
    ConfirmOrder,
    OrderCancelled,
    OrderConfirmed,
    OrderPlaced,
    OrderShipped,
    OutOfStock,
    PaymentCharged,
    PaymentDeclined,
    PaymentRefunded,
    RecallShipment,
    RefundPayment,
    ReleaseStock,
    ReserveStock,
    ShipmentRecalled,
    ShipOrder,
    ShippingRefused,
    StockReleased,
    StockReserved,
)

from sagakit import App, Cancelled, End, Failed, Message, Retry, Saga, Step, Undoing

PROCESS = "orders.fulfil"
RETRY = Retry(3, first=1.0, jitter=0.0)


async def fulfil(order: OrderPlaced, saga: Saga) -> None:
    """The order as code."""
    id = order.order_id
    saga.on_undo(lambda undo: CancelOrder(id, undo.reason))
    await saga.do(ReserveStock(id), then=StockReserved, undo=ReleaseStock(id))
    await saga.do(ChargePayment(id, order.total), then=PaymentCharged, undo=lambda undo: RefundPayment(id))
    await saga.do(ShipOrder(id), then=OrderShipped, undo=RecallShipment(id))
    await saga.do(ConfirmOrder(id), then=OrderConfirmed)


STEPS = (
    Step(ReserveStock, then=StockReserved, undo=ReleaseStock),
    Step(ChargePayment, then=PaymentCharged, undo=RefundPayment),
    Step(ShipOrder, then=OrderShipped, undo=RecallShipment),
    Step(ConfirmOrder, then=OrderConfirmed),
)

Do: TypeAlias = ReserveStock | ChargePayment | ShipOrder | ConfirmOrder
Success: TypeAlias = StockReserved | PaymentCharged | OrderShipped | OrderConfirmed
Refusal: TypeAlias = OutOfStock | PaymentDeclined | ShippingRefused | ConfirmationRefused
Undone: TypeAlias = StockReleased | PaymentRefunded | ShipmentRecalled | OrderCancelled

UNDOS: dict[type, Callable[[str], Message]] = {
    ReserveStock: ReleaseStock,
    ChargePayment: RefundPayment,
    ShipOrder: RecallShipment,
}


@dataclass(frozen=True)
class Fulfilment:
    """The order as a process manager: it keeps what it has sent, undoes it and ends by itself."""

    order_id: str = ""
    total: int = 0
    sent: int = 0
    """How many of its commands may have been done."""
    reason: str = ""

    def evolve(self, event: OrderPlaced | Success | Refusal | Undone | Failed[Message] | Cancelled) -> Self:
        match event:
            case OrderPlaced(order_id, total):
                return replace(self, order_id=order_id, total=total, sent=1)
            case StockReserved() | PaymentCharged() | OrderShipped():
                return self if self.reason else replace(self, sent=self.sent + 1)
            case OutOfStock() | PaymentDeclined() | ShippingRefused() | ConfirmationRefused():
                return replace(self, sent=self.sent - 1, reason=event.reason)
            case Failed(reason=reason, known_not_done=known):
                return replace(self, sent=self.sent - known, reason=self.reason or reason)
            case Cancelled(reason):
                return replace(self, reason=self.reason or reason)
            case StockReleased() | PaymentRefunded() | ShipmentRecalled():
                return replace(self, sent=self.sent - 1)
            case _:
                return self

    def react(
        self, event: OrderPlaced | Success | Refusal | Undone | Failed[Message] | Cancelled
    ) -> Message | Sequence[Message] | None:
        if isinstance(event, OrderConfirmed):
            return End("completed")
        if isinstance(event, OrderCancelled):
            return End("compensated", self.reason)
        if not self.reason:
            return self._do(self.sent)
        if isinstance(event, StockReserved | PaymentCharged | OrderShipped):
            return None  # it comes late: its undo is under way
        return self._undo()

    def _do(self, number: int) -> Do:
        id = self.order_id
        return (ReserveStock(id), ChargePayment(id, self.total), ShipOrder(id), ConfirmOrder(id))[number - 1]

    def _undo(self) -> Message:
        if self.sent == 4:  # a confirmation has no undo
            return replace(self, sent=3)._undo()
        if self.sent:
            last = self._do(self.sent)
            return Undoing(UNDOS[type(last)](self.order_id), of=last)
        return CancelOrder(self.order_id, self.reason)


def _as_code(app: App) -> None:
    app.saga(key="order_id")(fulfil)


def _as_steps(app: App) -> None:
    app.step_saga("fulfil", *STEPS, starts_with=OrderPlaced, key="order_id", undo=CancelOrder)


def _as_manager(app: App) -> None:
    app.process_manager(key="order_id", starts_with=OrderPlaced, name="fulfil")(Fulfilment)


WAYS: dict[str, Callable[[App], Any]] = {"code": _as_code, "steps": _as_steps, "manager": _as_manager}


@cache
def order_app(way: str) -> App:
    """The order app with its process written in one of the ways."""
    app = App("orders")
    app.handles(place)
    for handler in HANDLERS:
        app.handles(retry=RETRY)(handler)
    WAYS[way](app)
    return app
