"""Reading for a delivery goes on until the store answers."""

from __future__ import annotations

import asyncio

import pytest
from tests.engine.stage import until

from sagakit.engine.committer import FIRST_PAUSE
from sagakit.engine.handlers.reading import Reader
from sagakit.errors import StoreFailed, StoreUnusable
from sagakit.testing.manual import ManualClock


class Shelf:
    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.asked: list[tuple[str, int]] = []

    async def read(self, name: str, *, limit: int) -> str:
        self.asked.append((name, limit))
        if self.failures:
            raise self.failures.pop(0)
        return f"{name} read"


async def test_gives_what_the_store_gives() -> None:
    shelf = Shelf()
    assert await Reader(ManualClock())(shelf.read, "a", limit=3) == "a read"
    assert shelf.asked == [("a", 3)]


async def test_asks_again_after_growing_pauses() -> None:
    shelf, clock = Shelf(StoreFailed("busy"), StoreFailed("busy")), ManualClock()
    reading = asyncio.create_task(Reader(clock)(shelf.read, "a", limit=3))
    for pause in (FIRST_PAUSE, 2 * FIRST_PAUSE):
        await until(lambda: clock._sleepers)
        clock.set(clock.now() + pause - 1)
        await asyncio.sleep(0)
        assert clock._sleepers
        clock.set(clock.now() + 1)
        await asyncio.sleep(0)
    assert await reading == "a read"
    assert len(shelf.asked) == 3


async def test_what_no_pause_can_help_is_raised() -> None:
    with pytest.raises(StoreUnusable, match="corrupt"):
        await Reader(ManualClock())(Shelf(StoreUnusable("corrupt")).read, "a", limit=3)
