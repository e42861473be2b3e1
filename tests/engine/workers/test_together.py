"""Questions to the store that come while another one is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import pytest

from sagakit.engine.workers.across.together import Together
from sagakit.errors import StoreUnusable


class Desk:
    """A store whose answers wait for the test: what is long is so."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.answers: asyncio.Queue[Exception | None] = asyncio.Queue()
        self.together = Together(self.ask)

    async def ask(self, ids: Collection[str]) -> Collection[str]:
        self.asked.append(list(ids))
        error = await self.answers.get()
        if error is not None:
            raise error
        return {id for id in ids if len(id) > 1}

    def about(self, *ids: str) -> list[asyncio.Task[bool]]:
        return [asyncio.create_task(self.together(id)) for id in ids]

    async def until_asked(self, times: int) -> None:
        while len(self.asked) < times:
            await asyncio.sleep(0)


async def test_those_that_come_meanwhile_are_asked_in_one_question_after_it() -> None:
    desk = Desk()
    first = desk.about("a")
    await desk.until_asked(1)
    later = desk.about("b", "long", "a", "long")
    await asyncio.sleep(0)
    assert desk.asked == [["a"]]
    desk.answers.put_nowait(None)
    await desk.until_asked(2)
    assert not await asyncio.wait_for(first[0], 10)
    assert not any(one.done() for one in later)
    desk.answers.put_nowait(None)
    assert await asyncio.wait_for(asyncio.gather(*first, *later), 10) == [False, False, True, False, True]
    assert desk.asked == [["a"], ["b", "long", "a"]]
    desk.answers.put_nowait(None)
    assert await asyncio.wait_for(desk.together("anew"), 10)


async def test_a_question_that_fails_fails_for_those_who_have_asked_it() -> None:
    desk = Desk()
    first = desk.about("a", "b")
    await desk.until_asked(1)
    later = desk.about("long")
    desk.answers.put_nowait(StoreUnusable("gone"))
    desk.answers.put_nowait(None)
    for one in first:
        with pytest.raises(StoreUnusable):
            await asyncio.wait_for(one, 10)
    assert await asyncio.wait_for(later[0], 10)


async def test_one_who_gives_up_takes_nothing_from_the_others() -> None:
    desk = Desk()
    one, other = desk.about("long", "long")
    await desk.until_asked(1)
    one.cancel()
    desk.answers.put_nowait(None)
    assert await asyncio.wait_for(other, 10)
    assert one.cancelled()


async def test_nobody_waits_for_ever_once_it_is_stopped() -> None:
    desk = Desk()
    first = desk.about("a")
    await desk.until_asked(1)
    later = desk.about("b")
    await asyncio.sleep(0)
    await desk.together.stop()
    await asyncio.wait([*first, *later], timeout=10)
    assert [one.cancelled() for one in (*first, *later)] == [True, True]
