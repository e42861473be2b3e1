"""A saga that runs on and on goes on anew, with what its new start message carries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.core.driver import Driver, logged, saga
from tests.core.messages import (
    A,
    ADone,
    B,
    BDone,
    Ended,
    Notify,
    Paid,
    Shipped,
    Start,
    UndoA,
    UndoB,
)

from sagakit.core.lifecycle import Restarted
from sagakit.core.process import Output
from sagakit.core.saga import restarting
from sagakit.core.saga.operations import Saga
from sagakit.core.saga.timing.deadline import Deadline
from sagakit.errors import Nondeterminism, NotDone, ProcessBug


async def monthly(start: Start, saga: Saga) -> None:
    """Collects for every payment, for three of them; the amount is how many there were."""
    await saga.receive(Paid)
    await saga.do(A(start.amount), then=ADone, undo=lambda undo: UndoA(str(start.amount), undo.reason))
    if start.amount == 3:
        saga.publish(Ended(saga.new_id("end")))
        return
    saga.restart_with(replace(start, amount=start.amount + 1))


def told_of(driver: Driver) -> Output:
    return driver.last(Restarted)


def go_on(driver: Driver) -> None:
    """Tell it what it tells itself."""
    output = told_of(driver)
    driver.react(driver.envelope(output.message, id=output.id))


def month(driver: Driver) -> None:
    driver.event(Paid())
    driver.answer(driver.last(A), ADone())


def started(code: Callable[..., Any] = monthly, **options: Any) -> Driver:
    driver = Driver(saga(code, **options))
    driver.start()
    return driver


@pytest.mark.parametrize("restart", [lambda driver: driver, lambda driver: driver.revived()])
def test_a_saga_goes_on_anew_until_it_ends(restart: Callable[[Driver], Driver]) -> None:
    driver = started()
    for number in (1, 2):
        driver = restart(driver)
        month(driver)
        assert driver.record.restarts == number
        driver = restart(driver)
        assert driver.live.status == "running"
        go_on(driver)
        assert driver.record.receiving == ["t.Paid"]
    driver = restart(driver)
    month(driver)
    assert driver.last(A).message == A(3)
    assert driver.live.status == "completed"


def test_its_history_begins_there() -> None:
    driver = started()
    month(driver)
    go_on(driver)
    before = len(driver.history)
    driver.event(Paid())
    revived = driver.revived()
    assert revived.live.snapshot() == driver.live.snapshot()
    driver.history[: before - 1] = []  # what came before is not looked at
    again = driver.revived()
    assert again.live.snapshot() == driver.live.snapshot()
    assert again.definition.since(again.row) == before - 1
    again.answer(again.last(A), ADone())
    assert again.record.restarts == 2


def test_undos_are_carried_over_and_run_in_their_order() -> None:
    driver = started()
    month(driver)
    go_on(driver)
    month(driver)
    go_on(driver)
    driver = driver.revived()
    driver.cancel("too long")
    assert driver.last(UndoA).message == UndoA("2"), "as they were when the run ended"
    driver.answer(driver.last(UndoA))
    assert driver.last(UndoA).message == UndoA("1")
    driver.answer(driver.last(UndoA))
    assert driver.live.status == "compensated"


def test_ids_go_on_and_are_not_used_again() -> None:
    async def code(start: Start, saga: Saga) -> None:
        saga.publish(Ended(saga.new_id("x")))
        await saga.receive(Paid)
        saga.restart_with(start)

    driver = started(code)
    for _ in range(3):
        driver.event(Paid())
        go_on(driver)
    ids = [output.message.how for output in driver.sent if isinstance(output.message, Ended)]
    assert len(set(ids)) == 4


def test_events_that_nobody_has_received_are_carried_over() -> None:
    async def code(start: Start, saga: Saga) -> None:
        await saga.receive(Shipped)
        if start.amount == 2:
            await saga.receive(Paid)
            await saga.receive(Paid)
            return
        saga.restart_with(Start(start.key, 2))

    driver = started(code)
    driver.event(Paid())
    driver.event(Shipped("1"))
    driver.event(Shipped("2"))
    driver = driver.revived()
    driver.event(Paid())
    go_on(driver)
    assert driver.live.status == "completed"


def test_a_deadline_counts_from_the_first_start() -> None:
    driver = started(deadline=Deadline(60, then=lambda start: Notify(str(start.amount))))
    due = driver.next.due_at
    month(driver)
    go_on(driver)
    driver = driver.revived()
    assert [timer.due_at for timer in driver.record.timers] == [due]
    driver.fire()
    assert driver.last(Notify).message == Notify("2")
    assert driver.revived().live.snapshot() == driver.live.snapshot()


def test_a_deadline_that_is_gone_is_still_known_for_one_after_a_restart() -> None:
    driver = started(deadline=Deadline(60))
    month(driver)
    go_on(driver)
    driver = driver.revived(saga(monthly))
    driver.fire()
    driver.revived(saga(monthly)).event(Paid())


@pytest.mark.parametrize("stop", [lambda driver: driver.cancel(), lambda driver: driver.fire()])
def test_a_saga_that_is_stopped_between_two_runs_does_not_begin_the_next(stop: Callable[[Driver], object]) -> None:
    driver = started(deadline=Deadline(60))
    month(driver)
    stop(driver)
    driver = driver.revived()
    go_on(driver)
    assert driver.types[-1] == "UndoA"
    driver.answer(driver.last(UndoA))
    assert driver.live.status == "compensated"


def late(driver: Driver) -> None:
    driver.answer(driver.last(B), BDone("late"))


async def gives_up(start: Start, saga: Saga) -> None:
    if start.amount == 1:
        try:
            await saga.do(B(), then=BDone, undo=UndoB())
        except NotDone:
            saga.restart_with(Start(start.key, 2))
    await saga.receive(Paid)


@pytest.mark.parametrize("between", [False, True])
def test_a_late_success_of_an_earlier_run_is_undone(between: bool) -> None:
    driver = started(gives_up)
    driver.fail(driver.last(B))
    driver.answer(driver.last(UndoB))
    if between:
        late(driver)
        driver = driver.revived()
        go_on(driver)
    else:
        go_on(driver)
        driver = driver.revived()
        late(driver)
    assert driver.types.count("UndoB") == 2
    assert driver.revived().live.snapshot() == driver.live.snapshot()


def test_code_that_contradicts_its_run_parks() -> None:
    async def other(start: Start, saga: Saga) -> None:
        await saga.do(B(), then=BDone)

    driver = started()
    month(driver)
    go_on(driver)
    broken = driver.revived(other)
    with pytest.raises(Nondeterminism):
        broken.event(Paid())
    again = driver.revived(other)
    again.cancel()
    assert again.types[-1] == "UndoA"


# ---------------------------------------------------------------------- what cannot be


async def in_a_branch(start: Start, saga: Saga) -> None:
    async def branch() -> None:
        saga.restart_with(start)

    await saga.all(branch(), saga.receive(Paid))


async def with_another(start: Start, saga: Saga) -> None:
    saga.restart_with(Paid())


async def with_nothing(start: Start, saga: Saga) -> None:
    saga.restart_with(None)  # type: ignore[arg-type]


async def with_an_odd_one(start: Start, saga: Saga) -> None:
    saga.restart_with(Start("k", "many"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (in_a_branch, r"line \d+ of test_restarting.py: restart_with\(\) inside all\(\) or first\(\)"),
        (with_another, r"restart_with\(Paid\(...\)\): that is no message that starts this saga"),
        (with_nothing, r"restart_with\(NoneType\(...\)\): that is no message"),
        (with_an_odd_one, r"restart_with\(Start\(...\)\): t.Start: amount: Expected `int`"),
    ],
)
def test_a_restart_that_cannot_be_is_a_bug(code: Callable[..., Any], words: str) -> None:
    with pytest.raises(ProcessBug, match=words):
        started(code)


def test_a_finally_runs_before_the_restart() -> None:
    async def code(start: Start, saga: Saga) -> None:
        try:
            saga.restart_with(Start(start.key, 2))
        except Exception:
            saga.publish(Ended("a restart is no error"))
        finally:
            saga.publish(Ended("run"))

    assert started(code).types == ["Ended", "Restarted"]


# ---------------------------------------------------------------------- how long a run may be


async def collects(start: Start, saga: Saga) -> None:
    while True:
        await saga.receive(Paid)


async def collects_in_runs(start: Start, saga: Saga) -> None:
    for _ in range(25):
        await saga.receive(Paid)
    saga.restart_with(start)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sagakit.core.saga.live.ADVISED", 10)
    monkeypatch.setattr(restarting, "ADVISED", 10)
    monkeypatch.setattr(restarting, "REQUIRED", 20)


def test_a_long_history_is_told_of_once(short: None) -> None:
    logged.clear()
    driver = started(collects)
    for _ in range(10):
        driver.event(Paid())
    assert logged == [("a saga has a long history: let it go on with restart_with", "test", {"reactions": 10})]


def test_a_history_that_is_too_long_is_not_made_longer(short: None) -> None:
    driver = started(collects)
    for _ in range(19):
        driver.event(Paid())
    with pytest.raises(ProcessBug, match=r"^20 reactions are recorded, .*: let the code go on with saga.restart_with"):
        driver.revived().event(Paid())
    driver.revived().cancel()
    with_room = driver.revived(collects_in_runs)
    with pytest.raises(ProcessBug, match="20 reactions are recorded"):
        with_room.event(Paid())


def test_code_that_goes_on_anew_has_room_again(short: None) -> None:
    async def in_runs(start: Start, saga: Saga) -> None:
        for _ in range(20):
            await saga.receive(Paid)
        saga.restart_with(start)

    driver = started(collects)
    for _ in range(19):
        driver.event(Paid())
    mended = driver.revived(in_runs)
    mended.event(Paid())
    go_on(mended)
    for _ in range(15):
        mended.event(Paid())
    assert mended.live.status == "running"
