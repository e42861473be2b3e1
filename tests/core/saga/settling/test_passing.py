"""The deadline of a saga: what happens when it passes, and before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.core.driver import BEGIN, Driver, saga
from tests.core.messages import A, ADone, B, BDone, C, CDone, Notify, Paid, Shipped, Start, UndoA, UndoB, Unhandled

from sagakit.core.lifecycle import DeadlineNear, TimerFired
from sagakit.core.saga.operations import Saga
from sagakit.core.saga.timing.deadline import Deadline, deadline_of
from sagakit.errors import NotDone, ProcessBug

SECOND = 1_000_000


async def slow(start: Start, saga: Saga) -> None:
    await saga.do(A(), then=ADone, undo=UndoA())
    await saga.do(B(), then=BDone, undo=UndoB())


async def waiting(start: Start, saga: Saga) -> None:
    await saga.receive(Paid)


def under(deadline: Any, code: Any = slow) -> Driver:
    driver = Driver(saga(code, deadline=deadline_of(deadline)))
    driver.start()
    return driver


def test_a_deadline_that_passes_undoes_the_saga() -> None:
    driver = under(timedelta(minutes=2))
    assert driver.next.due_at == BEGIN + 1 + 120 * SECOND
    assert driver.next.message == TimerFired("deadline of 120 s")
    driver.answer(driver.last(A), ADone())
    driver.fire()
    assert driver.withdrawn == [driver.last(B).id]
    assert driver.types[-1] == "UndoB"
    assert (driver.live.status, driver.live.cause) == ("undoing", "timed_out")
    driver.answer(driver.last(UndoB))
    driver.answer(driver.last(UndoA))
    assert (driver.live.status, driver.live.reason) == ("compensated", "deadline of 120 s passed")


def test_a_saga_that_ends_in_time_forgets_its_deadline() -> None:
    driver = under(Deadline(120, warn=60))
    timers = list(driver.timers)
    driver.answer(driver.last(A), ADone())
    driver.answer(driver.last(B), BDone())
    assert driver.forgotten == timers
    assert driver.live.status == "completed"


def test_a_saga_that_ends_at_once_has_no_deadline() -> None:
    async def code(start: Start, saga: Saga) -> None:
        saga.send(Notify())

    driver = Driver(saga(code, deadline=Deadline(120, warn=60)))
    reacted = driver.start()
    assert (reacted.timers, reacted.forgotten) == ([], [])


def test_a_saga_that_is_undone_forgets_its_deadline() -> None:
    driver = under(120)
    driver.cancel()
    assert not driver.timers


def test_the_warning_comes_first_and_says_when_the_deadline_is() -> None:
    driver = under(Deadline(120, warn=30))
    assert driver.next.due_at == BEGIN + 1 + 90 * SECOND
    driver.fire()
    due = datetime.fromtimestamp((BEGIN + 1) / SECOND, UTC) + timedelta(seconds=120)
    assert driver.last(DeadlineNear).message == DeadlineNear("test", "k", driver.id, due)
    assert driver.live.status == "running"
    driver = driver.revived()
    driver.fire()
    assert driver.live.status == "undoing"


def test_a_deadline_that_only_warns_lets_the_saga_go_on() -> None:
    driver = under(Deadline(120, then="warn"))
    due = driver.next.due_at
    driver.fire(late=SECOND)
    assert driver.last(DeadlineNear).message.due_at.timestamp() * SECOND == due
    driver.answer(driver.last(A), ADone())
    driver.answer(driver.last(B), BDone())
    assert driver.live.status == "completed"


def test_a_deadline_may_send_a_command() -> None:
    driver = under(Deadline(120, then=lambda start: Notify(f"late: {start.key}")))
    driver.fire()
    assert driver.last(Notify).message == Notify("late: k")
    assert driver.live.status == "running"
    driver.answer(driver.last(Notify))
    driver = driver.revived()
    driver.answer(driver.last(A), ADone())
    assert driver.types[-1] == "B"


def broken(start: Start) -> Any:
    raise ValueError("bad")


@pytest.mark.parametrize(
    ("then", "words"),
    [
        (broken, r"what the deadline does \(broken\): line \d+ of test_passing.py: ValueError: bad"),
        (lambda start: Unhandled(), r"nobody handles the command t.Unhandled"),
        (lambda start: None, r"NoneType is not a message"),
    ],
)
def test_a_deadline_whose_command_cannot_be_sent_parks(then: Any, words: str) -> None:
    driver = under(Deadline(120, then=then))
    with pytest.raises(ProcessBug, match=words):
        driver.fire()


def test_a_deadline_of_no_time_parks_with_words() -> None:
    with pytest.raises(ProcessBug, match=r"^the deadline takes seconds or a timedelta"):
        under(Deadline(float("nan")))


def test_code_may_not_catch_a_deadline() -> None:
    async def code(start: Start, saga: Saga) -> None:
        try:
            await saga.do(A(), then=ADone, undo=UndoA())
        except NotDone:
            await saga.do(C(), then=CDone)

    driver = under(120, code)
    driver.fire()
    assert driver.types == ["A", "UndoA"]


# ---------------------------------------------------------------------- what stands, whatever the code says now


def test_a_deadline_that_is_new_is_not_for_older_instances() -> None:
    driver = under(None, waiting).revived(saga(waiting, deadline=Deadline(120)))
    assert driver.record.timers == []
    driver.event(Paid())
    assert driver.live.status == "completed"
    assert driver.forgotten == []


def test_a_deadline_that_is_gone_does_nothing_when_it_passes() -> None:
    driver = under(Deadline(120, warn=60), waiting).revived(saga(waiting))
    driver.fire()
    again = driver.revived(saga(waiting))
    again.fire()
    last = again.revived(saga(waiting))
    last.event(Paid())
    assert last.live.status == "completed"


def test_a_deadline_that_was_moved_passes_when_it_was_recorded_for() -> None:
    driver = under(120, waiting).revived(saga(waiting, deadline=Deadline(600)))
    driver.fire()
    assert driver.live.reason == "deadline of 120 s passed"


def test_a_deadline_passes_also_where_the_code_contradicts_the_record() -> None:
    async def other(start: Start, saga: Saga) -> None:
        await saga.receive(Shipped)
        await saga.do(C(), then=CDone)

    driver = under(120).revived(saga(other, deadline=Deadline(120)))
    driver.fire()
    assert (driver.live.status, driver.types[-1]) == ("undoing", "UndoA")


def test_a_deadline_that_passes_after_the_end_changes_nothing() -> None:
    driver = under(120)
    timer = driver.next
    driver.cancel()
    driver.answer(driver.last(UndoA))
    driver.fire(timer)
    assert (driver.live.status, driver.live.cause) == ("compensated", "cancelled")
