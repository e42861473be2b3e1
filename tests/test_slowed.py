"""Bodies that pause give, raise and take what they did before."""

from __future__ import annotations

import asyncio
import random

import pytest
from tests import slowed
from tests.engine.stage import until


class Always(random.Random):
    """Pauses each time, for a hundredth of the longest."""

    def random(self) -> float:
        return 0.1


async def three_steps() -> int:
    for _ in range(3):
        await asyncio.sleep(0.001)
    return 7


async def test_it_pauses_after_each_await_and_returns_what_the_body_does() -> None:
    slow = slowed._Slowed(three_steps(), Always())
    assert await slow == 7
    assert slow._left == slowed.MOST - 3


async def test_what_the_body_raises_is_raised() -> None:
    async def fails() -> None:
        await asyncio.sleep(0.001)
        raise LookupError("there is none")

    with pytest.raises(LookupError, match="there is none"):
        await slowed._Slowed(fails(), Always())


async def test_a_cancellation_in_a_pause_is_the_bodys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slowed, "LONGEST", 6000)
    told: list[str] = []

    async def hears() -> str:
        try:
            await asyncio.sleep(0.001)
        except asyncio.CancelledError:
            told.append("cancelled")
            raise
        return "not cancelled"

    async def run() -> str:
        return await slow

    slow = slowed._Slowed(hears(), Always())
    running = asyncio.create_task(run())
    await until(lambda: slow._left < slowed.MOST)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert told == ["cancelled"]


async def test_where_a_test_moves_the_time_it_does_not_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    now = loop.time()
    slow = slowed._Slowed(asyncio.wait_for(asyncio.to_thread(int), None), Always())
    monkeypatch.setattr(loop, "time", lambda: now)
    assert await slow == 0
    assert slow._left == slowed.MOST
