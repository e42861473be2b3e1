"""The app that is measured: an order of four steps, every tenth refused at the third; and one that sleeps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from sagakit import App, Saga

NOWHERE = "nowhere"
A_MONTH = timedelta(days=30)


@dataclass(frozen=True)
class PlaceOrder:
    """What is sent: it starts the saga."""

    order_id: str
    customer: str
    street: str
    city: str
    article: str
    quantity: int
    total: int


@dataclass(frozen=True)
class ReserveItems:
    order_id: str
    article: str
    quantity: int


@dataclass(frozen=True)
class ItemsReserved:
    order_id: str
    article: str
    quantity: int


@dataclass(frozen=True)
class ReleaseItems:
    order_id: str
    article: str
    quantity: int


@dataclass(frozen=True)
class ItemsReleased:
    order_id: str


@dataclass(frozen=True)
class ChargeCustomer:
    order_id: str
    customer: str
    total: int


@dataclass(frozen=True)
class CustomerCharged:
    order_id: str
    payment_id: str
    total: int


@dataclass(frozen=True)
class RefundCustomer:
    order_id: str
    customer: str
    total: int


@dataclass(frozen=True)
class CustomerRefunded:
    order_id: str


@dataclass(frozen=True)
class SendParcel:
    order_id: str
    street: str
    city: str


@dataclass(frozen=True)
class ParcelSent:
    order_id: str
    parcel_id: str


@dataclass(frozen=True)
class AddressUnknown:
    order_id: str
    reason: str


@dataclass(frozen=True)
class ConfirmOrder:
    order_id: str


@dataclass(frozen=True)
class OrderConfirmed:
    order_id: str


@dataclass(frozen=True)
class CancelOrder:
    order_id: str
    reason: str


@dataclass(frozen=True)
class OrderCancelled:
    order_id: str
    reason: str


@dataclass(frozen=True)
class Sleep:
    """Starts a saga that waits to be woken, for a month at most: a timer of its own is in the store."""

    order_id: str


@dataclass(frozen=True)
class Nap:
    """Starts a saga that sleeps so many seconds."""

    order_id: str
    seconds: float


@dataclass(frozen=True)
class Slept:
    order_id: str
    late: float
    """Seconds between when it was due and when it was woken."""


@dataclass(frozen=True)
class Woken:
    order_id: str


bench = App("bench")


@bench.handles
async def reserve(command: ReserveItems) -> ItemsReserved:
    return ItemsReserved(command.order_id, command.article, command.quantity)


@bench.handles
async def release(command: ReleaseItems) -> ItemsReleased:
    return ItemsReleased(command.order_id)


@bench.handles
async def charge(command: ChargeCustomer) -> CustomerCharged:
    return CustomerCharged(command.order_id, f"payment-{command.order_id}", command.total)


@bench.handles
async def refund(command: RefundCustomer) -> CustomerRefunded:
    return CustomerRefunded(command.order_id)


@bench.handles
async def send(command: SendParcel) -> ParcelSent | AddressUnknown:
    if command.city == NOWHERE:
        return AddressUnknown(command.order_id, f"there is no {command.city}")
    return ParcelSent(command.order_id, f"parcel-{command.order_id}")


@bench.handles
async def confirm(command: ConfirmOrder) -> OrderConfirmed:
    return OrderConfirmed(command.order_id)


@bench.handles
async def cancel(command: CancelOrder) -> OrderCancelled:
    return OrderCancelled(command.order_id, command.reason)


@bench.saga(key="order_id")
async def order(placed: PlaceOrder, saga: Saga) -> None:
    id, article, quantity = placed.order_id, placed.article, placed.quantity
    saga.on_undo(lambda undo: CancelOrder(id, undo.reason))
    await saga.do(ReserveItems(id, article, quantity), then=ItemsReserved, undo=ReleaseItems(id, article, quantity))
    await saga.do(
        ChargeCustomer(id, placed.customer, placed.total),
        then=CustomerCharged,
        undo=RefundCustomer(id, placed.customer, placed.total),
    )
    await saga.do(SendParcel(id, placed.street, placed.city), then=ParcelSent)
    await saga.do(ConfirmOrder(id), then=OrderConfirmed)


@bench.saga(key="order_id", receives=Woken)
async def asleep(sleep: Sleep, saga: Saga) -> None:
    await saga.receive(Woken, timeout=A_MONTH)


@bench.saga(key="order_id")
async def napping(nap: Nap, saga: Saga) -> None:
    due = saga.now + timedelta(seconds=nap.seconds)
    await saga.sleep(nap.seconds)
    saga.publish(Slept(nap.order_id, (saga.now - due).total_seconds()))


ORDER, ASLEEP = f"{bench.name}.{order.name}", f"{bench.name}.{asleep.name}"

_BEGIN = ("PlaceOrder", "ReserveItems", "ItemsReserved", "ChargeCustomer", "CustomerCharged", "SendParcel")
_UNDO = ("RefundCustomer", "CustomerRefunded", "ReleaseItems", "ItemsReleased", "CancelOrder", "OrderCancelled")
COMPLETED = (*_BEGIN, "ParcelSent", "ConfirmOrder", "OrderConfirmed")
COMPENSATED = (*_BEGIN, "AddressUnknown", *_UNDO)


def new_order(index: int, id: str | None = None) -> PlaceOrder:
    """An order of its own; every tenth is refused when it is to be sent."""
    city = NOWHERE if index % 10 == 9 else "Utrecht"
    return PlaceOrder(id or str(uuid4()), f"customer-{index}", "Oudegracht 1", city, "kettle-1.7l", 1, 4999)
