"""The cells of the undos."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from tests.core.driver import Driver
from tests.core.messages import (
    A,
    ADone,
    ANo,
    C,
    CDone,
    D,
    DDone,
    Odd,
    Paid,
    Start,
    UndoA,
    UndoB,
    UndoD,
)
from tests.core.protocol.benches import (
    KNOWN,
    exact,
    outs,
    refused,
    sent,
    succeeded,
    undo_failed,
    undoing,
    undone,
    unknown,
)
from tests.core.protocol.checks import Check, check

from sagakit.core.saga.operations import Saga
from sagakit.errors import NotDone, ProcessBug


def undo_of(driver: Driver) -> str:
    step = driver.step(A)
    if step is None or step.undo is None:
        return "none"
    return step.state if step.state in ("undoing", "undone", "undo_failed") else "recorded"


async def without_undo(start: Start, saga: Saga) -> None:
    with suppress(NotDone):
        await saga.do(A(), then=ADone)
    await saga.do(D(), then=DDone)


def no_undo(*events: Any, cancel: bool = False) -> Driver:
    driver = Driver(without_undo)
    driver.start()
    if cancel:
        driver.cancel()
    elif events:
        driver.answer(driver.last(A), *events)
    return driver


def plain(what: Callable[[], Driver], *, then: Callable[[Driver], object] = lambda driver: None) -> Check:
    def run() -> str:
        driver = what()
        then(driver)
        return undo_of(driver)

    return run


check("undos", "none", "do_sent")(plain(sent))


@check("undos", "none", "registered")
def _() -> str:
    async def code(start: Start, saga: Saga) -> None:
        saga.on_undo(lambda undo: UndoA(reason=undo.reason))
        await saga.receive(Paid)

    driver = Driver(code)
    driver.start()
    (step,) = driver.record.steps
    assert step.undo is not None
    assert outs(driver) == 0
    return "recorded"


check("undos", "none", "success")(plain(lambda: no_undo(ADone())))
check("undos", "none", "refusal")(plain(lambda: no_undo(ANo())))


@check("undos", "none", "do_unknown")
def _() -> str:
    driver = no_undo(Odd())
    assert driver.types == ["A", "D"], "raised at once"
    return undo_of(driver)


@check("undos", "none", "build_failed")
def _() -> str:
    async def code(start: Start, saga: Saga) -> None:
        await saga.do(A(), then=ADone, undo=lambda undo: UndoA(undo.outcome.id))  # type: ignore[union-attr]

    driver = Driver(code)
    with pytest.raises(ProcessBug, match="do with an outcome of None"):
        driver.start()
    assert driver.sent == []
    return undo_of(driver)


for _event, _events in {"late_success": (ADone(),), "late_refusal": (ANo(),), "late_unknown": (Odd(),)}.items():

    def _later(events: tuple[Any, ...] = _events) -> str:
        driver = no_undo(cancel=True)
        before = outs(driver)
        driver.answer(driver.last(A), *events)
        assert outs(driver) == before
        return undo_of(driver)

    check("undos", "none", _event)(_later)

check("undos", "none", "doubled_outcome")(plain(lambda: no_undo(ADone()), then=lambda one: one.answer(one.last(A))))
check("undos", "none", "cancel")(plain(lambda: no_undo(cancel=True)))
check("undos", "none", "completed")(
    plain(lambda: no_undo(ADone()), then=lambda driver: driver.answer(driver.last(D), DDone()))
)


@check("undos", "recorded", "success")
def _() -> str:
    driver = sent()
    driver.answer(driver.last(A), ADone("exact"))
    step = driver.step(A)
    assert step is not None
    assert step.undo is not None
    assert b"exact" in bytes(step.undo.payload)
    return undo_of(driver)


check("undos", "recorded", "refusal")(plain(refused))
check("undos", "recorded", "do_unknown")(plain(unknown))
check("undos", "recorded", "undo_sent")(plain(lambda: undoing(known=True)))


def fails_later(*, fails: Callable[[Any], bool]) -> Driver:
    def undo(facts: Any) -> UndoA:
        if fails(facts):
            raise ValueError("cannot build it")
        return exact(facts)

    async def code(start: Start, saga: Saga) -> None:
        with suppress(NotDone):
            await saga.do(A(), then=ADone, undo=undo)
        await saga.do(D(), then=DDone, undo=UndoD())

    driver = Driver(code)
    driver.start()
    return driver


@check("undos", "recorded", "build_failed")
def _() -> str:
    driver = fails_later(fails=lambda facts: facts.outcome is not None)
    driver.answer(driver.last(A), ADone())
    step = driver.step(A)
    assert step is not None
    assert step.undo_error == "ValueError: cannot build it"
    return undo_of(driver)


@check("undos", "undoing", "build_failed")
def _() -> str:
    driver = fails_later(fails=lambda facts: bool(facts.reason))
    driver.fail(driver.last(A))
    assert driver.last(UndoA).message == UndoA()
    return undo_of(driver)


@check("undos", "undone", "build_failed")
def _() -> str:
    driver = fails_later(fails=lambda facts: facts.outcome is not None)
    driver.fail(driver.last(A))
    driver.answer(driver.last(UndoA))
    driver.answer(driver.last(A), ADone())
    assert driver.types.count("UndoA") == 2
    return undo_of(driver)


@check("undos", "undo_failed", "build_failed")
def _() -> str:
    driver = fails_later(fails=lambda facts: facts.outcome is not None)
    driver.fail(driver.last(A))
    driver.fail(driver.last(UndoA))
    driver.answer(driver.last(A), ADone())
    return undo_of(driver)


def late_undo(make: Callable[[], Driver], *events: Any) -> Check:
    return plain(make, then=lambda driver: driver.answer(driver.last(A), *events))


check("undos", "recorded", "late_success")(late_undo(unknown, ADone()))
check("undos", "recorded", "late_refusal")(late_undo(unknown, ANo()))
check("undos", "recorded", "late_unknown")(late_undo(unknown, Odd()))
check("undos", "recorded", "doubled_outcome")(late_undo(succeeded, ANo()))
check("undos", "recorded", "cancel")(plain(succeeded, then=lambda driver: driver.cancel()))


@check("undos", "recorded", "completed")
def _() -> str:
    driver = fails_later(fails=lambda facts: False)
    driver.answer(driver.last(A), ADone())
    driver.answer(driver.last(D), DDone())
    assert driver.live.status == "completed"
    assert driver.revived().record.steps == []
    return undo_of(driver)


for _state, _late in {"undoing": undoing, "undone": undone, "undo_failed": undo_failed}.items():
    check("undos", _state, "late_success")(late_undo(_late, ADone()))
    check("undos", _state, "late_refusal")(late_undo(_late, ANo()))
    check("undos", _state, "late_unknown")(late_undo(_late, Odd()))
    check("undos", _state, "doubled_outcome")(late_undo(KNOWN[_state], ANo()))
    check("undos", _state, "cancel")(plain(_late, then=lambda driver: driver.cancel()))

check("undos", "undoing", "undo_answered")(plain(undone))
check("undos", "undone", "undo_answered")(plain(undone, then=lambda driver: driver.answer(driver.last(UndoA))))
check("undos", "undoing", "undo_given_up")(plain(undo_failed))


@check("undos", "undone", "completed")
def _() -> str:
    driver = undone()
    driver.answer(driver.waiting(D), DDone())
    driver.answer(driver.waiting(UndoB))
    driver.answer(driver.waiting(C), CDone())
    assert driver.live.status == "completed"
    return undo_of(driver)


@check("undos", "undoing", "completed")
def _() -> str:
    driver = undone()
    driver.answer(driver.last(A), ADone("late"))
    driver.answer(driver.waiting(D), DDone())
    driver.answer(driver.waiting(UndoB))
    driver.answer(driver.waiting(C), CDone())
    assert driver.live.status == "completed"
    state = undo_of(driver)
    driver.answer(driver.last(UndoA))
    assert (undo_of(driver), driver.live.status) == ("undone", "completed")
    return state


# ---------------------------------------------------------------------- operators


@check("undos", "undo_failed", "undo_answered")
def _() -> str:
    return plain(undo_failed, then=lambda driver: driver.answer(driver.last(UndoA)))()


@check("undos", "undo_failed", "operator_retry")
def _() -> str:
    """Made exact after it was given up, it goes out anew; the old one is withdrawn."""
    driver = undo_failed()
    old = driver.last(UndoA)
    driver.answer(driver.last(A), ADone("late"))
    driver.act("resume_compensation")
    assert driver.again == []
    assert old.id in driver.withdrawn
    assert driver.last(UndoA).id != old.id
    assert driver.last(UndoA).message.id == "late"
    return undo_of(driver)


@check("undos", "undo_failed", "operator_drop")
def _() -> str:
    return plain(undo_failed, then=lambda driver: driver.act("drop", command_id=driver.last(UndoA).id))()
