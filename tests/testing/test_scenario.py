"""given, when, then: one scenario fits every way to write a process, and says clearly what differs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from tests.testing.orders import (
    CancelOrder,
    ChargePayment,
    ConfirmOrder,
    Fulfilment,
    Order,
    OrderCancelled,
    OrderConfirmed,
    OrderPlaced,
    OutOfStock,
    Paid,
    PaymentCharged,
    PaymentDeclined,
    PaymentRefunded,
    RefundPayment,
    ReleaseStock,
    ReserveStock,
    StockReleased,
    StockReserved,
    Watch,
    fulfil,
    fulfil_in_steps,
)

from sagakit import Cancelled, InvalidMessage, Module, Refused, Saga, Step, wire
from sagakit.testing import given

PLACED = OrderPlaced("o-1", Decimal(50))
WAYS = pytest.mark.parametrize("process", [fulfil, fulfil_in_steps, Fulfilment])
SAGAS = pytest.mark.parametrize("process", [fulfil, fulfil_in_steps])


# ---------------------------------------------------------------------- aggregates


def test_an_aggregate_decides() -> None:
    given(Order, PLACED).when(ConfirmOrder("o-1")).then(OrderConfirmed("o-1"))
    given(Order).when(ConfirmOrder("o-1")).nothing()


def test_an_aggregate_remembers_what_it_decided() -> None:
    scenario = given(Order, PLACED).when(ConfirmOrder("o-1"), CancelOrder("o-1"))
    scenario.then(OrderConfirmed("o-1")).when(CancelOrder("o-1")).nothing()


def test_an_aggregate_neither_sends_nor_ends() -> None:
    with pytest.raises(TypeError, match="Order is an aggregate: it neither ends nor waits"):
        given(Order).ends("completed")
    with pytest.raises(TypeError, match="Order is an aggregate: it sends no command that could fail"):
        given(Order).when_failed("broken")
    with pytest.raises(TypeError, match="Order is an aggregate: when"):
        given(Order).when()
    with pytest.raises(TypeError, match="Order is an aggregate: undo= is for sagas"):
        given(Order).when(ConfirmOrder("o-1")).then(undo=CancelOrder("o-1"))


# ---------------------------------------------------------------------- processes, whichever way they are written


@WAYS
def test_an_order_is_fulfilled(process: Any) -> None:
    (
        given(process)
        .when(PLACED)
        .then(ReserveStock("o-1"))
        .when(StockReserved("o-1"))
        .then(ChargePayment("o-1", Decimal(50)))
        .when(PaymentCharged("o-1", "p-1"))
        .then(ConfirmOrder("o-1"))
        .when(OrderConfirmed("o-1"))
        .nothing()
        .ends("completed")
    )


@WAYS
def test_a_declined_payment_releases_the_stock_and_cancels(process: Any) -> None:
    (
        given(process, PLACED, StockReserved("o-1"))
        .when(PaymentDeclined("o-1", "over the limit"))
        .then(ReleaseStock("o-1"))
        .when(StockReleased("o-1"))
        .then(CancelOrder("o-1", "over the limit"))
        .when(OrderCancelled("o-1", "over the limit"))
        .ends("compensated", "over the limit")
    )


@WAYS
def test_a_lost_answer_is_refunded(process: Any) -> None:
    (
        given(process, PLACED, StockReserved("o-1"))
        .when_failed("no answer")
        .then(RefundPayment("o-1", None))
        .when(PaymentRefunded("o-1"))
        .then(ReleaseStock("o-1"))
        .when(StockReleased("o-1"))
        .then(CancelOrder("o-1", "no answer"))
    )


@WAYS
def test_a_failed_undo_waits_for_a_person(process: Any) -> None:
    (
        given(process, PLACED, StockReserved("o-1"), PaymentDeclined("o-1", "over the limit"))
        .when_failed("the warehouse is closed")
        .nothing()
        .waits("compensation_failed", "closed")
    )


@SAGAS
def test_undos_are_recorded_and_made_exact(process: Any) -> None:
    (
        given(process)
        .when(PLACED)
        .then(ReserveStock("o-1"), undo=ReleaseStock("o-1"))
        .when(StockReserved("o-1"))
        .then(ChargePayment("o-1", Decimal(50)), undo=RefundPayment("o-1", None))
        .when(PaymentCharged("o-1", "p-1"))
        .then(ConfirmOrder("o-1"))
        .when(Cancelled("by hand"))
        .then(RefundPayment("o-1", "p-1"))
        .when()
        .then(ReleaseStock("o-1"))
        .when()
        .then(CancelOrder("o-1", "by hand"))
        .when()
        .ends("compensated", "by hand")
    )


@SAGAS
def test_a_late_success_is_undone_once_more(process: Any) -> None:
    (
        given(process, PLACED, StockReserved("o-1"))
        .when_failed("no answer")
        .then(RefundPayment("o-1", None))
        .when(PaymentCharged("o-1", "p-1"))
        .then(RefundPayment("o-1", "p-1"))
    )


@SAGAS
def test_a_command_without_an_outcome_is_refused(process: Any) -> None:
    given(process, PLACED).when().then(CancelOrder("o-1", "ReserveStock led to no event"))


@SAGAS
def test_a_refusal_without_a_reason_has_its_name(process: Any) -> None:
    given(process, PLACED).when(OutOfStock("o-1")).then(CancelOrder("o-1", "OutOfStock")).when().ends(
        "compensated", "OutOfStock"
    )


def test_a_manager_is_told_of_a_cancel() -> None:
    given(Watch, PLACED).when(Cancelled("by hand")).nothing().ends("compensated", "by hand")


def test_a_manager_that_takes_no_failure_parks() -> None:
    given(Watch, PLACED).when_failed("no answer").waits("parked", "Watch takes no Failed")


# ---------------------------------------------------------------------- events by key, branches, time


module = Module("more")


@module.saga(key="order_id", receives=Paid)
async def two_at_once(order: OrderPlaced, saga: Saga) -> Paid:
    stock = saga.do(ReserveStock(order.order_id), then=StockReserved, undo=ReleaseStock(order.order_id))
    charge = saga.do(ChargePayment(order.order_id, order.total), then=PaymentCharged, undo=RefundPayment(saga.key))
    await saga.all(stock, charge)
    saga.send(CancelOrder("other"))
    paid = await saga.receive(Paid)
    return Paid(paid.order_id, saga.now.isoformat())


def test_each_answer_finds_its_command() -> None:
    (
        given(two_at_once)
        .when(PLACED)
        .then(ReserveStock("o-1"), ChargePayment("o-1", Decimal(50)), undo=RefundPayment("o-1"))
        .when(PaymentCharged("o-1", "p-1"))
        .nothing()
        .when(StockReserved("o-1"))
        .then(CancelOrder("other"))
    )


def test_a_refusal_says_whose_it_is_where_several_wait() -> None:
    started = given(two_at_once, PLACED)
    with pytest.raises(AssertionError, match=r"several commands wait for an answer \(ReserveStock, ChargePayment\)"):
        started.when(PaymentDeclined("o-1", "no"))
    (
        given(two_at_once, PLACED)
        .when(PaymentDeclined("o-1", "no"), to=ChargePayment)
        .nothing()
        .when(StockReserved("o-1"))
        .then(ReleaseStock("o-1"))
    )
    (
        given(two_at_once, PLACED)
        .when_failed("lost", to=ReserveStock)
        .then(ReleaseStock("o-1"))
        .when(to=ChargePayment)
        .nothing()
        .when(StockReleased("o-1"), to=ReleaseStock)
        .ends("compensated", "ChargePayment led to no event")
    )
    with pytest.raises(AssertionError, match="no ConfirmOrder was sent that has failed"):
        given(two_at_once, PLACED).when_failed("lost", to=ConfirmOrder)


def test_an_event_by_key_is_received_and_now_is_the_tests() -> None:
    noon = datetime(2026, 6, 1, 12, tzinfo=UTC)
    (
        given(two_at_once, PLACED, PaymentCharged("o-1", "p"), StockReserved("o-1"))
        .when(Paid("o-1"), now=noon)
        .then(Paid("o-1", noon.isoformat()))
        .ends("completed")
    )


def test_several_messages_are_told_one_after_the_other() -> None:
    given(two_at_once).when(PLACED, Paid("o-1"), PaymentCharged("o-1", "p"), StockReserved("o-1")).then(
        ReserveStock("o-1"),
        ChargePayment("o-1", Decimal(50)),
        CancelOrder("other"),
        Paid("o-1", "2026-01-01T00:00:00+00:00"),
    )


def test_names_around_a_test_may_be_used_in_annotations() -> None:
    @dataclass(frozen=True)
    class Local:
        order_id: str

    def reserve(placed: Local) -> ReserveStock:
        return ReserveStock(placed.order_id)

    local = Module("local").step_saga("local", Step(reserve, then=StockReserved), starts_with=Local, key="order_id")
    given(local).when(Local("o-7")).then(ReserveStock("o-7"))


def test_two_classes_of_one_name_are_two_messages() -> None:
    def made() -> Any:
        @dataclass(frozen=True)
        class Same:
            order_id: str

        return Same

    one, other = made(), made()

    @Module("m").saga(key="order_id")
    async def sends(order: OrderPlaced, saga: Saga) -> None:
        await saga.do(one(order.order_id), then=other)
        saga.publish(other("end"))

    given(sends).when(PLACED).then(one("o-1")).when(other("x")).then(other("end")).ends("completed")


def test_a_pinned_name_is_the_reason_of_a_refusal() -> None:
    @wire("stock.Nothing")
    @dataclass(frozen=True)
    class Nothing:
        order_id: str

    given(fulfil, PLACED).when(Nothing("o-1")).then(CancelOrder("o-1", "stock.Nothing"))


def test_messages_are_checked_as_in_an_app() -> None:
    with pytest.raises(InvalidMessage, match="OrderPlaced: total: Expected"):
        given(fulfil).when(OrderPlaced("o-1", ["fifty"]))  # type: ignore[arg-type]


# ---------------------------------------------------------------------- what a failing scenario says


def failure(scenario: Any) -> str:
    with pytest.raises(AssertionError) as failed:
        scenario()
    return str(failed.value)


def test_other_messages_are_shown_with_their_fields() -> None:
    started = given(two_at_once)
    started.when(PLACED)
    assert failure(lambda: started.then(ReserveStock("o-1"), ChargePayment("o-1", Decimal(60)))) == (
        "after OrderPlaced(order_id='o-1', total=Decimal('50')), the process sends other messages than expected\n"
        "              ReserveStock(order_id='o-1')\n"
        "  - expected: ChargePayment(order_id='o-1', total=Decimal('60'))\n"
        "  + found:    ChargePayment(order_id='o-1', total=Decimal('50'))\n"
        "      total: expected Decimal('60'), found Decimal('50')"
    )


def test_messages_too_many_or_too_few_are_shown() -> None:
    started = given(fulfil).when(PLACED)
    assert failure(started.nothing).endswith("\n  - expected: nothing\n  + found:    ReserveStock(order_id='o-1')")
    assert failure(lambda: started.then(ReserveStock("o-1"), ConfirmOrder("o-1"))).endswith(
        "\n              ReserveStock(order_id='o-1')\n  - expected: ConfirmOrder(order_id='o-1')"
    )
    assert failure(lambda: given(Order).when(ConfirmOrder("o-1")).then(OrderConfirmed("o-1"))) == (
        "after ConfirmOrder(order_id='o-1'), the aggregate sends other messages than expected\n"
        "  - expected: OrderConfirmed(order_id='o-1')\n"
        "  + found:    nothing"
    )


def test_another_undo_is_shown() -> None:
    started = given(fulfil).when(PLACED)
    assert failure(lambda: started.then(ReserveStock("o-1"), undo=ReleaseStock("o-2"))).endswith(
        "the process records another undo than expected\n"
        "  - expected: ReleaseStock(order_id='o-2')\n"
        "  + found:    ReleaseStock(order_id='o-1')\n"
        "      order_id: expected 'o-2', found 'o-1'"
    )
    charged = given(fulfil, PLACED, StockReserved("o-1")).when(PaymentCharged("o-1", "p"))
    assert failure(lambda: charged.then(ConfirmOrder("o-1"), undo=CancelOrder("o-1"))).endswith("+ found:    nothing")
    with pytest.raises(TypeError, match="a process manager records no undo"):
        given(Fulfilment).when(PLACED).then(ReserveStock("o-1"), undo=ReleaseStock("o-1"))


def test_another_end_is_shown() -> None:
    started = given(fulfil).when(PLACED)
    assert failure(lambda: started.ends("completed")).endswith(
        "the process does not end as expected\n  - expected: completed\n  + found:    running, waiting for ReserveStock"
    )
    assert failure(lambda: started.waits("parked", "why")).endswith(
        "does not wait as expected\n  - expected: parked (why)\n  + found:    running, waiting for ReserveStock"
    )
    refused = started.when(OutOfStock("o-1")).when()
    assert failure(lambda: refused.ends("compensated", "another reason")).endswith(
        "  - expected: compensated (another reason)\n  + found:    compensated (OutOfStock)"
    )
    assert failure(lambda: given(fulfil).ends("completed")).startswith("given nothing, the process does not end")


def test_a_parked_process_says_so_at_the_next_step() -> None:
    @Module("m").saga(key="order_id")
    async def broken(order: OrderPlaced, saga: Saga) -> None:
        if order.total < 0:
            raise Refused("nothing to pay")
        raise ValueError("a bug")

    parked = given(broken).when(PLACED)
    assert "it is parked: line" in failure(parked.nothing)
    assert "ValueError: a bug" in failure(lambda: parked.when(Paid("o-1")))
    parked.waits("parked", "ValueError: a bug")
    assert "it is parked" in failure(lambda: given(broken, PLACED))
    given(broken).when(OrderPlaced("o-1", Decimal(-1))).ends("compensated", "nothing to pay")


def test_nothing_waits_for_an_answer() -> None:
    assert failure(lambda: given(fulfil).when_failed("lost")) == "no command waits for an answer"


def test_what_is_no_subject() -> None:
    class Neither:
        pass

    @dataclass(frozen=True)
    class Unclear:
        def react(self, event: Any) -> None: ...

    with pytest.raises(TypeError, match="is no aggregate, process manager, code saga or step saga"):
        given(Neither)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="is no aggregate, process manager, code saga or step saga"):
        given(fulfil.code)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"Unclear.react: its parameter must name the events that it takes"):
        given(Unclear)
