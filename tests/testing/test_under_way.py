"""What is asked of a store counts until it is answered."""

from __future__ import annotations

import asyncio

import pytest
from tests.each_store import ON_EACH_STORE, new_store

from sagakit.errors import StoreFailed
from sagakit.testing.under_way import UnderWay

pytestmark = ON_EACH_STORE


async def test_a_question_counts_until_it_is_answered() -> None:
    store = new_store()
    await store.open()
    asked = UnderWay(store)
    asking = asyncio.ensure_future(asked.read_pauses())
    assert asked.count == 0  # it has not begun
    while not asking.done():
        await asyncio.sleep(0)
        assert asked.count == (0 if asking.done() else 1)
    assert await asking == []
    await store.close()


async def test_one_that_fails_is_answered_too() -> None:
    class Broken:
        cluster = None

        async def read_pauses(self) -> None:
            raise StoreFailed("away")

    asked = UnderWay(Broken())
    with pytest.raises(StoreFailed):
        await asked.read_pauses()
    assert asked.count == 0


async def test_so_does_what_several_engines_ask_of_it() -> None:
    gate = asyncio.Event()

    class Cluster:
        by_hand = True

        async def workers(self) -> list[str]:
            await gate.wait()
            return ["a"]

    class Shared:
        cluster = Cluster()

    asked = UnderWay(Shared())
    assert asked.cluster is not None
    assert asked.cluster.by_hand
    asking = asyncio.ensure_future(asked.cluster.workers())
    await asyncio.sleep(0)
    assert asked.count == 1
    gate.set()
    assert await asking == ["a"]
    assert asked.count == 0
