"""Reading what others have written, beside a takeover that is broken off."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from sagakit.core.commit import Delivery
from sagakit.engine.workers.across.arrivals import Arrivals
from sagakit.engine.workers.owning.ownership import Ownership


class Desk:
    """A store whose answer waits for the test, and takeovers that have read nothing."""

    def __init__(self) -> None:
        self.asked, self.open = asyncio.Event(), asyncio.Event()
        self.finished: list[Any] = []

    async def read_arrivals(self, owned: object) -> list[Delivery]:
        self.asked.set()
        await self.open.wait()
        return []

    async def read(self, ask: Callable[..., Awaitable[Any]], *given: Any) -> Any:
        return await ask(*given)

    def arrived(self, finished: list[Any]) -> None:
        pass


async def test_whoever_waits_for_a_read_to_pass_may_be_cancelled() -> None:
    desk, died = Desk(), list[BaseException]()
    given: Any = desk
    arrivals = Arrivals(given, given.read, Ownership(lambda delivery: delivery.consumer), given, lambda delivery: None)
    arrivals.on_error = died.append
    arrivals.look()
    await desk.asked.wait()
    cancelled, waits = arrivals.passed(), arrivals.passed()
    cancelled.cancel()
    desk.open.set()
    await asyncio.wait_for(waits, 10)
    await asyncio.wait_for(arrivals.through(), 10)
    await arrivals.stop()
    assert not died


class Hand:
    """The loop's time, moved by the test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        self.now = loop.time()
        monkeypatch.setattr(loop, "time", lambda: self.now)


async def test_a_read_is_followed_by_a_rest_twice_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    desk, hand = Desk(), Hand(monkeypatch)
    given: Any = desk
    arrivals = Arrivals(given, given.read, Ownership(lambda delivery: delivery.consumer), given, lambda delivery: None)
    first = asyncio.ensure_future(arrivals.through())
    await desk.asked.wait()
    hand.now += 0.003  # so long it takes
    desk.open.set()
    await first
    desk.asked.clear()
    arrivals.look()
    for passes in (0.0, 0.005):
        hand.now += passes
        for _ in range(50):
            await asyncio.sleep(0)
        assert not desk.asked.is_set()
    hand.now += 0.0011
    await desk.asked.wait()
    await arrivals.stop()
