"""Timers: never early, in their order, and gone when they are cancelled."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from tests.each_store import ON_EACH_STORE, new_store
from tests.engine.stage import PATIENCE, Ask, Stage, Told, asking_app, until

from sagakit import Engine, Retry
from sagakit.engine.time.timers import Timers
from sagakit.testing.manual import ManualClock

pytestmark = ON_EACH_STORE

SECOND = 1_000_000


class Watch:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.begin = self.clock.now()
        self.timers = Timers(self.clock)
        self.fired: list[str] = []

    def at(self, seconds: float, name: str) -> None:
        self.timers.at(self.begin + int(seconds * SECOND), lambda: self.fired.append(name))

    async def passes(self, seconds: float) -> None:
        """So many seconds since the beginning have passed, and what is due was called."""
        self.clock.set(self.begin + int(seconds * SECOND))
        for _ in range(20):
            await asyncio.sleep(0)


@pytest.fixture
async def watch() -> AsyncIterator[Watch]:
    watch = Watch()
    watch.timers.start()
    yield watch
    await watch.timers.stop()


async def test_fires_when_due_and_never_early(watch: Watch) -> None:
    watch.at(1, "one")
    await watch.passes(0.999_999)
    assert watch.fired == []
    await watch.passes(1)
    assert watch.fired == ["one"]


async def test_fires_in_the_order_in_which_they_are_due(watch: Watch) -> None:
    for seconds in (3, 1, 2):
        watch.at(seconds, f"{seconds}")
    watch.at(1, "1 again")
    await watch.passes(5)
    assert watch.fired == ["1", "1 again", "2", "3"]


async def test_an_earlier_one_is_not_held_by_a_later_one(watch: Watch) -> None:
    watch.at(100, "late")
    await watch.passes(0)
    watch.at(1, "early")
    await watch.passes(1)
    assert watch.fired == ["early"]


async def test_what_is_due_already_fires_at_once(watch: Watch) -> None:
    watch.at(-1, "past")
    await until(lambda: watch.fired == ["past"])


async def test_a_cancelled_one_does_not_fire(watch: Watch) -> None:
    timer = watch.timers.at(watch.begin + SECOND, lambda: watch.fired.append("cancelled"))
    watch.at(2, "other")
    timer.cancel()
    timer.cancel()
    assert watch.timers.next_due() == watch.begin + 2 * SECOND
    await watch.passes(3)
    assert watch.fired == ["other"]
    assert watch.timers.next_due() is None


async def test_cancelled_ones_do_not_fill_the_memory(watch: Watch) -> None:
    for number in range(10_000):
        watch.timers.at(watch.begin + (100 + number) * SECOND, lambda: None).cancel()
    assert len(watch.timers._heap) < 3_000
    watch.at(1, "kept")
    await watch.passes(1)
    assert watch.fired == ["kept"]


async def test_one_that_sets_another(watch: Watch) -> None:
    watch.timers.at(watch.begin + SECOND, lambda: watch.at(1.5, "second"))
    await watch.passes(1)
    await watch.passes(2)
    assert watch.fired == ["second"]


async def test_one_that_fails_keeps_no_other_from_firing(watch: Watch) -> None:
    watch.timers.at(watch.begin + SECOND, lambda: 1 // 0)  # type: ignore[arg-type,return-value]
    watch.at(1, "next")
    watch.at(2, "later")
    await watch.passes(1)
    await watch.passes(2)
    assert watch.fired == ["next", "later"]


async def test_with_the_systems_clock_a_retry_is_not_early_and_comes() -> None:
    stage, times = Stage(), list[float]()
    stage.will(Ask(), ConnectionError("down"))
    app = asking_app(retry=Retry(2, first=0.05, jitter=0.0))
    play = stage.play

    async def play_and_note(command: Ask) -> object:
        times.append(time.monotonic())
        return await play(command)

    stage.play = play_and_note  # type: ignore[method-assign]
    running = Engine(app.topology(provide=[Stage]), new_store(), provide={Stage: stage})
    await running.start()
    assert await running.send_and_wait(Ask(), until=Told, timeout=PATIENCE) == Told()
    await running.stop()
    first, second = times
    assert second - first >= 0.05
