"""The cells of the instances."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from tests.core import managers
from tests.core.driver import Driver
from tests.core.driver import saga as saga_under
from tests.core.messages import (
    A,
    ADone,
    ANo,
    B,
    BDone,
    C,
    CDone,
    Odd,
    Paid,
    Start,
    UndoA,
    UndoB,
    UndoC,
)
from tests.core.protocol.benches import (
    exact,
    outs,
    undoing,
)
from tests.core.protocol.checks import Check, check

from sagakit.core.saga.operations import Saga
from sagakit.core.saga.timing.deadline import Deadline
from sagakit.errors import Nondeterminism, NotDone, ProcessBug


async def steps(start: Start, saga: Saga) -> None:
    await saga.do(A(), then=ADone, undo=exact)
    await saga.do(B(), then=BDone, undo=UndoB())
    await saga.receive(Paid)


async def gives_up(start: Start, saga: Saga) -> None:
    """A has been given up and undone: something of it may come late."""
    with suppress(NotDone):
        await saga.do(A(), then=ADone, undo=exact)
    await saga.do(B(), then=BDone, undo=UndoB(), timeout=60)
    await saga.receive(Paid)


def running() -> Driver:
    driver = Driver(steps)
    driver.start()
    return driver


def gave_up() -> Driver:
    driver = Driver(saga_under(gives_up, deadline=Deadline(600)))
    driver.start()
    driver.fail(driver.last(A))
    driver.answer(driver.last(UndoA))
    return driver


def being_undone() -> Driver:
    """A is given up and undone, B is being undone."""
    driver = gave_up()
    driver.cancel()
    return driver


def completed() -> Driver:
    driver = gave_up()
    driver.answer(driver.last(B), BDone())
    driver.event(Paid())
    return driver


def compensated() -> Driver:
    driver = being_undone()
    driver.answer(driver.last(UndoB))
    return driver


def compensation_failed() -> Driver:
    driver = being_undone()
    driver.fail(driver.last(UndoB), "cannot undo")
    return driver


def abandoned() -> Driver:
    driver = gave_up()
    driver.act("abandon")
    return driver


INSTANCES: dict[str, Callable[[], Driver]] = {
    "running": gave_up,
    "undoing": being_undone,
    "completed": completed,
    "compensated": compensated,
    "compensation_failed": compensation_failed,
    "abandoned": abandoned,
}


def happens(state: str, event: Callable[[Driver], object], *, sends: int | None = 0) -> Check:
    def run() -> str:
        driver = INSTANCES[state]()
        assert driver.live.status == state
        cause, before = driver.live.cause, outs(driver)
        event(driver)
        assert sends is None or outs(driver) == before + sends
        assert not cause or driver.live.cause == cause, "the first cause counts"
        revived = driver.revived()
        assert revived.live.snapshot() == driver.live.snapshot()
        assert (revived.live.status, revived.live.reason) == (driver.live.status, driver.live.reason)
        return driver.live.status

    return run


for _state in INSTANCES:
    check("instances", _state, "start_event")(happens(_state, lambda driver: driver.start()))
    check("instances", _state, "other_event")(happens(_state, lambda driver: driver.event(Paid())))
    check("instances", _state, "late_success")(
        happens(
            _state,
            lambda driver: driver.answer(driver.last(A), ADone()),
            sends=0 if _state == "compensation_failed" else 1,
        )
    )
    check("instances", _state, "late_other")(happens(_state, lambda driver: driver.answer(driver.last(A), ANo())))
    if _state != "running":
        check("instances", _state, "cancel")(happens(_state, lambda driver: driver.cancel()))


def twice(state: str) -> Check:
    def run() -> str:
        driver = INSTANCES[state]()
        driver.answer(driver.last(A), ANo())
        before = outs(driver)
        driver.answer(driver.last(A), ADone())
        assert outs(driver) == before
        return driver.live.status

    return run


for _state in INSTANCES:
    check("instances", _state, "doubled_outcome")(twice(_state))


@check("instances", "(none)", "start_event")
def _() -> str:
    return running().live.status


@check("instances", "running", "outcome")
def _() -> str:
    driver = running()
    driver.answer(driver.last(A), ADone())
    assert driver.types == ["A", "B"]
    return driver.live.status


@check("instances", "running", "finished")
def _() -> str:
    driver = running()
    driver.answer(driver.last(A), ADone())
    driver.answer(driver.last(B), BDone())
    driver.event(Paid())
    assert driver.live.cause == ""
    return driver.live.status


@check("instances", "running", "ended_compensated")
def _() -> str:
    driver = managers.refused_and_ended()
    assert driver.live.cause == "refused"
    return driver.live.status


@check("instances", "running", "not_done")
def _() -> str:
    driver = running()
    driver.answer(driver.last(A), ADone())
    driver.answer(driver.last(B), Odd())
    assert driver.live.status == "running", "the step is undone first"
    driver.answer(driver.last(UndoB))
    assert driver.last(UndoA).message == UndoA("a", "undeclared outcome t.Odd")
    assert driver.live.cause == "failed"
    return driver.live.status


@check("instances", "running", "bug")
def _() -> str:
    async def code(start: Start, saga: Saga) -> None:
        await saga.do(A(), then=ADone, undo=UndoA())
        raise ValueError("a bug")

    driver = Driver(code)
    driver.start()
    with pytest.raises(ProcessBug, match="ValueError: a bug"):
        driver.answer(driver.last(A), ADone())
    return "parked"


@check("instances", "running", "nondeterminism")
def _() -> str:
    async def other(start: Start, saga: Saga) -> None:
        await saga.do(C(), then=CDone)

    driver = running().revived(other)
    with pytest.raises(Nondeterminism, match=r"t\.A is recorded, the code now sends t\.C"):
        driver.answer(driver.last(A), ADone())
    return "parked"


@check("instances", "running", "failed_not_taken")
def _() -> str:
    driver = managers.not_taking_failed()
    with pytest.raises(ProcessBug, match="takes no Failed"):
        driver.fail(driver.last(A))
    return "parked"


@check("instances", "running", "undo_answered")
def _() -> str:
    driver = undoing()
    driver.answer(driver.last(UndoA))
    assert driver.types == ["A", "B", "UndoA", "D"]
    return driver.live.status


@check("instances", "running", "last_undo_answered")
def _() -> str:
    driver = gave_up()
    assert driver.types == ["A", "UndoA", "B"]
    return driver.live.status


@check("instances", "running", "undo_given_up")
def _() -> str:
    driver = undoing()
    driver.fail(driver.last(UndoA), "cannot undo")
    assert driver.withdrawn == [driver.last(B).id], "what is in flight is given up"
    assert "t.UndoB" in driver.live.undos()
    assert (driver.live.cause, driver.live.reason) == ("failed", "cannot undo")
    return driver.live.status


@check("instances", "running", "cancel")
def _() -> str:
    driver = running()
    driver.cancel("by hand")
    assert driver.withdrawn == [driver.last(A).id]
    assert driver.last(UndoA).message == UndoA("", "by hand")
    assert driver.live.cause == "cancelled"
    return driver.live.status


def closing_fails(*, nondeterministic: bool) -> Check:
    """An undo function, or the code while it is closed, raises: the recorded undos go on."""

    def run() -> str:
        async def code(start: Start, saga: Saga) -> None:
            await saga.do(A(), then=ADone, undo=UndoA())
            try:
                await saga.do(B(), then=BDone, undo=UndoB())
            finally:
                raise ValueError("a bug while closing")

        async def other(start: Start, saga: Saga) -> None:
            await saga.do(C(), then=CDone)

        driver = Driver(code)
        driver.start()
        driver.answer(driver.last(A), ADone())
        driver.cancel()
        if nondeterministic:
            driver = driver.revived(other)
        else:
            assert "a bug while closing" in driver.record.bug
        driver.answer(driver.last(UndoB))
        assert driver.types[-1] == "UndoA"
        return driver.live.status

    return run


check("instances", "undoing", "bug")(closing_fails(nondeterministic=False))
check("instances", "undoing", "nondeterminism")(closing_fails(nondeterministic=True))


@check("instances", "undoing", "undo_answered")
def _() -> str:
    driver = running()
    driver.answer(driver.last(A), ADone())
    driver.cancel()
    driver.answer(driver.last(UndoB))
    assert driver.types[-1] == "UndoA"
    return driver.live.status


check("instances", "undoing", "last_undo_answered")(
    happens("undoing", lambda driver: driver.answer(driver.last(UndoB)))
)
check("instances", "undoing", "undo_given_up")(happens("undoing", lambda driver: driver.fail(driver.last(UndoB))))


def after_the_end(state: str, *, fails: bool) -> Check:
    def run() -> str:
        driver = INSTANCES[state]()
        cause = driver.live.cause
        driver.answer(driver.last(A), ADone("late"))
        assert driver.live.status == state
        undo = driver.last(UndoA)
        driver.fail(undo, "cannot undo") if fails else driver.answer(undo)
        assert driver.live.cause == (cause or ("failed" if fails else ""))
        return driver.live.status

    return run


for _state in ("completed", "compensated", "abandoned"):
    for _event in ("undo_answered", "last_undo_answered"):
        check("instances", _state, _event)(after_the_end(_state, fails=False))
    check("instances", _state, "undo_given_up")(after_the_end(_state, fails=True))


def two_undos_out() -> Driver:
    """Two branches whose steps are unknown: their undos are out at the same time."""

    async def code(start: Start, saga: Saga) -> None:
        await saga.do(C(), then=CDone, undo=UndoC())
        await saga.all(
            saga.do(A(), then=ADone, undo=exact),
            saga.do(B(), then=BDone, undo=UndoB()),
        )

    driver = Driver(code)
    driver.start()
    driver.answer(driver.last(C), CDone())
    driver.fail(driver.last(A))
    driver.fail(driver.last(B))
    driver.fail(driver.last(UndoA), "cannot undo")
    return driver


@check("instances", "compensation_failed", "undo_answered")
def _() -> str:
    driver = two_undos_out()
    driver.answer(driver.last(UndoB))
    step = driver.step(B)
    assert step is not None
    assert step.state == "undone"
    assert driver.live.undos() == ["t.UndoC", "t.UndoA"], "and nothing more goes out"
    assert driver.types[-1] == "UndoB"
    return driver.live.status


@check("instances", "compensation_failed", "undo_given_up")
def _() -> str:
    driver = two_undos_out()
    driver.fail(driver.last(UndoB))
    return driver.live.status


# ---------------------------------------------------------------------- times


DEADLINE, TIMEOUT = 0, 1
"""Which timer of `gives_up` was set first, and which after it."""


@check("instances", "running", "timer")
def _() -> str:
    driver = gave_up()
    driver.fire(driver.set[TIMEOUT])
    assert driver.types[-1] == "UndoB"
    return driver.live.status


@check("instances", "running", "deadline")
def _() -> str:
    driver = gave_up()
    driver.fire(driver.set[DEADLINE])
    assert driver.withdrawn[-1] == driver.last(B).id
    assert (driver.live.cause, driver.live.reason) == ("timed_out", "deadline of 600 s passed")
    return driver.live.status


for _state in INSTANCES:
    if _state != "running":
        for _event, _timer in (("timer", TIMEOUT), ("deadline", DEADLINE)):
            check("instances", _state, _event)(
                happens(_state, lambda driver, timer=_timer: driver.fire(driver.set[timer]))  # type: ignore[misc]
            )


# ---------------------------------------------------------------------- operators


def operated(make: Callable[[], Driver], action: str, *, sends: int) -> Check:
    def run() -> str:
        driver = make()
        before = outs(driver)
        driver.act(action)
        assert outs(driver) == before + sends
        revived = driver.revived()
        assert revived.live.snapshot() == driver.live.snapshot()
        assert (revived.live.status, revived.live.reason) == (driver.live.status, driver.live.reason)
        return driver.live.status

    return run


def parked() -> Driver:
    """Its code has failed on an outcome; what it was told is parked."""

    async def code(start: Start, saga: Saga) -> None:
        await saga.do(A(), then=ADone, undo=exact)
        if broken:
            raise ValueError("a bug")

    broken = [True]
    driver = Driver(code)
    driver.start()
    with pytest.raises(ProcessBug):
        driver.answer(driver.last(A), ADone())
    driver.row.status = "parked"
    return driver.revived()


for _state, _make in (("running", gave_up), ("undoing", being_undone), ("compensation_failed", compensation_failed)):
    check("instances", _state, "operator_abandon")(operated(_make, "abandon", sends=0))
check("instances", "parked", "operator_abandon")(operated(parked, "abandon", sends=0))
check("instances", "parked", "operator_retry")(operated(parked, "retry", sends=0))
check("instances", "parked", "cancel")(operated(parked, "cancel", sends=1))
check("instances", "parked", "operator_compensate")(operated(parked, "compensate", sends=1))
check("instances", "running", "operator_compensate")(operated(gave_up, "compensate", sends=1))


@check("instances", "compensation_failed", "operator_retry")
def _() -> str:
    driver = compensation_failed()
    undo = driver.last(UndoB)
    driver.act("resume_compensation")
    assert driver.again == [undo.id], "under the same id: whether it was done is not known"
    status = driver.live.status
    driver.answer(undo)
    assert driver.live.status == "compensated"
    return status
