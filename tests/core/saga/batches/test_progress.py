"""How far a batch has come, as people see it."""

from __future__ import annotations

from typing import Any

from tests.core.driver import Driver
from tests.core.messages import A, ADone, ANo, B, BDone, Start, UndoA

from sagakit.core.display import display, steps, undos_of
from sagakit.core.saga.batches.progress import Progress
from sagakit.core.saga.operations import Saga


def started(count: int = 5, **options: Any) -> Driver:
    async def code(start: Start, saga: Saga) -> None:
        await saga.each(range(count), A, then=ADone, at_once=2, **options)
        await saga.do(B(), then=BDone)

    driver = Driver(code)
    driver.start()
    return driver


def words(driver: Driver) -> list[str]:
    return [one.words() for one in display(driver.row).progress]


def test_a_batch_under_way() -> None:
    driver = started()
    driver.answer(driver.pending()[0], ADone())
    driver.answer(driver.pending()[0], ANo("no"))
    shown = display(driver.row)
    assert shown.progress == [Progress(1, "t.A", "running", 5, 1, 1, 2, 1)]
    assert shown.state == "t.A"
    assert shown.waiting_for == ["t.A"]
    assert words(driver) == ["1 done, 1 failed, 2 in flight of 5"]


def test_a_batch_is_one_step_however_many_items_it_has() -> None:
    driver = started()
    while driver.types[-1] != "B":
        driver.tell_own()
        for command in driver.pending()[:1]:
            driver.answer(command, *([ADone()] if isinstance(command.message, A) else []))
    first, second = steps(driver.row, driver.history)
    assert first.command is not None
    assert first.command.type == "t.A"
    assert first.batch is not None
    assert first.batch.words() == "5 done, 0 failed of 5"
    assert second.command is not None
    assert (second.command.type, second.batch) == ("t.B", None)


def test_a_batch_that_is_undone() -> None:
    driver = started(undo=lambda n: UndoA(str(n)))
    driver.answer(driver.pending()[0], ADone())
    assert undos_of(driver.row) == ["t.UndoA"][:0]
    driver.cancel()
    assert undos_of(driver.row) == ["t.UndoA"]
    driver.tell_own()
    assert words(driver) == ["1 done, 0 failed, 2 being undone of 5 (undoing)"]
    assert display(driver.row).state == "undoing t.A"
    while driver.pending() or driver.own:
        driver.tell_own()
        for command in driver.pending():
            driver.answer(command)
    assert driver.row.status == "compensated"
    assert words(driver) == ["1 done, 0 failed of 5 (undone)"]


def test_items_of_which_nobody_knows_how_many_there_are() -> None:
    class Endless:
        def __iter__(self) -> Any:
            return iter(range(3))

    async def code(start: Start, saga: Saga) -> None:
        await saga.each(Endless(), A, then=ADone, at_once=2)

    driver = Driver(code)
    driver.start()
    assert words(driver) == ["0 done, 0 failed, 2 in flight"]
    for _ in range(3):
        driver.answer(driver.pending()[0], ADone())
    assert words(driver) == ["3 done, 0 failed of 3"]


def test_of_many_batches_the_last_ones_are_kept() -> None:
    async def code(start: Start, saga: Saga) -> None:
        for _ in range(25):
            await saga.each(range(3), A, then=ADone, at_once=2)

    driver = Driver(code)
    driver.start()
    while driver.pending() or driver.own:
        driver = driver.revived()
        driver.tell_own()
        for command in driver.pending()[:1]:
            driver.answer(command, ADone())
    assert driver.row.status == "completed"
    assert [one.step for one in display(driver.row).progress] == list(range(16, 26))
    shown = steps(driver.row, driver.history)
    assert [one.command.type for one in shown if one.command] == ["t.A"] * 25
    assert [one.batch is not None for one in shown] == [False] * 15 + [True] * 10
