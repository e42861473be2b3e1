"""Those who watch a story at a worker look it up: several at the same time, and any of them may leave meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.acceptance.orders.messages import PlaceOrder
from tests.acceptance.orders.processes import order_app
from tests.acceptance.orders.world import World
from tests.engine.stage import until
from tests.engine.workers.crew import Crew, crew
from tests.engine.workers.test_waiting import order_at

from sagakit.testing.manual import ManualEngine


class Reads:
    """The reads of stories by one engine: each has its answer, and keeps it until it is let go."""

    def __init__(self, one: ManualEngine) -> None:
        self._read: Callable[..., Awaitable[Any]] = one.store.read_story
        self._gates: list[asyncio.Event] = []
        self.held = True
        one.store.read_story = self.read  # type: ignore[method-assign]

    async def read(self, correlation_id: str, **given: Any) -> Any:
        """What the store says."""
        found = await self._read(correlation_id, **given)
        if self.held:
            self._gates.append(asyncio.Event())
            await self._gates[-1].wait()
        return found

    async def let_go(self, number: int) -> None:
        """The first is number 0; waits for it."""
        await self.come(number)
        self._gates[number].set()

    async def come(self, number: int) -> None:
        """Wait until this one waits."""
        await until(lambda: len(self._gates) > number)


async def told(one: ManualEngine, story: str) -> list[tuple[str, str]]:
    """All that one who watches is told."""
    updates = one.watch(correlation_id=story)
    return [(update.status, update.state.rpartition(".")[2]) async for update in updates]


async def ordered(made: Crew) -> str:
    """An order at another worker, as far as it goes: its story."""
    receipt = await made.engines["a"].send(PlaceOrder(order_at(made, "b")))
    await made.rest()
    return receipt.correlation_id


async def test_who_leaves_while_it_is_looked_up() -> None:
    async with crew(order_app("code"), "a", "b", provide={World: World()}) as made:
        story = await ordered(made)
        await made.settle()
        reads = Reads(made.engines["a"])
        watching = asyncio.create_task(told(made.engines["a"], story))
        await reads.come(0)
        watching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await watching
        reads.held = False
        assert await told(made.engines["a"], story) == [("ended", "")]


async def test_who_comes_while_another_one_looks_it_up() -> None:
    async with crew(order_app("code"), "a", "b", provide={World: World()}) as made:
        story = await ordered(made)
        await made.settle()
        reads = Reads(made.engines["a"])
        first = asyncio.create_task(told(made.engines["a"], story))
        await reads.let_go(0)
        await reads.come(1)  # whether it has moved meanwhile
        second = asyncio.create_task(told(made.engines["a"], story))
        await reads.come(2)
        await reads.let_go(1)
        assert await asyncio.wait_for(first, 60) == [("ended", "")]
        reads.held = False
        await reads.let_go(2)
        assert await asyncio.wait_for(second, 60) == [("ended", "")]


async def test_who_has_seen_less_than_another_one_is_told_what_is_between() -> None:
    world, ships = World(), asyncio.Event()
    world.waits["ship"] = ships.wait
    async with crew(order_app("code"), "a", "b", provide={World: world}) as made:
        story = await ordered(made)
        reads = Reads(made.engines["a"])
        slow = asyncio.create_task(told(made.engines["a"], story))
        await reads.let_go(0)
        await reads.come(1)  # it has not moved yet
        reads.held = False
        ships.set()
        await until(lambda: world.runs("confirm"))
        await made.settle()
        assert await asyncio.wait_for(told(made.engines["a"], story), 60) == [("ended", "")]
        await reads.let_go(1)
        await made.rest()
        await made.settle()
        assert await asyncio.wait_for(slow, 60) == [
            ("running", ""),
            ("running", "OrderShipped"),
            ("running", "ConfirmOrder"),
            ("ended", "OrderConfirmed"),
        ]
