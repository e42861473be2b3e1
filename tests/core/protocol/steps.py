"""The cells of the steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.core.driver import Driver
from tests.core.messages import (
    A,
    ADone,
    ANo,
    B,
    BDone,
    Odd,
    Paid,
    Start,
    UndoA,
    UndoB,
    Undone,
)
from tests.core.protocol.benches import (
    KNOWN,
    STEPS,
    outs,
    sent,
    state_of,
    timeout_of,
    undo_failed,
    undoing,
    undone,
    unknown,
)
from tests.core.protocol.checks import Check, check

from sagakit.core.saga.operations import Saga


def tell(driver: Driver, *events: Any) -> str:
    driver.answer(driver.last(A), *events)
    return state_of(driver)


def told(make: Callable[[], Driver], *events: Any) -> Check:
    return lambda: tell(make(), *events)


check("steps", "sent", "success")(told(sent, ADone()))
check("steps", "sent", "refusal")(told(sent, ANo()))
check("steps", "sent", "empty_outcome")(told(sent))
check("steps", "sent", "undeclared_event", then="undo_sent")(told(sent, Odd()))


@check("steps", "sent", "given_up", then="undo_sent")
def _() -> str:
    driver = sent()
    driver.fail(driver.last(A))
    return state_of(driver)


@check("steps", "sent", "withdrawn", then="undo_sent")
def _() -> str:
    driver = sent()
    driver.event(Paid())
    assert driver.withdrawn == [driver.last(B).id, driver.last(A).id]
    assert driver.types[-2:] == ["UndoB", "UndoA"], "nothing goes on before both are undone"
    return state_of(driver)


@check("steps", "sent", "cancel")
def _() -> str:
    driver = sent()
    driver.cancel()
    assert driver.withdrawn == [driver.last(A).id, driver.last(B).id]
    return state_of(driver)


def withdrawn(state: str) -> Check:
    def lose() -> str:
        driver = STEPS[state]()
        already = driver.live.undos().count("t.UndoA")
        driver.event(Paid())
        assert driver.last(A).id not in driver.withdrawn
        assert driver.live.undos().count("t.UndoA") == already
        return state_of(driver)

    return lose


for _state in ("succeeded", "refused", "undoing", "undone", "undo_failed"):
    check("steps", _state, "withdrawn")(withdrawn(_state))


def cancelled(state: str) -> Check:
    def cancel() -> str:
        driver = STEPS[state]()
        undos = [output for output in driver.sent if type(output.message) is UndoA]
        driver.cancel("again")
        assert [output for output in driver.sent if type(output.message) is UndoA] == undos
        return state_of(driver)

    return cancel


for _state in ("succeeded", "refused", "unknown", "undoing", "undone", "undo_failed"):
    check("steps", _state, "cancel")(cancelled(_state))


@check("steps", "succeeded", "undo_sent")
def _() -> str:
    driver = undoing(known=True)
    assert driver.last(UndoA).message == UndoA("a", "cancelled by hand")
    return state_of(driver)


@check("steps", "unknown", "undo_sent")
def _() -> str:
    driver = unknown()
    driver.answer(driver.waiting(UndoB))
    assert driver.last(UndoA).message == UndoA("", "cancelled by hand")
    assert driver.last(UndoA).undoes == driver.last(A).id
    return state_of(driver)


@check("steps", "undoing", "undo_answered")
def _() -> str:
    driver = undoing()
    driver.answer(driver.waiting(UndoA))
    assert driver.types[-1] == "D", "the exception has reached the code"
    return state_of(driver)


@check("steps", "undone", "undo_answered")
def _() -> str:
    driver = undone()
    before = outs(driver)
    driver.answer(driver.last(UndoA), Undone())
    assert outs(driver) == before
    return state_of(driver)


@check("steps", "undoing", "undo_given_up")
def _() -> str:
    driver = undoing(known=True)
    driver.fail(driver.waiting(UndoA), "cannot undo")
    assert driver.live.status == "compensation_failed"
    return state_of(driver)


def doubled(state: str) -> Check:
    def again() -> str:
        for event in (ADone("other"), ANo(), Odd()):
            driver = KNOWN[state]()
            before = outs(driver)
            driver.answer(driver.last(A), event)
            assert outs(driver) == before
            assert state_of(driver) == state
        return state_of(driver)

    return again


for _state in KNOWN:
    check("steps", _state, "doubled_outcome")(doubled(_state))


@check("steps", "unknown", "late_success")
def _() -> str:
    driver = unknown()
    driver.answer(driver.last(A), ADone("late"))
    state = state_of(driver)
    driver.answer(driver.waiting(UndoB))
    assert driver.last(UndoA).message == UndoA("late", "cancelled by hand")
    return state


def late_success(state: str) -> Check:
    def come() -> str:
        driver = STEPS[state]()
        first = driver.last(UndoA)
        driver.answer(driver.last(A), ADone("late"))
        assert driver.last(UndoA).id != first.id
        assert driver.last(UndoA).message.id == "late"
        assert (first.id in driver.withdrawn) == (state == "undoing")
        again = state_of(driver)
        driver.answer(first)
        assert state_of(driver) == again, "only the answer to the last one counts"
        return again

    return come


for _state in ("undoing", "undone"):
    check("steps", _state, "late_success")(late_success(_state))


@check("steps", "undo_failed", "late_success")
def _() -> str:
    driver = undo_failed()
    before = outs(driver)
    driver.answer(driver.last(A), ADone("late"))
    step = driver.step(A)
    assert step is not None
    assert step.undo is not None
    assert b"late" in bytes(step.undo.payload)
    assert outs(driver) == before
    return state_of(driver)


def late(state: str, *events: Any) -> Check:
    def come() -> str:
        driver = STEPS[state]()
        before = outs(driver), driver.live.status
        after = tell(driver, *events)
        assert (outs(driver), driver.live.status) == before
        return after

    return come


for _state in ("unknown", "undoing", "undone", "undo_failed"):
    check("steps", _state, "late_refusal")(late(_state, ANo()))
    check("steps", _state, "late_unknown")(late(_state, Odd()))


@check("steps", "sent", "timeout", then="undo_sent")
def _() -> str:
    driver = sent()
    driver.fire(timeout_of(driver))
    assert driver.withdrawn == [driver.last(A).id]
    assert driver.last(UndoA).message == UndoA("", "timed out after 30 s")
    assert driver.types == ["A", "B", "UndoA"], "the exception has not reached the code yet"
    return state_of(driver)


def timed_out_late(state: str) -> Check:
    def come() -> str:
        driver = STEPS[state]()
        assert timeout_of(driver).id in driver.forgotten, "the winner deletes the timer"
        before = outs(driver), driver.live.snapshot()
        driver.fire(timeout_of(driver))
        assert (outs(driver), driver.live.snapshot()) == before
        return state_of(driver)

    return come


for _state in ("succeeded", "refused", "unknown", "undoing", "undone", "undo_failed"):
    check("steps", _state, "timeout")(timed_out_late(_state))


# ---------------------------------------------------------------------- operators


def abandoned(state: str) -> Check:
    def run() -> str:
        driver = STEPS[state]()
        undo = driver.step(A)
        undo_id = undo.undo_id if undo is not None else ""
        before = outs(driver)
        driver.act("abandon")
        assert outs(driver) == before
        assert (undo_id in driver.withdrawn) == (state in ("undoing", "undo_failed"))
        assert driver.live.status == "abandoned"
        return state_of(driver)

    return run


for _state in STEPS:
    check("steps", _state, "operator_abandon")(abandoned(_state))


@check("steps", "sent", "operator_result")
def _() -> str:
    driver = sent()
    driver.act("give_result", ADone("by hand"), command_id=driver.last(A).id)
    assert driver.withdrawn == [driver.last(A).id]
    assert driver.types[-1] == "D", "the code goes on"
    driver.answer(driver.last(A), ADone("late"))
    step = driver.step(A)
    assert step is not None
    assert step.undo is not None
    assert b"by hand" in bytes(step.undo.payload), "the first outcome stands"
    return state_of(driver)


@check("steps", "sent", "operator_skip")
def _() -> str:
    async def code(start: Start, saga: Saga) -> None:
        await saga.do(A(), then=None, undo=UndoA())
        await saga.do(B(), then=BDone)

    driver = Driver(code)
    driver.start()
    driver.act("skip_step", command_id=driver.last(A).id)
    assert driver.withdrawn == [driver.last(A).id]
    assert driver.types[-1] == "B"
    state = state_of(driver)
    driver.cancel()
    assert driver.types[-1] == "UndoA", "it may have been done: its undo stays on the stack"
    return state


@check("steps", "undo_failed", "undo_answered")
def _() -> str:
    driver = undo_failed()
    driver.answer(driver.last(UndoA), Undone())
    assert driver.live.status != "compensation_failed", "undoing goes on"
    return state_of(driver)


@check("steps", "undo_failed", "operator_retry")
def _() -> str:
    driver = undo_failed()
    undo = driver.last(UndoA)
    driver.act("retry", command_id=undo.id)
    assert driver.again == [undo.id]
    return state_of(driver)


@check("steps", "undo_failed", "operator_drop")
def _() -> str:
    driver = undo_failed()
    driver.act("drop", command_id=driver.last(UndoA).id)
    assert driver.live.status != "compensation_failed"
    return state_of(driver)
