"""Process managers and the children of their commands; and what a process manager that is a child itself answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from tests.core.driver import Driver
from tests.core.managers import CAREFUL, Careful, manager
from tests.core.messages import A, ADone, Ended, Odd, Start, UndoA, Undone

from sagakit.core.lifecycle import CancelChild
from sagakit.core.process_manager.answers import End, Undoing
from sagakit.core.process_manager.live import ManagerDefinition
from sagakit.errors import ProcessBug

LANE = "t.child/1"


def with_child(definition: ManagerDefinition) -> ManagerDefinition:
    """For it A starts a child."""
    around = msgspec.structs.replace(definition.around, children={A: lambda command: LANE})
    return ManagerDefinition(
        definition.name,
        definition.cls,
        around,
        starts_with=definition.starts_with,
        evolves=definition.evolves,
        reacts=definition.reacts,
        version=1,
    )


def cancelled(*, again: bool = False) -> Driver:
    """It undoes A, whose child runs."""
    driver = Driver(with_child(CAREFUL))
    driver.start()
    driver.cancel("no more")
    return driver.revived() if again else driver


@pytest.mark.parametrize("again", [False, True], ids=["", "loaded again"])
@pytest.mark.parametrize("end", ["undone", "succeeded", "abandoned"])
def test_an_undo_waits_until_the_child_has_ended(again: bool, end: str) -> None:
    driver = cancelled(again=again)
    cancel = driver.waiting(CancelChild)
    assert driver.withdrawn == [driver.last(A).id]
    assert cancel.message == CancelChild(driver.last(A).id, LANE, "no more")
    assert cancel.undoes == driver.last(A).id
    assert driver.types == ["A", "CancelChild"]
    if end == "succeeded":
        driver.answer(driver.last(A), ADone())
    else:
        driver.fail(driver.last(A), "ended", known_not_done=end == "undone")
    undo = driver.waiting(UndoA)
    assert (undo.message, undo.undoes) == (UndoA(reason="no more"), driver.last(A).id)
    driver.answer(cancel)
    assert driver.types == ["A", "CancelChild", "UndoA"]
    driver.answer(undo, Undone())
    assert driver.live.status == "compensated"


def test_the_undo_goes_out_when_no_child_has_begun() -> None:
    driver = cancelled()
    driver.answer(driver.waiting(CancelChild))
    driver.answer(driver.waiting(UndoA), Undone())
    assert driver.live.status == "compensated"


def test_a_child_that_has_ended_is_not_cancelled() -> None:
    driver = Driver(with_child(CAREFUL))
    driver.start()
    driver.answer(driver.last(A), ADone())
    driver.cancel("no more")
    assert driver.types == ["A", "B", "UndoA"]


def test_a_child_that_was_undone_is_told_as_failed() -> None:
    driver = Driver(with_child(CAREFUL))
    driver.start()
    driver.fail(driver.last(A), "the child was undone", known_not_done=True)
    assert isinstance(driver.live.state, Careful)  # type: ignore[attr-defined]
    assert driver.live.state.told == ("Failed",)  # type: ignore[attr-defined]


def test_what_undoes_a_child_has_to_be_a_command() -> None:
    @dataclass(frozen=True)
    class Wrong:
        def react(self, event: Start | Ended) -> Any:
            return A() if isinstance(event, Start) else Undoing(Odd(), of=A())

    driver = Driver(with_child(manager(Wrong, (), (Start, Ended))))
    driver.start()
    with pytest.raises(ProcessBug, match="nobody handles the command"):
        driver.event(Ended())


def test_a_child_is_told_as_cancelled() -> None:
    driver = Driver(CAREFUL)
    driver.start()
    driver.event(CancelChild("a", "t.Careful/1", "the parent is cancelled"))
    assert driver.waiting(UndoA).message == UndoA(reason="the parent is cancelled")


def answering(*answers: Any) -> Driver:
    @dataclass(frozen=True)
    class Answering:
        def react(self, event: Start) -> Any:
            return list(answers)

    return Driver(manager(Answering, (), (Start,)))


def test_the_events_that_it_ends_with_are_its_answer_and_come_last() -> None:
    reacted = answering(Ended("1"), A(), Ended("2"), End()).start()
    assert [output.message for output in reacted.outputs] == [A(), Ended("1"), Ended("2")]
    assert reacted.answers == reacted.outputs[1:]


@pytest.mark.parametrize("answers", [(Ended("1"), A()), (Ended("1"), A(), End("compensated"))])
def test_other_events_are_no_answer(answers: Any) -> None:
    reacted = answering(*answers).start()
    assert [output.message for output in reacted.outputs] == [Ended("1"), A()]
    assert reacted.answers == []
