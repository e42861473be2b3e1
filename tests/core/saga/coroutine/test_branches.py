"""`all` and `first`: what runs at the same time, what is raised when, and what a branch that lost leaves behind."""

from __future__ import annotations

from typing import Any

import pytest
from tests.core.driver import Driver
from tests.core.messages import (
    A,
    ADone,
    ANo,
    B,
    BDone,
    BNo,
    C,
    CDone,
    CNo,
    D,
    DDone,
    Ended,
    Paid,
    Shipped,
    Start,
    UndoA,
    UndoB,
    UndoC,
    UndoD,
)

from sagakit.core.saga.operations import Saga
from sagakit.errors import NotDone, OutcomeUnknown, ProcessBug, Refused


def running(code: Any) -> Driver:
    driver = Driver(code)
    driver.start()
    return driver


async def three(start: Start, saga: Saga) -> None:
    """All three at once; what was raised is published."""
    try:
        results = await saga.all(
            saga.do(A(), then=ADone, undo=UndoA()),
            saga.do(B(), then=BDone, undo=UndoB()),
            saga.do(C(), then=CDone, undo=UndoC()),
        )
        saga.publish(Ended(",".join(result.id for result in results)))
    except NotDone as error:
        saga.publish(Ended(f"{type(error).__name__} {error.reason}"))
        raise


def test_all_gives_the_results_in_the_order_of_its_branches() -> None:
    driver = running(three)
    driver.answer(driver.last(C), CDone())
    driver.answer(driver.last(A), ADone())
    assert driver.types == ["A", "B", "C"]
    driver.answer(driver.last(B), BDone())

    assert driver.sent[-1].message == Ended("a,b,c")
    assert driver.live.status == "completed"


def test_all_raises_the_first_error_once_every_branch_is_settled() -> None:
    driver = running(three)
    driver.answer(driver.last(B), BNo())
    driver.answer(driver.last(A), ANo())
    assert driver.types == ["A", "B", "C"], "C is still in flight"
    driver.answer(driver.last(C), CDone())

    assert driver.types == ["A", "B", "C", "Ended", "UndoC"]
    assert driver.last(Ended).message == Ended("Refused no b")


def test_all_waits_until_an_unknown_branch_is_undone() -> None:
    driver = running(three)
    driver.fail(driver.last(B), "lost")
    assert driver.types[-1] == "UndoB", "at once, beside the others"
    driver.answer(driver.last(A), ADone())
    driver.answer(driver.last(C), CNo())
    assert driver.live.status == "running"
    driver.answer(driver.last(UndoB))

    assert driver.last(Ended).message == Ended("Refused no c"), "C was the first that was settled with an error"
    assert driver.types[-1] == "UndoA"
    assert driver.live.cause == "refused"


def test_all_of_unknown_branches_is_undone_branch_by_branch() -> None:
    driver = running(three)
    for command in (A, B, C):
        driver.fail(driver.last(command), f"lost {command.__name__}")
    assert driver.types[-3:] == ["UndoA", "UndoB", "UndoC"]
    for undo in (UndoC, UndoA, UndoB):
        driver.answer(driver.last(undo))

    assert (driver.live.status, driver.live.cause, driver.live.reason) == ("compensated", "failed", "lost C")


def test_all_of_nothing_and_of_what_is_done_already_goes_on_at_once() -> None:
    async def given(number: int) -> int:
        return number

    async def code(start: Start, saga: Saga) -> None:
        assert await saga.all() == ()
        for number in range(2_000):
            assert await saga.all(given(number), given(2)) == (number, 2)
        assert await saga.first(given(1), given(2)) == 1
        await saga.do(A(), then=ADone)

    assert running(code).types == ["A"]


def test_a_failure_at_once_in_a_nested_join_reaches_the_code() -> None:
    async def refuse() -> None:
        raise Refused("at once")

    async def code(start: Start, saga: Saga) -> None:
        try:
            await saga.all(saga.all(refuse(), saga.do(A(), then=ADone)), saga.receive(Paid))
        except Refused as refused:
            saga.publish(Ended(refused.reason))

    driver = running(code)
    driver.answer(driver.last(A), ADone())
    assert driver.types == ["A"]
    driver.event(Paid())
    assert driver.last(Ended).message == Ended("at once")


def test_joins_nest() -> None:
    async def code(start: Start, saga: Saga) -> None:
        async def inner() -> str:
            a, event = await saga.all(saga.do(A(), then=ADone), saga.first(saga.receive(Paid), saga.receive(Shipped)))
            return f"{a.id} {type(event).__name__}"

        text, b = await saga.all(inner(), saga.do(B(), then=BDone))
        saga.publish(Ended(f"{text} {b.id}"))

    driver = running(code)
    driver.event(Shipped())
    driver.answer(driver.last(B), BDone())
    driver.answer(driver.last(A), ADone())
    assert driver.last(Ended).message == Ended("a Shipped b")


# ---------------------------------------------------------------------- first


