"""What a saga waits for has a time: it sleeps, its waits and steps time out, and whatever comes first wins."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.core.driver import BEGIN, Driver
from tests.core.messages import A, ADone, ANo, B, BDone, Ended, Paid, Shipped, Start, UndoA, UndoB

from sagakit.core.lifecycle import TimerFired
from sagakit.core.saga.operations import Saga
from sagakit.errors import Nondeterminism, ProcessBug, Refused, TimedOut

SECOND = 1_000_000


def started(code: Callable[..., Any]) -> Driver:
    driver = Driver(code)
    driver.start()
    return driver


def same_after_a_restart(driver: Driver) -> Driver:
    revived = driver.revived()
    assert revived.live.snapshot() == driver.live.snapshot()
    return revived


# ---------------------------------------------------------------------- sleep


async def naps(start: Start, saga: Saga) -> None:
    await saga.sleep(30)
    saga.publish(Ended(saga.now.isoformat()))
    await saga.sleep(timedelta(days=30))
    saga.publish(Ended(saga.now.isoformat()))


def test_a_saga_sleeps_and_goes_on() -> None:
    driver = started(naps)
    timer = driver.next
    assert timer.due_at == driver.now + 30 * SECOND
    assert timer.message == TimerFired("sleep of 30 s")
    assert driver.live.status == "running"
    driver.fire()
    driver.fire()
    assert driver.types == ["Ended", "Ended"]
    assert driver.live.status == "completed"
    assert driver.record.timers == []


def test_now_is_when_the_timer_fired_and_not_when_it_was_due() -> None:
    driver = started(naps)
    driver.fire(late=7 * SECOND)
    assert driver.last(Ended).message.how == datetime.fromtimestamp(driver.now / SECOND, UTC).isoformat()
    assert driver.next.due_at == driver.now + timedelta(days=30).total_seconds() * SECOND


def test_a_sleeper_comes_back_with_the_same_timer() -> None:
    driver = same_after_a_restart(started(naps))
    driver.fire()
    again = same_after_a_restart(driver)
    assert [timer.id for timer in again.record.timers] == [driver.next.id]
    again.fire()
    assert again.live.status == "completed"


@pytest.mark.parametrize("delay", [0, -3, timedelta(seconds=-1)])
def test_a_sleep_that_is_over_does_not_wait(delay: Any) -> None:
    async def code(start: Start, saga: Saga) -> None:
        await saga.sleep(delay)

    driver = started(code)
    assert driver.live.status == "completed"
    assert not driver.timers


@pytest.mark.parametrize("delay", ["3", None, float("nan"), float("inf"), True, 1e18])
def test_a_sleep_of_no_time_at_all_is_a_bug(delay: Any) -> None:
    async def code(start: Start, saga: Saga) -> None:
        await saga.sleep(delay)

    with pytest.raises(ProcessBug, match=r"line \d+ of test_timers.py: sleep\(.*\): sleep\(\) takes seconds or a t"):
        started(code)


def test_a_timer_that_nobody_waits_for_changes_nothing() -> None:
    driver = started(naps)
    timer = driver.next
    driver.fire()
    before = driver.live.snapshot()
    driver.fire(timer)
    assert driver.live.snapshot() == before
    same_after_a_restart(driver)


# ---------------------------------------------------------------------- receive


async def waits(start: Start, saga: Saga) -> None:
    paid = await saga.receive(Paid, timeout=10)
    saga.publish(Ended("paid" if paid else "not paid"))
    await saga.receive(Shipped)


def test_the_event_comes_first_and_the_timer_is_forgotten() -> None:
    driver = started(waits)
    timer = driver.next
    assert timer.message == TimerFired("timeout of 10 s on t.Paid")
    driver.event(Paid())
    assert driver.last(Ended).message == Ended("paid")
    assert driver.forgotten == [timer.id]
    driver.fire(timer)
    assert driver.types == ["Ended"], "the timer that had fired when it was forgotten changes nothing"
    same_after_a_restart(driver)


def test_the_timer_comes_first_and_the_event_is_kept_for_the_next_one() -> None:
    driver = started(waits)
    driver.fire()
    assert driver.last(Ended).message == Ended("not paid")
    assert driver.record.receiving == ["t.Shipped"]
    driver.event(Paid())
    same_after_a_restart(driver).event(Shipped())


def test_an_event_that_is_there_needs_no_timer() -> None:
    async def code(start: Start, saga: Saga) -> None:
        await saga.sleep(1)
        assert await saga.receive(Paid, timeout=10) is not None
        assert await saga.receive(Paid, timeout=0) is None

    driver = started(code)
    driver.event(Paid())
    driver.fire()
    assert driver.live.status == "completed"
    assert not driver.timers


def test_a_timer_that_is_set_and_forgotten_in_one_reaction_never_was() -> None:
    async def code(start: Start, saga: Saga) -> None:
        await saga.first(saga.receive(Paid, timeout=10), saga.sleep(0))
        await saga.sleep(5)

    driver = Driver(code)
    reacted = driver.start()
    assert [timer.message.what for timer in reacted.timers] == ["sleep of 5 s"]
    assert reacted.forgotten == []


# ---------------------------------------------------------------------- do


async def hurries(start: Start, saga: Saga) -> None:
    saga.on_undo(UndoB())
    await saga.do(A(), then=ADone, undo=lambda undo: UndoA(reason=undo.reason), timeout=30)


def test_a_step_that_is_done_in_time_forgets_its_timer() -> None:
    driver = started(hurries)
    timer = driver.next
    assert timer.message == TimerFired("timeout of 30 s on t.A")
    driver.answer(driver.last(A), ADone())
    assert driver.forgotten == [timer.id]
    assert driver.live.status == "completed"


@pytest.mark.parametrize("tell", [lambda driver, a: driver.answer(a, ANo()), lambda driver, a: driver.fail(a)])
def test_a_step_that_is_not_done_in_time_forgets_its_timer_too(tell: Any) -> None:
    driver = started(hurries)
    timer = driver.next
    tell(driver, driver.last(A))
    assert timer.id in driver.forgotten
    assert driver.record.timers == []


def test_a_step_that_times_out_is_given_up_and_undone() -> None:
    driver = started(hurries)
    driver.fire()
    assert driver.withdrawn == [driver.last(A).id]
    assert driver.last(UndoA).message == UndoA(reason="timed out after 30 s")
    same_after_a_restart(driver)
    driver.answer(driver.last(UndoA))
    assert driver.types[-1] == "UndoB"
    driver.answer(driver.last(UndoB))
    assert (driver.live.status, driver.live.cause) == ("compensated", "timed_out")
    assert driver.live.reason == "timed out after 30 s"


def test_a_timeout_can_be_caught_once_the_step_is_undone() -> None:
    async def code(start: Start, saga: Saga) -> None:
        try:
            await saga.do(A(), then=ADone, undo=UndoA(), timeout=0.5)
        except TimedOut as error:
            saga.publish(Ended(error.reason))
        await saga.do(B(), then=BDone, timeout=timedelta(minutes=1))

    driver = started(code)
    driver.fire()
    assert driver.types == ["A", "UndoA"]
    driver.answer(driver.last(UndoA))
    assert driver.last(Ended).message == Ended("timed out after 0.5 s")
    same_after_a_restart(driver).answer(driver.last(B), BDone())


def test_an_outcome_after_the_timeout_is_late() -> None:
    driver = started(hurries)
    driver.fire()
    driver.answer(driver.last(UndoA))
    driver.answer(driver.last(A), ADone("late"))
    assert driver.types.count("UndoA") == 2, "a late success is undone once more"


def test_a_timeout_after_the_outcome_changes_nothing() -> None:
    driver = started(hurries)
    timer = driver.next
    driver.answer(driver.last(A), ADone())
    driver.fire(timer)
    assert driver.live.status == "completed"
    assert driver.types == ["A"]


@pytest.mark.parametrize("timeout", [0, -1, "1"])
def test_a_step_needs_some_time(timeout: Any) -> None:
    async def code(start: Start, saga: Saga) -> None:
        await saga.do(A(), then=ADone, timeout=timeout)

    with pytest.raises(ProcessBug, match=r"line \d+ of test_timers.py: do\(A\): timeout= (must be|takes sec)"):
        started(code)


# ---------------------------------------------------------------------- all and first


def test_several_sleep_at_the_same_time() -> None:
    async def code(start: Start, saga: Saga) -> None:
        await saga.all(saga.sleep(3), saga.sleep(1), saga.do(A(), then=ADone, timeout=2))

    driver = started(code)
    assert [timer.due_at - driver.now for timer in driver.timers.values()] == [3 * SECOND, SECOND, 2 * SECOND]
    driver.fire()
    assert len(same_after_a_restart(driver).record.timers) == 2
    driver.answer(driver.last(A), ADone())
    driver.fire()
    assert driver.live.status == "completed"


def test_a_branch_that_loses_forgets_its_timer() -> None:
    async def code(start: Start, saga: Saga) -> None:
        async def late() -> None:
            await saga.sleep(60)
            raise Refused("too late")

        async def hurry() -> None:
            await saga.do(A(), then=ADone, undo=UndoA(), timeout=90)

        await saga.first(saga.receive(Paid), late(), hurry())
        await saga.receive(Shipped)

    driver = started(code)
    assert len(driver.timers) == 2
    driver.event(Paid())
    assert not driver.timers
    driver.answer(driver.last(UndoA))
    assert driver.live.status == "running"
    driver = started(code)
    driver.fire()
    assert driver.types == ["A", "UndoA"], "the step that lost is undone before first raises"
    driver.answer(driver.last(UndoA))
    assert (driver.live.status, driver.live.reason) == ("compensated", "too late")


# ---------------------------------------------------------------------- the end


def test_a_cancel_forgets_every_timer() -> None:
    async def code(start: Start, saga: Saga) -> None:
        await saga.all(saga.sleep(3), saga.do(A(), then=ADone, undo=UndoA(), timeout=2), saga.receive(Paid, timeout=1))

    driver = started(code)
    timers = set(driver.timers)
    driver.cancel()
    assert set(driver.forgotten) == timers
    assert driver.record.timers == []
    assert driver.live.status == "undoing"


def test_a_bug_that_stops_at_a_failed_undo_forgets_every_timer() -> None:
    async def code(start: Start, saga: Saga) -> None:
        await saga.all(saga.sleep(3), saga.do(A(), then=ADone, undo=UndoA(), timeout=2))

    driver = started(code)
    driver.fire()
    driver.fail(driver.last(UndoA), "cannot undo")
    assert driver.live.status == "compensation_failed"
    assert not driver.timers


# ---------------------------------------------------------------------- code that has changed


async def sleeps_on(start: Start, saga: Saga) -> None:
    await saga.sleep(60)
    await saga.do(A(), then=ADone)


async def goes_on(start: Start, saga: Saga) -> None:
    await saga.receive(Paid)


def test_code_that_sets_another_length_keeps_to_the_recorded_time() -> None:
    driver = started(naps).revived(sleeps_on)
    assert driver.record.timers[0].due_at == BEGIN + 1 + 30 * SECOND


def test_code_that_no_longer_sets_a_recorded_timer_parks() -> None:
    driver = started(naps).revived(goes_on)
    with pytest.raises(Nondeterminism, match=r"^sleep of 30 s: recorded as waited for, the code does not wait for it"):
        driver.fire()


def test_code_that_sets_a_timer_that_is_not_recorded_parks() -> None:
    driver = started(goes_on).revived(naps)
    with pytest.raises(Nondeterminism, match=r"^sleep of 30 s: the code now waits for it, it is not recorded$"):
        driver.event(Paid())


def test_code_that_never_set_a_timer_that_has_fired_parks() -> None:
    driver = started(naps)
    driver.fire()
    revived = driver.revived(goes_on)
    with pytest.raises(Nondeterminism, match="sleep of 30 s is recorded, the code sets no such timer"):
        revived.event(Paid())


def test_broken_code_with_a_timer_can_be_cancelled() -> None:
    driver = started(naps).revived(goes_on)
    driver.cancel()
    assert driver.live.status == "compensated"
    assert not driver.timers


def test_a_stale_timer_of_broken_code_changes_nothing() -> None:
    driver = started(naps)
    timer = driver.next
    driver.fire()
    broken = driver.revived(goes_on)
    broken.fire(timer)
    assert len(broken.record.timers) == 1
