"""Misuses: every statement marked with a number is flagged by a type checker, and no other line is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from tests.typing.accepted.messages import (
    CancelOrder,
    ChargePayment,
    ConfirmOrder,
    OrderCancelled,
    OrderConfirmed,
    OrderPlaced,
    PaymentCharged,
    PlaceOrder,
    RefundPayment,
    ReleaseStock,
    ReserveStock,
    StockReleased,
    StockReserved,
)
from tests.typing.accepted.orders import Order

from sagakit import (
    ONE,
    App,
    AtOnce,
    Context,
    Deadline,
    End,
    Engine,
    Forget,
    Message,
    Module,
    Rate,
    Remind,
    Retry,
    Saga,
    Step,
    Undo,
    wire,
)

m = Module("m")


class Plain: ...


# ---------------------------------------------------------------------- handlers


@m.handles  # 1: answers nothing
async def none_answer(command: ReserveStock) -> None: ...


@m.handles  # 2: answers what is no message
async def str_answer(command: ReserveStock) -> str:
    return ""


@m.handles(timeout=3)  # 3: the same with options
async def number_answer(command: ReserveStock) -> int:
    return 1


@m.handles(timeout="3")  # 4: a timeout is a number or a timedelta
async def odd_timeout(command: ReserveStock) -> StockReserved:
    raise NotImplementedError


@m.handles(retry=3)  # 5: retries are declared with Retry
async def odd_retry(command: ReserveStock) -> StockReserved:
    raise NotImplementedError


@m.handles(rety=Retry(3))  # 6: no such option
async def no_option(command: ReserveStock) -> StockReserved:
    raise NotImplementedError


@m.on  # 7: a listener returns commands
async def str_listener(event: OrderPlaced) -> str:
    return ""


@m.on(key="order_id")  # 8: the same with options
def numbers_listener(event: OrderPlaced) -> list[int]:
    return []


@m.publishes  # 9: a forwarder makes an event
async def list_forwarder(event: OrderPlaced) -> list[str]:
    return []


# ---------------------------------------------------------------------- aggregates


@m.aggregate(key="x")  # 10: no evolve
@dataclass(frozen=True)
class NoEvolve:
    def decide(self, command: PlaceOrder) -> OrderPlaced:
        raise NotImplementedError


@m.aggregate(key="x")  # 11: evolve returns another type
@dataclass(frozen=True)
class BadEvolve:
    def decide(self, command: PlaceOrder) -> OrderPlaced:
        raise NotImplementedError

    def evolve(self, event: OrderPlaced) -> NoEvolve:
        raise NotImplementedError


@m.aggregate(key="x")  # 12: decide returns what is no event
@dataclass(frozen=True)
class BadDecide:
    def decide(self, command: PlaceOrder) -> str:
        raise NotImplementedError

    def evolve(self, event: OrderPlaced) -> BadDecide:
        raise NotImplementedError


@m.aggregate  # 13: without a key
@dataclass(frozen=True)
class NoKey:
    def decide(self, command: PlaceOrder) -> OrderPlaced:
        raise NotImplementedError

    def evolve(self, event: OrderPlaced) -> NoKey:
        raise NotImplementedError


@m.aggregate(key=ONE)
@dataclass(frozen=True)
class MissingCase:
    def decide(self, command: PlaceOrder | ConfirmOrder) -> OrderPlaced:  # 14: a command is not decided
        match command:  # 14
            case PlaceOrder(order_id, customer_id, items):
                return OrderPlaced(order_id, customer_id, items, Decimal(0))

    def evolve(self, event: OrderPlaced) -> MissingCase:
        return self


# ---------------------------------------------------------------------- sagas


@m.saga(key="order_id")  # 15: returns what is no event
async def returns(order: OrderPlaced, saga: Saga) -> int:
    return 1


@m.saga(key="order_id")  # 16: the order of parameters
async def order_of_params(saga: Saga, order: OrderPlaced) -> None: ...


@m.saga(key="order_id")  # 17: not async
def not_async(order: OrderPlaced, saga: Saga) -> None: ...


@m.saga  # 18: without a key
async def no_key(order: OrderPlaced, saga: Saga) -> None: ...


@m.saga(key="order_id")  # 19: asks for more
async def asks(order: OrderPlaced, saga: Saga, context: Context) -> None: ...


@m.saga(key="order_id", receives=OrderConfirmed("o-1"))  # 20: an instance
async def receives(order: OrderPlaced, saga: Saga) -> None: ...


@m.saga(key="order_id", receives=(OrderConfirmed, OrderCancelled))
async def body(order: OrderPlaced, saga: Saga) -> None:
    reserve = ReserveStock(order.order_id, order.items)
    saga.do(reserve, then=StockReserved)  # 21: not awaited
    saga.receive(OrderConfirmed)  # 22: not awaited
    await saga.do(ReserveStock, then=StockReserved)  # 23: a class
    await saga.do(reserve, then=StockReserved, undo=ReleaseStock)  # 24: a class as undo
    await saga.do(reserve, then=StockReserved("", ()))  # 25: an instance as success
    reserved = await saga.do(reserve, then=StockReserved)
    print(reserved.nope)  # 26: no such field
    await saga.do(reserve)  # 27: no success
    either = await saga.do(reserve, then=(StockReserved, PaymentCharged))
    print(either.payment_id)  # 28: a field of only one of them
    await saga.do(reserve, then=PaymentCharged, undo=lambda undo: RefundPayment(undo.outcome.order_id))  # 29: None
    await saga.do(reserve, then=PaymentCharged, undo=lambda: ReleaseStock(""))  # 30: an undo function takes an Undo
    await saga.do(reserve, then=PaymentCharged, undo=lambda undo: undo.reason)  # 31: no command
    await saga.do(Plain(), then=PaymentCharged)  # 32: no message
    print((await saga.do(reserve, then=None)).order_id)  # 33: nothing comes back
    saga.on_undo(ReleaseStock)  # 34: a class
    saga.send(ReleaseStock)  # 35: a class
    saga.publish("done")  # 36: no message
    await saga.receive(OrderConfirmed("o-1"))  # 37: an instance
    first = await saga.first(saga.receive(OrderConfirmed), saga.receive(OrderCancelled))
    print(first.reason)  # 38: a field of only one of them
    one, two = await saga.all(
        saga.do(ConfirmOrder(""), then=OrderConfirmed), saga.do(ReleaseStock(""), then=StockReleased)
    )
    print(one.items, two.items)  # 39: the wrong one
    await saga.all(reserve, reserve)  # 40: not operations
    saga.now = order.total  # 41: cannot be set


# ---------------------------------------------------------------------- steps


m.step_saga("s", Step(ReserveStock("", ()), then=StockReserved), starts_with=OrderPlaced, key="order_id")  # 42
m.step_saga("s", Step(ReserveStock, then=StockReserved, undo=ReleaseStock("")), starts_with=OrderPlaced, key="x")  # 43
m.step_saga("s", Step(ReserveStock, then=StockReserved("", ())), starts_with=OrderPlaced, key="order_id")  # 44
m.step_saga("s", Step(ReserveStock), starts_with=OrderPlaced, key="order_id")  # 45: no success
m.step_saga("s", ReserveStock, starts_with=OrderPlaced, key="order_id")  # 46: no step
m.step_saga("s", Step(ReserveStock, then=StockReserved), key="order_id")  # 47: no start


def refund(order: OrderPlaced, undo: Undo[PaymentCharged]) -> RefundPayment:
    return RefundPayment(order.order_id, undo.outcome.payment_id)  # 48: the outcome may be unknown


def words(order: OrderPlaced) -> str:
    return order.order_id


m.step_saga("s", Step(words, then=StockReserved), starts_with=OrderPlaced, key="order_id")  # 49: no command


# ---------------------------------------------------------------------- process managers


@m.process_manager(key="order_id", starts_with=OrderPlaced)  # 50: no react
@dataclass(frozen=True)
class NoReact:
    order: OrderPlaced | None = None


@m.process_manager(key="order_id", starts_with=OrderPlaced)  # 51: react returns what is no message
@dataclass(frozen=True)
class BadReact:
    def react(self, event: OrderPlaced) -> str:
        return ""


@m.process_manager(key="order_id", starts_with=OrderPlaced("", "", (), Decimal(0)))  # 52: an instance
@dataclass(frozen=True)
class Instance:
    def react(self, event: OrderPlaced) -> Sequence[Message]:
        return [End("done")]  # 53: no such end


# ---------------------------------------------------------------------- running


@wire(OrderPlaced)  # 54: without a name
@dataclass(frozen=True)
class Unnamed: ...


app = App("app", "module")  # 55: a module's name


async def use(engine: Engine, context: Context) -> None:
    await engine.send(PlaceOrder)  # 56: a class
    await engine.send(Plain())  # 57: no message
    engine.send(CancelOrder("o-1"))  # 58: not awaited
    placed = await engine.send_and_wait(CancelOrder("o-1"), until=OrderCancelled)
    print(placed.total)  # 59: no such field
    await engine.send_and_wait(ChargePayment("o-1", Decimal(1)))  # 60: until when?
    await engine.load(Plain, "o-1")  # 61: no aggregate
    order = await engine.load(Order, "o-1")
    print(order.status)  # 62: it is in its state
    print((await context.load(Order, "o-1")).state.nope)  # 63: no such field


# ---------------------------------------------------------------------- times


@m.saga(key="order_id", deadline="30")  # 64: a deadline is a number, a timedelta or a Deadline
async def hurry(order: OrderPlaced, saga: Saga) -> None:
    saga.sleep(3)  # 65: not awaited
    await saga.sleep("3")  # 66: no time
    confirmed = await saga.receive(OrderConfirmed, timeout=3)
    print(confirmed.order_id)  # 67: it may not have come
    await saga.do(ConfirmOrder("o-1"), then=OrderConfirmed, timeout="3")  # 68: no time


m.step_saga("s", Step(ReserveStock, then=StockReserved, timeout="3"), starts_with=OrderPlaced, key="x")  # 69: no time
Deadline(3, "warn")  # 70: by name
Deadline(3, then="explode")  # 71: no such thing to do
Deadline(3, then=CancelOrder("o-1"))  # 72: a function makes the command
Deadline(3, warn="1")  # 73: no time
Remind("pay", ConfirmOrder, after=3)  # 74: a class
Remind("pay", OrderConfirmed("o-1"))  # 75: when?
Forget(OrderConfirmed("o-1"))  # 76: by its name


@m.saga(key="order_id")
async def batch(order: OrderPlaced, saga: Saga) -> None:
    saga.each(["o-1"], ReleaseStock, then=StockReleased)  # 77: not awaited
    await saga.each(["o-1"], ReleaseStock("o-1"), then=StockReleased)  # 78: a function makes the commands
    await saga.each(["o-1"], lambda order_id: order_id, then=StockReleased)  # 79: no command
    await saga.each(["o-1"], ReleaseStock, then=StockReleased("o-1"))  # 80: an instance
    await saga.each(["o-1"], ReleaseStock)  # 81: no success
    await saga.each(3, ReleaseStock, then=StockReleased)  # 82: no items
    await saga.each(["o-1"], ReleaseStock, then=StockReleased, at_once="all")  # 83: a number
    await saga.each(
        ["o-1"], ReleaseStock, then=StockReleased, undo=CancelOrder("o-1")
    )  # 84: a function makes the undos
    released = await saga.each(["o-1"], ReleaseStock, then=StockReleased)
    print(released.stock)  # 85: no such field
    for item, reason in released.failures():
        print(item + 1, reason)  # 86: an item is a str


m.handles(at_once="5")  # 87: a number
m.handles(rate=100)  # 88: in which time?
m.handles(rate=Rate(100))  # 89: in which time?
m.handles(at_once=AtOnce(5, "tenant_id"))  # 90: a key is given by name
