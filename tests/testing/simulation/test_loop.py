"""The loop of a simulation: an order and a time of its own, and lives that end without a word."""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from random import Random

import pytest

from sagakit.testing.simulation.loop import LIFE, SeededLoop, Stuck


def order_of(seed: int, reach: int) -> list[int]:
    loop, order = SeededLoop(Random(seed), reach=reach), list[int]()

    async def note(number: int) -> None:
        await asyncio.sleep(0)
        order.append(number)

    async def all_of_them() -> None:
        await asyncio.gather(*(note(number) for number in range(8)))

    loop.run_until_complete(all_of_them())
    return order


def test_the_order_is_drawn_from_the_seed() -> None:
    assert order_of(1, 1) == list(range(8))
    assert order_of(1, 50) == order_of(1, 50)
    assert len({tuple(order_of(seed, 50)) for seed in range(5)}) == 5


def test_time_passes_only_when_nothing_else_can_be_done() -> None:
    loop, seen = SeededLoop(Random(0)), list[float]()

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(seconds)
        seen.append(loop.time())

    async def both() -> None:
        await asyncio.gather(sleep(86_400.0), sleep(0.5))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await asyncio.sleep(5.0)

    loop.run_until_complete(both())
    assert seen == [0.5, 86_400.0]
    assert loop.time() == 86_401.0


def test_a_life_that_has_ended_says_no_word_more() -> None:
    loop, said = SeededLoop(Random(0)), list[str]()

    async def live() -> None:
        try:
            await asyncio.sleep(1.0)
            said.append("lived")
        finally:
            said.append("died")

    async def kill() -> None:
        context = copy_context()
        context.run(LIFE.set, 7)
        asyncio.get_running_loop().create_task(live(), context=context)
        await asyncio.sleep(0.5)
        loop.end(7)
        await asyncio.sleep(5.0)
        assert said == []

    loop.run_until_complete(kill())
    loop.bury()
    assert said == ["died"]


def test_a_frozen_life_goes_on_with_all_that_came_meanwhile() -> None:
    loop, said = SeededLoop(Random(0)), list[float]()

    async def talk() -> None:
        for _ in range(3):
            said.append(loop.time())
            await asyncio.sleep(1.0)

    async def look() -> None:
        context = copy_context()
        context.run(LIFE.set, 7)
        talking = loop.create_task(talk(), context=context)
        await asyncio.sleep(0.5)
        loop.freeze(7)
        await asyncio.sleep(5.0)
        assert said == [0.0]
        loop.thaw(7)
        await talking

    loop.run_until_complete(look())
    assert said == [0.0, 5.5, 6.5]


def test_what_can_never_end_says_so() -> None:
    async def wait_for_ever() -> None:
        await asyncio.get_running_loop().create_future()

    async def spin() -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(Stuck, match="everybody waits"):
        SeededLoop(Random(0)).run_until_complete(wait_for_ever())
    with pytest.raises(Stuck, match="something spins"):
        SeededLoop(Random(0), most_steps=1000).run_until_complete(spin())


def test_an_error_in_a_callback_is_kept() -> None:
    loop = SeededLoop(Random(0))

    async def fail() -> None:
        asyncio.get_running_loop().call_soon(int, "x")
        await asyncio.sleep(0.1)

    loop.run_until_complete(fail())
    assert [error.partition(":")[0] for error in loop.errors] == ["ValueError"]
