"""An instance in memory, and how it leaves it."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Generator

import pytest
from tests.core.driver import Driver
from tests.core.messages import A, ADone, ANo, B, BDone, Paid, Start, UndoA, Undone, UndoSaga

from sagakit.core.saga.operations import Saga


async def code(start: Start, saga: Saga) -> None:
    saga.on_undo(lambda undo: UndoSaga(f"{saga.key} {undo.reason}"))
    await saga.do(A(), then=ADone, undo=lambda undo: UndoA(saga.key, undo.reason))
    await saga.first(saga.do(B(), then=BDone), saga.receive(Paid))


@pytest.fixture(autouse=True)
def no_collector() -> Generator[None]:
    gc.disable()
    yield
    gc.enable()


def completed() -> Driver:
    driver = waiting()
    driver.answer(driver.last(B), BDone())
    assert driver.live.status == "completed"
    return driver


def compensated() -> Driver:
    driver = waiting()
    driver.cancel("changed their mind")
    driver.answer(driver.last(UndoA), Undone())
    driver.answer(driver.last(UndoSaga), Undone())
    assert driver.live.status == "compensated"
    return driver


def refused() -> Driver:
    driver = Driver(code)
    driver.start()
    driver.answer(driver.last(A), ANo("no"))
    driver.answer(driver.last(UndoSaga), Undone())
    assert driver.live.status == "compensated"
    return driver


def waiting() -> Driver:
    driver = Driver(code)
    driver.start()
    driver.answer(driver.last(A), ADone("1"))
    return driver


@pytest.mark.parametrize("reach", [completed, compensated, refused, waiting])
def test_what_leaves_the_memory_is_free_at_once(reach: Callable[[], Driver]) -> None:
    """Without the collector of cycles, whose work would grow with each saga that ends."""
    driver = reach()
    gone = weakref.ref(driver.live)
    driver.live.evict()
    del driver
    assert gone() is None
