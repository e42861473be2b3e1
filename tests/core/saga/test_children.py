"""Steps whose command starts a child: given up, the child is cancelled, and its end is the answer to that."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from tests.core import driver as drivers
from tests.core.driver import Driver
from tests.core.messages import (
    A,
    ADone,
    ANo,
    B,
    BDone,
    C,
    CDone,
    Paid,
    Start,
    UndoA,
    UndoB,
)

from sagakit.core.lifecycle import CancelChild
from sagakit.core.process import Surroundings
from sagakit.core.saga.code_saga import SagaDefinition
from sagakit.core.saga.operations import Saga
from sagakit.errors import NotDone, OutcomeUnknown, Refused

LANE = "t.child/1"


def parent(code: Callable[..., Any], *, children: tuple[type, ...] = (A,)) -> Driver:
    """A saga for which A starts a child."""
    lanes = dict.fromkeys(children, lambda command: LANE)
    around: Surroundings = msgspec.structs.replace(drivers.AROUND, children=lanes)
    return Driver(SagaDefinition("test", code, around, starts_with=(Start,), receives=(Paid,), version=1))


async def chain(start: Start, saga: Saga) -> None:
    """B, then the child of A, then C."""
    await saga.do(B(), then=BDone, undo=UndoB())
    await saga.do(A(), then=ADone, undo=lambda undo: UndoA(undo.outcome.id if undo.outcome else "", undo.reason))
    await saga.do(C(), then=CDone)


async def without_undo(start: Start, saga: Saga) -> None:
    await saga.do(B(), then=BDone, undo=UndoB())
    await saga.do(A(), then=ADone)


def started(code: Callable[..., Any] = chain) -> Driver:
    driver = parent(code)
    driver.start()
    driver.answer(driver.waiting(B), BDone())
    return driver


CODES = {"with an undo": chain, "without an undo": without_undo}


@pytest.mark.parametrize("code", CODES.values(), ids=list(CODES))
@pytest.mark.parametrize("again", [False, True], ids=["", "loaded again"])
def test_a_cancel_waits_for_the_end_of_the_child(code: Callable[..., Any], again: bool) -> None:
    driver = started(code)
    if again:
        driver = driver.revived()
    driver.cancel("no more")
    assert driver.withdrawn == [driver.last(A).id]
    cancel = driver.waiting(CancelChild)
    assert cancel.message == CancelChild(driver.last(A).id, LANE, "no more")
    assert cancel.undoes == driver.last(A).id
    assert driver.types[-1] == "CancelChild", "nothing before it is undone yet"
    if again:
        driver = driver.revived()
    driver.fail(driver.last(A), "no more", known_not_done=True)
    driver.answer(driver.waiting(UndoB))
    assert driver.live.status == "compensated"
    driver.answer(cancel)  # it came after the end of the child: it has no effect
    assert driver.types == ["B", "A", "CancelChild", "UndoB"]


def test_a_child_that_never_began_answers_the_cancel_itself() -> None:
    driver = started()
    driver.cancel()
    driver.answer(driver.waiting(CancelChild))
    assert driver.types[-1] == "UndoB"


@pytest.mark.parametrize("again", [False, True], ids=["", "loaded again"])
def test_a_child_that_had_succeeded_is_undone(again: bool) -> None:
    driver = started()
    driver.cancel("no more")
    if again:
        driver = driver.revived()
    cancel = driver.waiting(CancelChild)
    driver.answer(driver.last(A), ADone("late"))
    assert driver.waiting(UndoA).message == UndoA("late", "no more")
    assert cancel.id in driver.withdrawn
    driver.answer(cancel)
    assert driver.types[-1] == "UndoA"
    driver.answer(driver.waiting(UndoA))
    driver.answer(driver.waiting(UndoB))
    assert driver.live.status == "compensated"


def test_a_child_that_had_succeeded_and_has_no_undo_leaves_nothing_to_do() -> None:
    driver = started(without_undo)
    driver.cancel()
    driver.answer(driver.last(A), ADone())
    driver.answer(driver.waiting(UndoB))
    assert driver.live.status == "compensated"


@pytest.mark.parametrize("code", CODES.values(), ids=list(CODES))
def test_an_abandoned_child_may_have_left_something(code: Callable[..., Any]) -> None:
    driver = started(code)
    driver.cancel("no more")
    driver.fail(driver.last(A), "abandoned", known_not_done=False)
    if code is chain:
        assert driver.waiting(UndoA).message == UndoA("", "no more")
        driver.answer(driver.waiting(UndoA))
    driver.answer(driver.waiting(UndoB))
    assert driver.live.status == "compensated"


@pytest.mark.parametrize("known", [True, False])
def test_the_end_of_a_child_is_the_outcome_of_its_step(known: bool) -> None:
    seen: list[NotDone] = []

    async def code(start: Start, saga: Saga) -> None:
        try:
            await saga.do(A(), then=ADone, undo=UndoA())
        except NotDone as left:
            seen.append(left)
        await saga.do(C(), then=CDone)

    driver = parent(code)
    driver.start()
    driver.fail(driver.last(A), "it was undone", known_not_done=known)
    if not known:
        driver.answer(driver.waiting(UndoA))
    assert [type(one) for one in seen] == [Refused if known else OutcomeUnknown]
    assert driver.types[-1] == "C"
    assert "CancelChild" not in driver.types


def test_what_a_child_declares_besides_its_success_is_a_refusal() -> None:
    driver = started()
    driver.answer(driver.last(A), ANo("full"))
    assert (driver.live.cause, driver.live.reason) == ("refused", "full")
    assert driver.types[-1] == "UndoB"


@pytest.mark.parametrize("undo", [None, UndoA()], ids=["", "with an undo"])
def test_a_child_that_lost_is_cancelled_before_first_returns(undo: Any) -> None:
    async def code(start: Start, saga: Saga) -> None:
        await saga.first(saga.do(A(), then=ADone, undo=undo), saga.receive(Paid))
        await saga.do(C(), then=CDone)

    driver = parent(code)
    driver.start()
    driver.event(Paid())
    assert driver.types == ["A", "CancelChild"]
    assert driver.waiting(CancelChild).message.reason == "lost to another branch"
    driver.fail(driver.last(A), "lost to another branch", known_not_done=True)
    assert driver.types[-1] == "C"


@pytest.mark.parametrize("undo", [None, UndoA()], ids=["", "with an undo"])
def test_a_child_whose_time_has_passed_is_cancelled_before_the_code_is_told(undo: Any) -> None:
    seen: list[str] = []

    async def code(start: Start, saga: Saga) -> None:
        with suppress(OutcomeUnknown):
            await saga.do(A(), then=ADone, undo=undo, timeout=5)
        seen.append("told")
        await saga.do(C(), then=CDone)

    driver = parent(code)
    driver.start()
    driver.fire()
    assert driver.types == ["A", "CancelChild"]
    assert driver.waiting(CancelChild).message.reason == "timed out after 5 s"
    assert seen == []
    driver.fail(driver.last(A), "timed out after 5 s", known_not_done=True)
    assert driver.types[-1] == "C"


def test_children_side_by_side_are_cancelled_one_by_one_newest_first() -> None:
    async def code(start: Start, saga: Saga) -> None:
        await saga.all(saga.do(A(), then=ADone), saga.do(B(), then=BDone, undo=UndoB()), saga.do(A(2), then=ADone))

    driver = parent(code, children=(A, B))
    driver.start()
    first, second, third = driver.sent
    driver.cancel()
    assert driver.withdrawn == [first.id, second.id, third.id]
    for child in (third, second, first):
        assert driver.sent[-1].undoes == child.id
        driver.fail(child, known_not_done=True)
    assert driver.live.status == "compensated"


def test_nothing_of_a_child_goes_out_while_a_person_has_to_settle_an_undo() -> None:
    async def code(start: Start, saga: Saga) -> None:
        await saga.all(saga.do(A(), then=ADone, undo=UndoA()), saga.do(B(), then=BDone, undo=UndoB()))

    driver = parent(code)
    driver.start()
    driver.answer(driver.waiting(B), BDone())
    driver.cancel()
    driver.fail(driver.waiting(UndoB), "cannot undo")
    assert driver.live.status == "compensation_failed"
    before = len(driver.sent)
    driver.answer(driver.last(A), ADone())
    step = driver.step(A)
    assert step is not None
    assert (step.state, step.child) == ("succeeded", "")
    assert len(driver.sent) == before


def test_a_child_whose_parent_cannot_run_is_cancelled_all_the_same() -> None:
    async def other(start: Start, saga: Saga) -> None:
        await saga.do(C(), then=CDone)

    lanes = {A: lambda command: LANE}
    around: Surroundings = msgspec.structs.replace(drivers.AROUND, children=lanes)
    changed = SagaDefinition("test", other, around, starts_with=(Start,), receives=(), version=1)
    driver = started().revived(changed)
    driver.cancel("no more")
    assert driver.waiting(CancelChild).message == CancelChild(driver.last(A).id, LANE, "no more")


def test_a_child_is_told_as_by_a_cancel() -> None:
    async def child(start: Start, saga: Saga) -> None:
        await saga.do(B(), then=BDone, undo=UndoB())
        await saga.do(C(), then=CDone)

    driver = Driver(child)
    driver.start()
    driver.answer(driver.waiting(B), BDone())
    driver.event(CancelChild("a", "t.child/1", "the parent is cancelled"))
    assert (driver.live.status, driver.live.cause, driver.live.reason) == (
        "undoing",
        "cancelled",
        "the parent is cancelled",
    )
    driver.answer(driver.waiting(UndoB))
    assert driver.live.status == "compensated"


def test_what_it_returns_is_its_answer() -> None:
    async def child(start: Start, saga: Saga) -> CDone:
        saga.publish(BDone("published"))
        return CDone("end")

    reacted = Driver(child).start()
    assert [output.message for output in reacted.outputs] == [BDone("published"), CDone("end")]
    assert reacted.answers == reacted.outputs[1:]
