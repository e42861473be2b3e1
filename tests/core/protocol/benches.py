"""A saga whose first step is brought into any state; others beside it and after it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tests.core.driver import Driver
from tests.core.messages import (
    A,
    ADone,
    ANo,
    B,
    BDone,
    C,
    CDone,
    D,
    DDone,
    Paid,
    Start,
    UndoA,
    UndoB,
    UndoD,
    Undone,
)

from sagakit.core.process import Timer
from sagakit.core.saga.operations import Saga
from sagakit.errors import NotDone


def exact(undo: Any) -> UndoA:
    return UndoA(undo.outcome.id if undo.outcome else "", undo.reason)


async def two_branches(start: Start, saga: Saga) -> None:
    """A, then D; B beside it; all of it loses if Paid comes."""

    async def branch() -> None:
        with suppress(NotDone):
            await saga.do(A(), then=ADone, undo=exact, timeout=30)
        await saga.do(D(), then=DDone, undo=UndoD())

    async def other() -> None:
        await saga.do(B(), then=BDone, undo=UndoB())
        await saga.receive(Paid)

    await saga.first(branch(), other(), saga.receive(Paid))
    await saga.do(C(), then=CDone)


def sent() -> Driver:
    driver = Driver(two_branches)
    driver.start()
    return driver


def succeeded() -> Driver:
    driver = sent()
    driver.answer(driver.last(A), ADone())
    return driver


def refused() -> Driver:
    driver = sent()
    driver.answer(driver.last(A), ANo())
    return driver


def unknown() -> Driver:
    """Given up, and not yet undone: the step that was sent after it is undone first."""
    driver = sent()
    driver.cancel()
    return driver


def undoing(*, known: bool = False) -> Driver:
    if not known:
        driver = sent()
        driver.fail(driver.last(A))
        return driver
    driver = succeeded()
    driver.cancel()
    driver.answer(driver.waiting(UndoD))
    driver.answer(driver.waiting(UndoB))
    return driver


def undone(*, known: bool = False) -> Driver:
    driver = undoing(known=known)
    driver.answer(driver.waiting(UndoA), Undone())
    return driver


def undo_failed(*, known: bool = False) -> Driver:
    driver = undoing(known=known)
    driver.fail(driver.waiting(UndoA), "cannot undo")
    return driver


STEPS: dict[str, Callable[[], Driver]] = {
    "sent": sent,
    "succeeded": succeeded,
    "refused": refused,
    "unknown": unknown,
    "undoing": undoing,
    "undone": undone,
    "undo_failed": undo_failed,
}
KNOWN: dict[str, Callable[[], Driver]] = {
    "succeeded": succeeded,
    "refused": refused,
    "undoing": lambda: undoing(known=True),
    "undone": lambda: undone(known=True),
    "undo_failed": lambda: undo_failed(known=True),
}
"""The same after a known outcome."""


def state_of(driver: Driver) -> str:
    """A step that was refused leaves nothing behind."""
    step = driver.step(A)
    return "refused" if step is None else step.state


def timeout_of(driver: Driver) -> Timer:
    """The timer of the step, as it was set; it may be forgotten since."""
    return driver.set[0]


def outs(driver: Driver) -> int:
    return len(driver.sent)
