"""Time in scenarios: what times out, and what is due when time passes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Self

import pytest
from tests.testing.orders import (
    CancelOrder,
    ConfirmOrder,
    Order,
    OrderCancelled,
    OrderConfirmed,
    OrderPlaced,
    Paid,
    ReleaseStock,
    ReserveStock,
    StockReleased,
    StockReserved,
)

from sagakit import Deadline, DeadlineNear, End, Forget, Module, Remind, Saga, Step
from sagakit.testing import given
from sagakit.testing.scenario import START

PLACED = OrderPlaced("o-1", 50)  # type: ignore[arg-type]
orders = Module("orders")


@orders.saga(key="order_id", receives=Paid, deadline=Deadline(timedelta(days=30), warn=timedelta(days=5)))
async def patient(order: OrderPlaced, saga: Saga) -> None:
    await saga.do(ReserveStock(order.order_id), then=StockReserved, undo=ReleaseStock(order.order_id), timeout=30)
    await saga.sleep(timedelta(days=1))
    if await saga.receive(Paid, timeout=timedelta(days=2)) is None:
        await saga.do(CancelOrder(order.order_id), then=OrderCancelled)
    await saga.do(ConfirmOrder(order.order_id), then=OrderConfirmed)


in_steps = orders.step_saga(
    "in_steps",
    Step(ReserveStock, then=StockReserved, undo=ReleaseStock, timeout=30),
    Step(ConfirmOrder, then=OrderConfirmed),
    starts_with=OrderPlaced,
    key="order_id",
    deadline=3600,
)


@dataclass(frozen=True)
class Reminded:
    order_id: str


@orders.process_manager(key="order_id", starts_with=OrderPlaced)
@dataclass(frozen=True)
class Asking:
    asked: int = 0

    def evolve(self, event: Reminded) -> Self:
        return replace(self, asked=self.asked + 1)

    def react(self, event: OrderPlaced | Reminded | Paid) -> Any:
        match event:
            case OrderPlaced(order_id):
                return Remind("ask", Reminded(order_id), after=timedelta(days=3))
            case Reminded(order_id) if self.asked < 2:
                return [ConfirmOrder(order_id), Remind("ask", Reminded(order_id), after=timedelta(days=3))]
            case Reminded(order_id):
                return [CancelOrder(order_id), End("compensated", "never paid")]
            case Paid():
                return [Forget("ask"), End()]


@pytest.mark.parametrize("process", [patient, in_steps])
def test_a_step_times_out(process: Any) -> None:
    scenario = given(process, PLACED).when_timed_out()
    scenario.then(ReleaseStock("o-1"), undo=None).when(StockReleased("o-1"))
    scenario.ends("compensated", "timed out after 30 s")


def test_a_step_without_a_timeout_times_out_when_its_handler_is_given_up() -> None:
    given(in_steps, PLACED, StockReserved("o-1")).when_timed_out().then(ReleaseStock("o-1"))


def test_a_receive_times_out() -> None:
    scenario = given(patient, PLACED, StockReserved("o-1")).when_passed(days=1).nothing()
    scenario.when_timed_out().then(CancelOrder("o-1"))


def test_an_outcome_in_time_stands() -> None:
    scenario = given(patient, PLACED).when_passed(seconds=29.9).nothing().when(StockReserved("o-1"))
    scenario.when_passed(days=1, hours=1).nothing().when(Paid("o-1")).then(ConfirmOrder("o-1"))
    scenario.when_passed(days=3).nothing()


def test_when_time_passes_what_is_due_on_the_way_happens_in_its_order() -> None:
    scenario = given(patient, PLACED, StockReserved("o-1")).when_passed(days=29)
    due = START + timedelta(days=30)
    scenario.then(CancelOrder("o-1"), DeadlineNear("patient", "o-1", "instance", due))
    scenario.when_passed(days=1).then(ReleaseStock("o-1"))


def test_a_deadline_passes() -> None:
    scenario = given(in_steps, PLACED, StockReserved("o-1")).when_passed(hours=1)
    scenario.then(ReleaseStock("o-1")).when(StockReleased("o-1")).ends("compensated", "deadline of 3600 s passed")


def test_a_message_at_a_later_time_comes_after_what_is_due_by_then() -> None:
    scenario = given(patient, PLACED, StockReserved("o-1"))
    scenario.when(Paid("o-1"), now=START + timedelta(days=9)).then(CancelOrder("o-1"))


def test_a_manager_is_reminded() -> None:
    scenario = given(Asking, PLACED).when_passed(days=3).then(ConfirmOrder("o-1"))
    scenario.when_passed(days=6).then(CancelOrder("o-1")).ends("compensated", "never paid")


def test_a_manager_forgets() -> None:
    given(Asking, PLACED).when(Paid("o-1")).ends("completed").when_passed(days=100).nothing()


def test_what_it_waits_for_says_until_when() -> None:
    with pytest.raises(AssertionError, match=r"waiting for ReserveStock, .*timeout of 30 s on ReserveStock"):
        given(patient, PLACED).ends("completed")


@dataclass(frozen=True)
class Rented:
    order_id: str
    month: int = 1


@orders.saga(key="order_id", receives=Paid)
async def rent(rented: Rented, saga: Saga) -> None:
    await saga.do(ReserveStock(f"{rented.order_id}/{rented.month}"), then=StockReserved)
    await saga.receive(Paid)
    saga.restart_with(replace(rented, month=rented.month + 1))


def test_a_saga_that_goes_on_anew() -> None:
    scenario = given(rent, Rented("o-1"), StockReserved("o-1"))
    scenario.when(Paid("o-1")).then(ReserveStock("o-1/2")).when(StockReserved("o-1"), Paid("o-1"))
    scenario.then(ReserveStock("o-1/3"))


def test_an_aggregate_has_no_time() -> None:
    given(Order, PLACED).when_passed(days=1).nothing().when(ConfirmOrder("o-1")).then(OrderConfirmed("o-1"))
    with pytest.raises(TypeError, match="Order is an aggregate: it waits for nothing that could time out"):
        given(Order).when_timed_out()
