"""An operator's hands on a process manager: it is told, its undos are settled, it is ended."""

from __future__ import annotations

import pytest
from tests.core.driver import Driver
from tests.core.managers import careful, not_taking_failed, refused_and_ended
from tests.core.messages import A, ADone, B, BDone, CDone, UndoA, Undone

from sagakit.errors import NotPossible


def compensation_failed() -> Driver:
    """A is done and being undone; its undo was given up."""
    driver = careful()
    driver.answer(driver.last(A), ADone())
    driver.cancel()
    driver.fail(driver.last(UndoA), "cannot undo")
    assert driver.live.status == "compensation_failed"
    return driver


def test_a_cancel_is_told() -> None:
    driver = careful()
    driver.answer(driver.last(A), ADone())
    driver.act("cancel")
    assert driver.types[-1] == "UndoA"
    assert (driver.live.status, driver.live.cause) == ("running", "cancelled")


def test_a_result_given_by_hand_is_told_and_its_command_given_up() -> None:
    driver = careful()
    command = driver.last(A)
    driver.act("give_result", ADone("by hand"), command_id=command.id)
    assert driver.withdrawn == [command.id]
    assert driver.types[-1] == "B"
    driver.answer(command, ADone("late"))
    assert driver.types.count("B") == 1, "the first outcome stands"


def test_what_it_does_not_take_is_not_given() -> None:
    with pytest.raises(NotPossible, match=r"it takes no t\.CDone"):
        careful().act("give_result", CDone())


@pytest.mark.parametrize("action", ["skip_step", "compensate"])
def test_it_undoes_by_itself(action: str) -> None:
    with pytest.raises(NotPossible, match="a process manager has no steps and undoes by itself"):
        careful().act(action)


def test_abandoned_it_leaves_everything() -> None:
    driver = careful()
    command = driver.last(A)
    driver.act("abandon")
    assert (driver.live.status, driver.live.cause, driver.live.reason) == ("abandoned", "cancelled", "by an operator")
    assert driver.withdrawn == [command.id]
    driver.event(ADone())
    assert driver.types == ["A"], "nothing reacts"


def test_abandoned_it_withdraws_a_parked_undo() -> None:
    driver = compensation_failed()
    driver.act("abandon")
    assert driver.last(UndoA).id in driver.withdrawn
    assert driver.live.status == "abandoned"


def test_a_failed_undo_is_tried_again_under_its_id() -> None:
    driver = compensation_failed()
    undo = driver.last(UndoA)
    driver.act("resume_compensation")
    assert driver.again == [undo.id]
    assert driver.live.status == "running"
    driver.answer(undo, Undone())
    assert driver.live.status == "compensated"


def test_a_dropped_undo_counts_as_done() -> None:
    driver = compensation_failed()
    driver.act("drop", command_id=driver.last(UndoA).id)
    assert driver.live.status == "running"
    assert driver.live.undos() == []


def test_an_undo_that_was_edited_is_the_one_that_counts() -> None:
    driver = compensation_failed()
    old = driver.last(UndoA)
    driver.act("edit", UndoA("edited"), command_id=old.id, details={"message_id": "another"})
    assert driver.live.status == "running"
    assert driver.revived().live.undos() == ["t.UndoA"]
    driver.event(Undone(), causation="another")
    assert driver.live.undos() == []
    assert driver.live.status == "compensated"


def test_a_late_answer_counts_as_done() -> None:
    driver = compensation_failed()
    driver.answer(driver.last(UndoA), Undone())
    assert driver.live.status == "compensated", "and it is told"


def test_dropping_its_input_changes_no_command_of_it() -> None:
    driver = careful()
    before = driver.live.snapshot()
    driver.act("drop")
    assert driver.live.snapshot() == before


def test_one_that_had_ended_has_its_end_again() -> None:
    driver = careful()
    a = driver.last(A)
    driver.cancel()
    if "UndoA" not in driver.types:
        pytest.skip("it undoes nothing that is in flight")
    driver.answer(driver.last(UndoA), Undone())
    ended = driver.live.status
    driver.answer(a, ADone("late"))
    driver.fail(driver.last(UndoA), "cannot undo")
    assert driver.live.status == "compensation_failed"
    driver.act("resume_compensation")
    assert driver.live.status == ended


def test_what_changes_nothing_is_recorded_only() -> None:
    driver = refused_and_ended()
    driver.act("pause")
    assert driver.live.status == "compensated"
    driver = not_taking_failed()
    driver.act("retry")
    driver.answer(driver.last(A), ADone())
    driver.answer(driver.last(B), BDone())
    assert driver.live.status == "completed"
