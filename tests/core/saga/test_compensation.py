"""Undoing: which undo goes out when, with what it knows, and what becomes of outcomes that come late."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.core.driver import Driver
from tests.core.messages import (
    A,
    ADone,
    ANo,
    B,
    BDone,
    C,
    CDone,
    D,
    DDone,
    DNo,
    Ended,
    Odd,
    Paid,
    Start,
    UndoA,
    UndoB,
    UndoC,
    UndoD,
    Undone,
    UndoSaga,
)

from sagakit.core.saga.compensation import SagaRecord
from sagakit.core.saga.operations import Saga
from sagakit.errors import NotDone, OutcomeUnknown, Refused


async def order(start: Start, saga: Saga) -> None:
    saga.on_undo(lambda undo: UndoSaga(f"first {undo.reason}"))
    await saga.do(A(), then=ADone, undo=UndoA())
    saga.on_undo(lambda undo: UndoSaga(f"second {undo.reason}"))
    await saga.do(B(), then=BDone)
    await saga.do(C(), then=CDone, undo=lambda undo: UndoC(undo.outcome.id if undo.outcome else "", undo.reason))
    await saga.do(D(), then=DDone, undo=UndoD())


def at(code: Any, *answers: Any) -> Driver:
    driver = Driver(code)
    driver.start()
    for answer in answers:
        driver.answer(driver.pending()[-1], answer)
    return driver


def undo_all(driver: Driver) -> list[Any]:
    """Answer every undo; all the undos that were sent, in their order."""
    while driver.pending():
        driver.answer(driver.pending()[-1])
    return [output.message for output in driver.sent if output.undoes is not None]


def test_undos_run_backwards_with_those_of_the_saga_in_their_places() -> None:
    driver = at(order, ADone(), BDone(), CDone("exact"), DNo())
    assert undo_all(driver) == [
        UndoC("exact", "t.DNo"),
        UndoSaga("second t.DNo"),
        UndoA(),
        UndoSaga("first t.DNo"),
    ]
    assert driver.live.status == "compensated"
    assert [output.undoes for output in driver.sent if type(output.message) is UndoSaga] == ["", ""]


def test_an_undo_names_what_it_undoes() -> None:
    driver = at(order, ADone())
    driver.cancel()
    undo_all(driver)
    assert driver.last(UndoA).undoes == driver.last(A).id


@pytest.mark.parametrize(
    ("answer", "raised", "reason"),
    [
        (ANo("no stock"), Refused, "no stock"),
        (Odd(), OutcomeUnknown, "undeclared outcome t.Odd"),
        (None, Refused, "t.A led to no event"),
    ],
)
def test_the_reason_in_words(answer: Any, raised: type[NotDone], reason: str) -> None:
    async def code(start: Start, saga: Saga) -> None:
        try:
            await saga.do(A(), then=ADone)
        except NotDone as error:
            saga.publish(Ended(f"{type(error).__name__}: {error.reason}"))

    driver = Driver(code)
    driver.start()
    driver.answer(driver.last(A), *([answer] if answer else []))
    assert driver.last(Ended).message == Ended(f"{raised.__name__}: {reason}")


def test_a_refusal_has_its_event() -> None:
    async def code(start: Start, saga: Saga) -> None:
        with pytest.raises(Refused) as refused:
            await saga.do(A(), then=ADone)
        assert refused.value.event == ANo("no stock")

    assert at(code, ANo("no stock")).live.status == "completed"


def test_a_failure_that_is_known_not_to_have_done_anything_is_a_refusal() -> None:
    driver = at(order, ADone(), BDone())
    driver.fail(driver.last(C), "child refused", known_not_done=True)
    assert driver.live.cause == "refused"
    assert UndoC() not in undo_all(driver)


@pytest.mark.parametrize("answers", [[ADone()], [ANo()], [Odd()], []])
def test_then_none_takes_whatever_the_command_leads_to(answers: list[Any]) -> None:
    async def code(start: Start, saga: Saga) -> None:
        found = await saga.do(A(), then=None, undo=lambda undo: UndoA(str(undo.outcome)))  # type: ignore[func-returns-value]
        assert found is None
        raise Refused("undo it")

    driver = Driver(code)
    driver.start()
    driver.answer(driver.last(A), *answers)
    assert driver.last(UndoA).message == UndoA("None")


def test_then_none_is_unknown_when_the_command_is_given_up() -> None:
    async def code(start: Start, saga: Saga) -> None:
        await saga.do(A(), then=None, undo=UndoA())

    driver = Driver(code)
    driver.start()
    driver.fail(driver.last(A))
    driver.fail(driver.last(A), "failed again, late")
    assert driver.types == ["A", "UndoA"]
    driver.answer(driver.last(A))
    assert driver.types == ["A", "UndoA", "UndoA"], "a late success"


def test_a_success_counts_whatever_else_the_outcome_contains() -> None:
    async def code(start: Start, saga: Saga) -> None:
        got = await saga.do(A(), then=(ADone, BDone), undo=lambda undo: UndoA(undo.outcome.id if undo.outcome else ""))
        saga.publish(Ended(got.id))
        await saga.receive(Paid)

    driver = Driver(code)
    driver.start()
    driver.answer(driver.last(A), Odd(), ANo(), BDone("first"), ADone("second"))
    assert driver.last(Ended).message == Ended("first")
    driver.cancel()
    assert driver.last(UndoA).message == UndoA("first")


def test_the_event_that_makes_a_late_undo_exact_is_the_success() -> None:
    async def code(start: Start, saga: Saga) -> None:
        await saga.do(A(), then=ADone, undo=lambda undo: UndoA(undo.outcome.id if undo.outcome else ""))

    driver = Driver(code)
    driver.start()
    driver.fail(driver.last(A))
    driver.answer(driver.last(A), Odd(), ADone("late"))
    assert driver.last(UndoA).message == UndoA("late")


def test_an_undeclared_event_that_comes_late_says_nothing() -> None:
    async def code(start: Start, saga: Saga) -> None:
        await saga.all(saga.do(A(), then=ADone, undo=UndoA()), saga.do(B(), then=BDone, undo=UndoB()))

    driver = Driver(code)
    driver.start()
    driver.cancel()
    driver.answer(driver.last(A), Odd())
    assert undo_all(driver) == [UndoB(), UndoA()]


def test_a_late_refusal_drops_the_undo_that_is_not_out_yet() -> None:
    async def code(start: Start, saga: Saga) -> None:
        await saga.all(saga.do(A(), then=ADone, undo=UndoA()), saga.do(B(), then=BDone, undo=UndoB()))

    driver = Driver(code)
    driver.start()
    driver.cancel()
    driver.answer(driver.last(A), ANo())
    assert undo_all(driver) == [UndoB()]


def test_a_late_success_while_its_undo_is_out_is_undone_once_more_and_then_undoing_goes_on() -> None:
    driver = at(order, ADone(), BDone())
    driver.fail(driver.last(C), "lost")
    first = driver.last(UndoC)
    driver.answer(driver.last(C), CDone("late"))
    again = driver.last(UndoC)
    assert driver.withdrawn == [first.id]
    assert again.message == UndoC("late", "lost"), "the reason is kept"
    driver.answer(first, Undone())
    assert driver.live.status == "running"
    driver.answer(again, Undone())
    assert driver.live.status == "undoing"


def test_code_may_catch_and_take_another_way() -> None:
    async def code(start: Start, saga: Saga) -> None:
        try:
            await saga.do(A(), then=ADone, undo=UndoA())
        except NotDone:
            await saga.do(B(), then=BDone, undo=UndoB())
        await saga.do(C(), then=CDone)

    driver = at(code, ANo(), BDone(), CDone())
    assert driver.live.status == "completed"
    assert driver.types == ["A", "B", "C"]


def test_code_may_undo_and_go_on() -> None:
    async def code(start: Start, saga: Saga) -> None:
        await saga.do(A(), then=ADone, undo=UndoA())
        await saga.do(B(), then=BDone, undo=UndoB())
        await saga.undo()
        await saga.do(C(), then=CDone, undo=UndoC())
        await saga.undo()
        await saga.undo()
        await saga.do(D(), then=DDone)

    driver = at(code, ADone(), BDone())
    assert driver.types == ["A", "B", "UndoB"]
    driver.answer(driver.last(UndoB))
    driver.answer(driver.last(UndoA))
    driver.answer(driver.last(C), CDone())
    driver.answer(driver.last(UndoC))
    assert driver.types == ["A", "B", "UndoB", "UndoA", "C", "UndoC", "D"]
    driver.answer(driver.last(D), DNo())
    assert driver.live.status == "compensated"
    assert driver.types[-1] == "D", "what is undone is not undone again"


def test_a_cancel_in_the_middle_of_an_undo_goes_on_from_there() -> None:
    async def code(start: Start, saga: Saga) -> None:
        for step in (A, B, C):
            done, undo = {A: (ADone, UndoA), B: (BDone, UndoB), C: (CDone, UndoC)}[step]
            await saga.do(step(), then=done, undo=undo())
        await saga.undo()

    driver = at(code, ADone(), BDone(), CDone())
    driver.cancel()
    assert driver.types[-1] == "UndoC"
    assert undo_all(driver) == [UndoC(), UndoB(), UndoA()]
    assert driver.live.status == "compensated"


def test_a_cancel_while_a_step_is_repaired_goes_on_from_there() -> None:
    driver = at(order, ADone(), BDone())
    driver.fail(driver.last(C), "lost")
    driver.cancel("by hand")
    assert (driver.live.cause, driver.live.reason) == ("cancelled", "by hand")
    assert undo_all(driver) == [UndoC("", "lost"), UndoSaga("second by hand"), UndoA(), UndoSaga("first by hand")]


def test_a_cancel_while_the_saga_receives() -> None:
    async def code(start: Start, saga: Saga) -> None:
        await saga.do(A(), then=ADone, undo=UndoA())
        await saga.receive(Paid)

    driver = at(code, ADone())
    assert driver.record.receiving == ["t.Paid"]
    driver.cancel()
    assert driver.record.receiving == []
    assert undo_all(driver) == [UndoA()]


def test_a_cancel_of_nothing_that_was_done_compensates_at_once() -> None:
    async def code(start: Start, saga: Saga) -> None:
        await saga.receive(Paid)

    driver = at(code)
    driver.cancel("by hand")
    assert (driver.live.status, driver.live.cause, driver.live.reason) == ("compensated", "cancelled", "by hand")


def test_a_cancel_with_branches_in_flight_gives_them_up_and_undoes_the_newest_first() -> None:
    async def code(start: Start, saga: Saga) -> None:
        await saga.all(
            saga.do(A(), then=ADone, undo=UndoA()),
            saga.first(saga.do(B(), then=BDone, undo=UndoB()), saga.receive(Paid)),
            saga.do(C(), then=CDone),
        )

    driver = at(code)
    driver.cancel()
    assert driver.withdrawn == [driver.last(step).id for step in (A, B, C)]
    assert undo_all(driver) == [UndoB(), UndoA()]


def test_the_first_cause_counts() -> None:
    driver = at(order, ADone(), BDone(), CDone(), DNo())
    driver.cancel("by hand")
    undo_all(driver)
    assert (driver.live.cause, driver.live.reason) == ("refused", "t.DNo")


def test_a_failed_undo_keeps_the_rest_of_the_stack_and_says_why() -> None:
    driver = at(order, ADone(), BDone(), CDone())
    driver.cancel("by hand")
    driver.fail(driver.last(UndoD), "the bank is closed")
    assert driver.live.status == "compensation_failed"
    assert driver.live.cause == "cancelled"
    assert driver.live.reason == "the bank is closed"
    assert driver.live.undos() == ["t.UndoSaga", "t.UndoA", "t.UndoSaga", "t.UndoC", "t.UndoD"]
    assert driver.record.reason == "by hand"
    assert driver.pending() == []


def test_late_successes_while_the_compensation_has_failed_are_back_on_the_stack() -> None:
    async def code(start: Start, saga: Saga) -> None:
        def exact(undo: Any) -> UndoA:
            return UndoA(undo.outcome.id if undo.outcome else "")

        await saga.all(
            saga.do(A(), then=ADone, undo=exact),
            saga.do(B(), then=BDone, undo=UndoB()),
            saga.do(C(), then=CDone, undo=UndoC()),
        )

    driver = at(code)
    driver.fail(driver.last(A))
    driver.fail(driver.last(B))
    driver.answer(driver.last(UndoA))
    driver.fail(driver.last(UndoB), "cannot undo")
    assert driver.withdrawn == [driver.last(C).id]
    before = len(driver.sent)
    driver.answer(driver.last(A), ADone("late"))
    driver.answer(driver.last(C), CDone("late"))
    states = {step.type: (step.state, bytes(step.undo.payload) if step.undo else b"") for step in driver.record.steps}
    assert len(driver.sent) == before
    assert states["t.A"][0] == states["t.C"][0] == "succeeded"
    assert b"late" in states["t.A"][1]


@pytest.mark.parametrize("field", ["steps", "undo", "then"])
def test_a_record_says_only_what_it_has_to(field: str) -> None:
    assert field.encode() not in msgspec.json.encode(SagaRecord())
    driver = at(order, ADone(), BDone())
    driver.answer(driver.last(C), CDone())
    driver.answer(driver.last(D), DDone())
    assert driver.live.snapshot() == b'{"sent":6}', "a completed saga keeps nothing to undo"


@pytest.mark.parametrize("error", [SystemExit(1), GeneratorExit(), RecursionError("deep")])
def test_whatever_an_undo_function_raises_leaves_the_undo_that_stands(error: BaseException) -> None:
    def undo(facts: Any) -> UndoA:
        if facts.outcome is None:
            return UndoA("recorded")
        raise error

    async def code(start: Start, saga: Saga) -> None:
        await saga.do(A(), then=ADone, undo=undo)
        await saga.receive(Paid)

    driver = at(code, ADone())
    assert driver.record.steps[0].undo_error.startswith(type(error).__name__)
    driver.cancel()
    assert driver.last(UndoA).message == UndoA("recorded")


def test_an_undo_that_can_be_built_again_has_no_error_any_more() -> None:
    def undo(facts: Any) -> UndoA:
        if facts.outcome is not None and not facts.reason:
            raise ValueError
        return UndoA(facts.outcome.id if facts.outcome else "", facts.reason)

    async def code(start: Start, saga: Saga) -> None:
        await saga.do(A(), then=ADone, undo=undo)
        await saga.receive(Paid)

    driver = at(code, ADone("exact"))
    assert driver.record.steps[0].undo_error == "ValueError: "
    driver.cancel("by hand")
    assert driver.record.steps[0].undo_error == ""
    assert driver.last(UndoA).message == UndoA("exact", "by hand")
