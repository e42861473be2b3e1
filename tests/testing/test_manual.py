"""The engine for tests: time stands still until it is moved, and what is due on the way happens on the way."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from tests.each_store import ON_EACH_STORE, new_store, only_on
from tests.engine.stage import Ask, Stage, asking_app, until

from sagakit import Retry
from sagakit.errors import StoreFailed
from sagakit.testing.faults import At, Fault, FaultyStore
from sagakit.testing.manual import START, ManualClock, engine

pytestmark = ON_EACH_STORE


async def test_time_stands_still_until_it_is_moved() -> None:
    async with engine(asking_app(), provide={Stage: Stage()}) as running:
        assert running.now == START
        await running.advance(days=1, hours=2, seconds=3)
        assert running.now == START + timedelta(days=1, hours=2, seconds=3)


def test_time_never_goes_back() -> None:
    clock = ManualClock()
    begin = clock.now()
    clock.set(begin + 5)
    clock.set(begin + 3)
    assert clock.now() == begin + 5


async def test_a_sleeper_wakes_when_its_time_has_come() -> None:
    clock = ManualClock()
    sleeping = asyncio.create_task(clock.sleep_until(clock.now() + 10))
    await asyncio.sleep(0)
    clock.set(clock.now() + 9)
    await asyncio.sleep(0)
    assert not sleeping.done()
    clock.set(clock.now() + 1)
    await sleeping
    await clock.sleep_until(clock.now())


async def test_what_is_due_on_the_way_happens_at_its_own_time() -> None:
    stage = Stage()
    stage.will(Ask(), *[ConnectionError("down")] * 3)
    app = asking_app(retry=Retry(9, first=10.0, factor=1.0, jitter=0.0))
    times: list[float] = []
    async with engine(app, provide={Stage: stage}) as running:
        play = stage.play

        async def play_and_note(command: Ask) -> object:
            times.append((running.now - START).total_seconds())
            return await play(command)

        stage.play = play_and_note  # type: ignore[method-assign]
        await running.send(Ask())
        await running.advance(seconds=100)
    assert times == [0, 10, 20, 30]


async def test_settle_leaves_what_is_not_due() -> None:
    stage = Stage()
    stage.will(Ask(), ConnectionError("down"))
    async with engine(asking_app(), provide={Stage: stage}) as running:
        await running.send(Ask())
        await running.settle()
        assert len(stage.began) == 1
        assert running.next_due is not None


@only_on("memory", because="the next one that opens it takes it away")
async def test_settle_raises_what_ended_the_engine() -> None:
    store = new_store()
    async with engine(asking_app(), store=store, provide={Stage: Stage()}) as running:
        await store.again().open()
        with pytest.raises(Exception, match="another engine"):
            await running.send(Ask())
        with pytest.raises(Exception, match="another engine"):
            await running.settle()


async def test_an_engine_that_stays_busy_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    store = FaultyStore(new_store(), *(At(number, Fault.FAILED, "commit") for number in range(1, 99)))
    async with engine(asking_app(), store=store, provide={Stage: Stage()}) as running:
        with pytest.raises(StoreFailed):
            await running.send(Ask())
        await until(lambda: running.hand._sleepers)
        monkeypatch.setattr("sagakit.testing.manual.PATIENCE", 0.05)
        with pytest.raises(AssertionError, match="still busy"):
            await running.advance(seconds=0)