async def race(start: Start, saga: Saga) -> None:
    """Three, of which one wins."""
    won = await saga.first(
        saga.do(A(), then=ADone, undo=UndoA()),
        saga.do(B(), then=BDone, undo=UndoB()),
        saga.receive(Paid),
    )
    saga.publish(Ended(type(won).__name__))


def test_a_do_that_lost_is_given_up_and_undone_before_first_returns() -> None:
    driver = running(race)
    driver.answer(driver.last(B), BDone())
    assert driver.withdrawn == [driver.last(A).id]
    assert driver.types == ["A", "B", "UndoA"]
    assert driver.last(UndoA).undoes == driver.last(A).id
    driver.answer(driver.last(UndoA))

    assert driver.last(Ended).message == Ended("BDone")
    assert driver.live.status == "completed"


def test_several_that_lost_are_undone_newest_first() -> None:
    driver = running(race)
    driver.event(Paid())
    assert driver.types == ["A", "B", "UndoB", "UndoA"]
    driver.answer(driver.last(UndoA))
    assert "Ended" not in driver.types
    driver.answer(driver.last(UndoB))
    assert driver.last(Ended).message == Ended("Paid")


def test_a_do_without_undo_that_lost_is_given_up() -> None:
    async def code(start: Start, saga: Saga) -> None:
        await saga.first(saga.do(A(), then=ADone), saga.receive(Paid))

    driver = running(code)
    driver.event(Paid())
    assert driver.withdrawn == [driver.last(A).id]
    assert driver.live.status == "completed"


def test_a_receive_that_lost_leaves_nothing_behind() -> None:
    async def code(start: Start, saga: Saga) -> None:
        await saga.first(saga.receive(Paid), saga.receive(Shipped))
        saga.publish(Ended((await saga.receive(Shipped)).parcel))

    driver = running(code)
    driver.event(Paid())
    driver.event(Shipped("p"))
    assert driver.last(Ended).message == Ended("p")


def test_the_refusal_of_the_first_that_settles_is_raised() -> None:
    driver = running(race)
    driver.answer(driver.last(A), ANo())
    assert driver.live.status == "running", "B has lost and is undone first"
    driver.answer(driver.last(UndoB))
    assert (driver.live.status, driver.live.cause) == ("compensated", "refused")


def test_a_loser_whose_undo_is_under_way_is_waited_for() -> None:
    driver = running(race)
    driver.fail(driver.last(A), "lost")
    assert driver.types[-1] == "UndoA"
    driver.answer(driver.last(B), BDone())
    assert driver.withdrawn == []
    assert "Ended" not in driver.types
    driver.answer(driver.last(UndoA))
    assert driver.last(Ended).message == Ended("BDone")


def test_a_step_that_a_loser_had_done_stays_on_the_stack() -> None:
    async def code(start: Start, saga: Saga) -> None:
        async def slow() -> None:
            await saga.do(A(), then=ADone, undo=UndoA())
            await saga.do(B(), then=BDone, undo=UndoB())

        await saga.first(slow(), saga.receive(Paid))
        await saga.do(C(), then=CDone)

    driver = running(code)
    driver.answer(driver.last(A), ADone())
    driver.event(Paid())
    assert driver.types == ["A", "B", "UndoB"]
    driver.answer(driver.last(UndoB))
    driver.answer(driver.last(C), CNo())
    assert driver.types[-1] == "UndoA"


def test_a_first_that_loses_hands_on_what_it_waits_for() -> None:
    """The inner `first` has a winner and waits for the undo of its loser, when the outer one is won elsewhere."""

    async def code(start: Start, saga: Saga) -> None:
        inner = saga.first(saga.do(A(), then=ADone, undo=UndoA()), saga.do(B(), then=BDone, undo=UndoB()))
        await saga.first(inner, saga.receive(Paid))
        saga.publish(Ended("all undone"))

    driver = running(code)
    driver.answer(driver.last(B), BDone())
    assert driver.types == ["A", "B", "UndoA"]
    driver.event(Paid())
    assert "Ended" not in driver.types
    driver.answer(driver.last(UndoA))
    assert driver.last(Ended).message == Ended("all undone")


def test_a_join_that_loses_gives_up_all_its_branches() -> None:
    async def code(start: Start, saga: Saga) -> None:
        both = saga.all(saga.do(A(), then=ADone, undo=UndoA()), saga.do(B(), then=BDone, undo=UndoB()))
        await saga.first(both, saga.receive(Paid))

    driver = running(code)
    driver.answer(driver.last(A), ADone())
    driver.event(Paid())
    assert driver.withdrawn == [driver.last(B).id]
    assert driver.types == ["A", "B", "UndoB"]


def test_branches_that_have_not_begun_when_another_has_won_never_begin() -> None:
    began: list[str] = []

    async def code(start: Start, saga: Saga) -> None:
        async def late() -> None:
            began.append("late")

        await saga.receive(Shipped)
        won = await saga.first(saga.receive(Paid), saga.do(A(), then=ADone), late())
        assert won == Paid(3)
        await saga.do(B(), then=BDone)

    driver = running(code)
    driver.event(Paid(3))
    driver.event(Shipped())
    assert driver.types == ["B"]
    assert began == []


