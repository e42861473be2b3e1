"""Coming back: the record wins over the code, code that contradicts it is named, and undoing needs no code."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from tests.core.driver import Driver
from tests.core.driver import saga as definition
from tests.core.messages import (
    A,
    ADone,
    ANo,
    B,
    BDone,
    C,
    CDone,
    Ended,
    Notify,
    Paid,
    Shipped,
    Start,
    UndoA,
    UndoB,
    UndoC,
)

from sagakit.core.saga.operations import Saga
from sagakit.errors import Nondeterminism, NotDone, ProcessBug


async def original(start: Start, saga: Saga) -> None:
    saga.publish(Ended("started"))
    await saga.do(A(1), then=ADone, undo=lambda undo: UndoA(undo.outcome.id if undo.outcome else "", undo.reason))
    await saga.do(B(1), then=BDone, undo=UndoB("recorded"))
    await saga.do(C(1), then=CDone)


def at_b() -> Driver:
    driver = Driver(original)
    driver.start()
    driver.answer(driver.last(A), ADone("exact"))
    return driver


def at_c() -> Driver:
    driver = at_b()
    driver.answer(driver.last(B), BDone())
    return driver


def contradiction(code: Any, driver: Driver) -> str:
    revived = driver.revived(code)
    with pytest.raises(Nondeterminism) as found:
        revived.answer(driver.pending()[-1], CDone())
    return str(found.value)


def test_the_code_goes_on_where_it_stood() -> None:
    driver = at_b().revived()
    driver.answer(driver.last(B), BDone())
    assert driver.types == ["Ended", "A", "B", "C"]


def test_the_recorded_payload_wins() -> None:
    async def code(start: Start, saga: Saga) -> None:
        saga.publish(Ended("otherwise"))
        await saga.do(A(2), then=ADone, undo=UndoA("built anew"))
        await saga.do(B(2), then=BDone, undo=UndoB("built anew"))
        await saga.do(C(2), then=CDone)

    driver = at_b().revived(code)
    driver.answer(driver.last(B), ADone())
    assert driver.last(UndoB).message == UndoB("recorded")
    driver.answer(driver.last(UndoB))
    assert driver.last(UndoA).message == UndoA("exact")


def test_undo_functions_come_back_with_what_they_know() -> None:
    driver = at_c().revived()
    driver.cancel("by hand")
    driver.answer(driver.last(UndoB))
    assert driver.last(UndoA).message == UndoA("exact", "by hand")


# ---------------------------------------------------------------------- code that contradicts the record


def test_another_message_is_named() -> None:
    async def code(start: Start, saga: Saga) -> None:
        saga.publish(Ended())
        await saga.do(A(), then=ADone)
        await saga.do(C(), then=CDone)

    assert contradiction(code, at_b()) == "message 3 (reaction 2, to t.ADone): t.B is recorded, the code now sends t.C"


def test_a_message_too_many_is_named() -> None:
    async def code(start: Start, saga: Saga) -> None:
        saga.publish(Ended())
        await saga.do(A(), then=ADone)
        saga.send(Notify())
        await saga.do(B(), then=BDone)

    assert contradiction(code, at_b()) == (
        "message 3 (reaction 2, to t.ADone): t.B is recorded, the code now sends t.Notify"
    )


def test_a_message_too_few_is_named() -> None:
    async def code(start: Start, saga: Saga) -> None:
        saga.publish(Ended())
        await saga.do(A(), then=ADone)
        await saga.receive(Paid)

    assert contradiction(code, at_b()) == (
        "message 3 (reaction 2, to t.ADone): t.B is recorded, the code now sends nothing more"
    )


def test_more_at_the_end_of_a_reaction_is_named() -> None:
    async def code(start: Start, saga: Saga) -> None:
        saga.publish(Ended())
        await saga.all(saga.do(A(), then=ADone), saga.do(B(), then=BDone))

    assert contradiction(code, at_b()) == (
        "message 3 (reaction 1, to t.Start): nothing more is recorded, the code now sends t.B"
    )


def test_code_that_ends_before_its_record_is_named() -> None:
    async def code(start: Start, saga: Saga) -> None:
        saga.publish(Ended())
        with suppress(NotDone):
            await saga.do(A(), then=ADone)

    assert contradiction(code, at_b()) == (
        "message 3 (reaction 2, to t.ADone): t.B is recorded, the code now sends nothing more"
    )


def test_code_that_ends_where_nothing_more_was_sent_is_named() -> None:
    async def waits(start: Start, saga: Saga) -> None:
        await saga.do(A(), then=ADone)
        await saga.receive(Paid)

    async def ends(start: Start, saga: Saga) -> None:
        await saga.do(A(), then=ADone)

    driver = Driver(waits)
    driver.start()
    driver.answer(driver.last(A), ADone())
    with pytest.raises(Nondeterminism, match="message 2: the saga is recorded as still running, the code has ended"):
        driver.revived(ends).event(Paid())


def test_code_that_fails_where_it_did_not_is_named() -> None:
    async def code(start: Start, saga: Saga) -> None:
        raise ValueError("newly broken")

    found = contradiction(code, at_b())
    assert found.startswith("message 1 (reaction 1, to t.Start): t.Ended is recorded, the code fails: line ")
    assert found.endswith("ValueError: newly broken")


def test_code_that_does_not_wait_any_more_is_named() -> None:
    async def code(start: Start, saga: Saga) -> None:
        saga.publish(Ended())
        await saga.do(A(), then=ADone)
        saga.send(B())
        await saga.receive(Paid)

    assert (
        contradiction(code, at_b()) == "step 2: t.B is recorded as waited for, the code does not wait for it any more"
    )


def test_another_place_of_an_undo_of_the_saga_is_named() -> None:
    """It would give the undo function of one step to another."""

    async def code(start: Start, saga: Saga) -> None:
        saga.on_undo(UndoC())
        await original(start, saga)

    assert contradiction(code, at_b()) == "step 1: t.A is recorded, as step 2 it is found"


def test_one_undo_of_the_saga_more_is_named() -> None:
    async def code(start: Start, saga: Saga) -> None:
        saga.publish(Ended("started"))
        await saga.do(A(1), then=ADone)
        do = saga.do(B(1), then=BDone, undo=UndoB())
        branch = saga.first(do, saga.receive(Shipped))
        saga.on_undo(UndoC())
        await branch

    assert "is recorded, as step 3 it is found" in contradiction(code, at_b())


def test_the_record_is_unharmed_by_code_that_contradicts_it() -> None:
    async def code(start: Start, saga: Saga) -> None:
        await saga.do(C(), then=CDone)

    driver = at_b()
    before = driver.live.snapshot()
    with pytest.raises(Nondeterminism):
        driver.revived(code).answer(driver.last(B), BDone())
    mended = driver.revived(status="parked")
    assert mended.live.status == "running"
    assert mended.live.snapshot() == before
    mended.answer(driver.last(B), BDone())
    assert mended.types[-1] == "C"


# ---------------------------------------------------------------------- undoing without the code


async def cannot_run(start: Start, saga: Saga) -> None:
    raise ValueError("cannot run any more")


def test_undoing_goes_on_when_the_code_can_no_longer_run() -> None:
    driver = at_c()
    driver.cancel("by hand")
    driver = driver.revived(cannot_run)
    driver.answer(driver.last(UndoB))
    assert driver.last(UndoA).message == UndoA("exact", "by hand"), "built when undoing began"
    driver = driver.revived(cannot_run)
    driver.answer(driver.last(UndoA))
    assert driver.live.status == "compensated"


def test_a_cancel_needs_no_code_either() -> None:
    driver = at_c().revived(cannot_run)
    driver.cancel("by hand")
    assert driver.withdrawn == [driver.last(C).id]
    assert driver.last(UndoB).message == UndoB("recorded")
    driver.answer(driver.last(UndoB))
    assert driver.last(UndoA).message == UndoA("exact")
    driver.answer(driver.last(UndoA))
    assert (driver.live.status, driver.live.cause, driver.live.reason) == ("compensated", "cancelled", "by hand")


def test_a_late_success_of_what_a_cancel_gave_up_without_the_code() -> None:
    driver = at_b().revived(cannot_run)
    driver.cancel()
    driver.answer(driver.last(B), BDone("late"))
    assert driver.types.count("UndoB") == 2
    driver.answer(driver.last(B), BDone("doubled"))
    assert driver.types.count("UndoB") == 2


def gave_up() -> Driver:
    async def code(start: Start, saga: Saga) -> None:
        await saga.do(A(), then=ADone, undo=lambda undo: UndoA(undo.outcome.id if undo.outcome else "?", undo.reason))

    driver = Driver(code)
    driver.start()
    driver.fail(driver.last(A), "lost")
    return driver


@pytest.mark.parametrize("ended", [False, True])
def test_a_late_success_makes_the_undo_exact_after_an_eviction(ended: bool) -> None:
    driver = gave_up()
    if ended:
        driver.answer(driver.last(UndoA))
        assert driver.live.status == "compensated"
    driver = driver.revived()
    driver.answer(driver.last(A), ADone("late"))
    assert driver.last(UndoA).message == UndoA("late", "lost")


def test_without_its_code_a_late_success_sends_the_recorded_undo_once_more() -> None:
    driver = gave_up()
    driver.answer(driver.last(UndoA))
    driver = driver.revived(cannot_run)
    driver.answer(driver.last(A), ADone("late"))
    assert driver.types == ["A", "UndoA", "UndoA"]
    assert driver.last(UndoA).message == UndoA("?", "lost")


def test_a_start_that_failed_starts_when_it_is_handled_again() -> None:
    async def code(start: Start, saga: Saga) -> None:
        if broken:
            raise ValueError
        await saga.do(A(), then=ADone)

    broken = True
    driver = Driver(code)
    with pytest.raises(ProcessBug):
        driver.start()
    broken = False
    driver = driver.revived(status="parked")
    driver.start()
    assert driver.types == ["A"]


def test_a_definition_replays_and_names_its_messages() -> None:
    found = definition(original)
    assert found.replays
    assert (found.name, found.version, found.starts_with, found.receives) == ("test", 1, (Start,), (Paid, Shipped))


def test_a_step_that_was_refused_is_not_undone_after_a_replay() -> None:
    async def code(start: Start, saga: Saga) -> None:
        with suppress(NotDone):
            await saga.do(A(), then=ADone, undo=UndoA())
        await saga.do(B(), then=BDone, undo=UndoB())

    driver = Driver(code)
    driver.start()
    driver.answer(driver.last(A), ANo())
    driver = driver.revived()
    driver.cancel()
    driver.answer(driver.last(UndoB))
    assert driver.types == ["A", "B", "UndoB"]
    assert driver.live.status == "compensated"


def test_a_step_whose_command_class_is_gone_can_still_come_late() -> None:
    driver = gave_up()
    driver.answer(driver.last(UndoA))
    driver.row.state = driver.row.state.replace(b'"type":"t.A"', b'"type":"t.Removed"')
    driver = driver.revived()
    driver.answer(driver.last(A), ANo())
    assert driver.types == ["A", "UndoA"]
    driver.answer(driver.last(A), ADone("late"))
    assert driver.types == ["A", "UndoA", "UndoA"], "only a success is known without the command"


def test_code_that_cannot_be_called_is_a_bug() -> None:
    async def code(start: Start) -> None: ...

    with pytest.raises(ProcessBug, match="takes 1 positional argument but 2 were given"):
        Driver(code).start()


def test_a_cancel_does_not_use_the_undo_functions_of_code_that_contradicts_the_record() -> None:
    async def other(start: Start, saga: Saga) -> None:
        saga.publish(Ended("started"))
        await saga.do(A(1), then=ADone, undo=lambda undo: UndoA("by other code", undo.reason))
        await saga.do(C(1), then=CDone)

    driver = at_c().revived(other)
    driver.cancel("by hand")
    driver.answer(driver.last(UndoB))
    assert driver.last(UndoA).message == UndoA("exact")


def test_code_that_contradicts_the_record_is_closed() -> None:
    closed: list[str] = []

    async def other(start: Start, saga: Saga) -> None:
        saga.publish(Ended("started"))
        try:
            await saga.do(B(), then=BDone)
        finally:
            closed.append("closed")

    driver = at_b()
    driver.revived(other)
    assert closed == ["closed"]