def test_the_finally_of_a_loser_runs_before_first_returns() -> None:
    async def code(start: Start, saga: Saga) -> None:
        async def slow() -> None:
            try:
                await saga.do(A(), then=ADone)
            finally:
                saga.publish(Ended("given up"))

        await saga.first(slow(), saga.receive(Paid))
        saga.publish(Ended("over"))

    driver = running(code)
    driver.event(Paid())
    assert [output.message.how for output in driver.sent[1:]] == ["given up", "over"]


def test_a_loser_that_sends_while_it_is_closed_is_a_bug() -> None:
    async def code(start: Start, saga: Saga) -> None:
        async def slow() -> None:
            try:
                await saga.do(A(), then=ADone)
            finally:
                await saga.do(B(), then=BDone)

        await saga.first(slow(), saga.receive(Paid))

    driver = running(code)
    with pytest.raises(ProcessBug, match=r"line \d+ of test_branches.py: do\(B\) while the code is being closed"):
        driver.event(Paid())


def test_first_takes_no_notice_of_an_undo_that_code_asked_for_and_lost() -> None:
    async def code(start: Start, saga: Saga) -> None:
        await saga.do(A(), then=ADone, undo=UndoA())
        await saga.do(B(), then=BDone, undo=UndoB())
        await saga.first(saga.undo(), saga.receive(Paid))
        await saga.do(C(), then=CDone, undo=UndoC())
        raise Refused("after all")

    driver = running(code)
    driver.answer(driver.last(A), ADone())
    driver.answer(driver.last(B), BDone())
    assert driver.types[-1] == "UndoB"
    driver.event(Paid())
    driver.answer(driver.last(C), CDone())
    assert driver.types[-1] == "C", "the undo that is out is waited for"
    driver.answer(driver.last(UndoB))
    assert driver.types[-1] == "UndoC"
    driver.answer(driver.last(UndoC))
    assert driver.types[-1] == "UndoA"


def test_an_undo_in_one_branch_takes_back_only_what_was_done_when_it_began() -> None:
    async def code(start: Start, saga: Saga) -> None:
        await saga.do(A(), then=ADone, undo=UndoA())

        async def take_back() -> None:
            await saga.undo()
            saga.publish(Ended("taken back"))

        await saga.all(saga.do(B(), then=BDone, undo=UndoB()), take_back())

    driver = running(code)
    driver.answer(driver.last(A), ADone())
    assert driver.types == ["A", "B", "UndoA"]
    driver.answer(driver.last(B), BDone())
    driver.answer(driver.last(UndoA))
    assert driver.types[-1] == "Ended"
    assert driver.live.status == "completed"


def test_two_undos_at_once_and_a_step_repaired_between_do_not_block_each_other() -> None:
    async def code(start: Start, saga: Saga) -> None:
        await saga.do(A(), then=ADone, undo=UndoA())
        await saga.do(B(), then=BDone, undo=UndoB())

        async def tries() -> None:
            with pytest.raises(OutcomeUnknown):
                await saga.do(C(), then=CDone, undo=UndoC())
            await saga.undo()

        await saga.all(tries(), saga.undo())
        await saga.do(D(), then=DDone, undo=UndoD())

    driver = running(code)
    driver.answer(driver.last(A), ADone())
    driver.answer(driver.last(B), BDone())
    assert driver.types == ["A", "B", "C", "UndoB"]
    driver.fail(driver.last(C))
    assert driver.types[-1] == "UndoC"
    driver.answer(driver.last(UndoB))
    driver.answer(driver.last(UndoC))
    assert driver.types[-1] == "UndoA"
    driver.answer(driver.last(UndoA))
    assert driver.types[-1] == "D"


def test_the_same_operation_cannot_be_in_two_branches() -> None:
    async def code(start: Start, saga: Saga) -> None:
        do = saga.do(A(), then=ADone)
        await saga.all(do, do)

    with pytest.raises(ProcessBug, match=r"line \d+ of test_branches.py: do\(A\) is awaited twice"):
        running(code)


def test_a_coroutine_in_two_branches_is_a_bug() -> None:
    async def code(start: Start, saga: Saga) -> None:
        async def one() -> None:
            await saga.do(A(), then=ADone)

        steps = one()
        await saga.all(steps, steps)

    with pytest.raises(ProcessBug, match="awaited already"):
        running(code)


@pytest.mark.parametrize("what", ["all", "first"])
def test_a_join_takes_operations_and_coroutines(what: str) -> None:
    async def code(start: Start, saga: Saga) -> None:
        await getattr(saga, what)([saga.do(A(), then=ADone)])

    with pytest.raises(ProcessBug, match=rf"line \d+ of test_branches.py: TypeError: {what}\(\) takes operations"):
        running(code)


def test_first_of_nothing_is_a_bug() -> None:
    async def code(start: Start, saga: Saga) -> None:
        await saga.first()

    with pytest.raises(ProcessBug, match="would wait for ever"):
        running(code)
