"""Batches on an engine: rows beside the state, outcomes that fold into few Commits, and engines that come after."""

from __future__ import annotations

import asyncio

import pytest
from tests.each_store import ON_EACH_STORE, new_store
from tests.engine.house import Counting, Group, GroupMoved, House, counts, moved, moving, sent_back, the_one
from tests.engine.stage import until

from sagakit import Refused
from sagakit.engine.limits import Limits
from sagakit.testing.manual import ManualEngine, engine

pytestmark = ON_EACH_STORE


async def test_every_item_is_sent_once_and_so_many_run_at_once() -> None:
    house, store = House(), Counting()
    house.gate.clear()
    async with engine(moving(), provide={House: house}, store=store) as running:
        waiting = asyncio.create_task(moved(running, 200))
        await until(lambda: house.running == 10)
        house.gate.set()
        assert await waiting == GroupMoved(200, ())
        assert await counts(running) == {"done": 200}
    assert house.most == 10
    assert set(house.moved.values()) == {1}


async def test_what_failed_is_counted_and_listed() -> None:
    house = House()
    house.refuses, house.breaks = frozenset({3, 30}), frozenset({17})
    async with engine(moving(), provide={House: house}) as running:
        assert await moved(running, 40) == GroupMoved(37, (3, 17, 30))


async def test_the_history_and_the_state_do_not_grow_with_the_items() -> None:
    sizes = []
    for count in (20, 400):
        store = Counting()
        async with engine(moving(), provide={House: House()}, store=store) as running:
            await moved(running, count)
            row = await the_one(running)
            assert len(await store.read_history(row.id)) == 2
        sizes.append(max(len(write.row.state) for commit in store.commits for write in commit.instances))
    assert sizes[1] < sizes[0] + 40


async def test_outcomes_that_come_together_are_one_commit() -> None:
    house, store = House(), Counting()
    house.gate.clear()
    async with engine(moving(at_once=100), provide={House: house}, store=store) as running:
        waiting = asyncio.create_task(moved(running, 100))
        await until(lambda: house.running == 100)
        house.gate.set()
        await waiting
    reactions = [commit for commit in store.commits if commit.items and commit.done]
    assert max(len(commit.items) for commit in reactions) > 50


@pytest.mark.parametrize("clean", [True, False])
async def test_the_next_engine_goes_on_where_this_one_ended(clean: bool) -> None:
    house, store = House(), new_store()
    app = moving(at_once=5, undo=True)
    house.breaks = frozenset({2})
    before = asyncio.all_tasks()
    first = ManualEngine(app.topology(provide=[House]), store, provide={House: house})
    await first.start()
    await first.send(Group("g", 50))
    await until(lambda: len(house.moved) >= 20)
    if clean:
        await first.stop()
    else:
        for task in (own := asyncio.all_tasks() - before):
            task.cancel()
        await asyncio.gather(*own, return_exceptions=True)
        await store.close(clean=False)
    async with engine(app, provide={House: house}, store=store.again()) as second:
        await second.settle()
        assert (await the_one(second)).status == "completed"
        assert await counts(second) == {"done": 49, "undone": 1}
    assert house.back == [2]


async def test_an_evicted_batch_goes_on() -> None:
    house = House()
    limits = Limits(cached=0)
    async with engine(moving(at_once=3), provide={House: house}, limits=limits) as running:
        assert await moved(running, 50) == GroupMoved(50, ())
    assert set(house.moved.values()) == {1}


async def test_a_cancel_takes_back_what_was_done_and_what_may_have_been() -> None:
    house = House()
    app = moving(at_once=4, undo=True)
    async with engine(app, provide={House: house}) as running:
        house.gate.clear()
        waiting = asyncio.create_task(moved(running, 1000))
        await until(lambda: house.running == 4)
        assert await running.cancel("t.move_group", "g", reason="enough")
        with pytest.raises(Exception, match="enough"):
            await waiting
        await running.settle()
        assert (await the_one(running)).status == "compensated"
        assert await counts(running) == {"undone": 4}
        assert await sent_back(running) == [3, 2, 1, 0]
    if running.team is None:
        assert house.back == [3, 2, 1, 0]
    else:  # each waits, in the store, for what it undoes: of those that are sent at once any may be the first
        assert sorted(house.back) == [0, 1, 2, 3]


async def test_a_stopped_batch_is_told_as_a_refusal() -> None:
    house = House()
    house.refuses = frozenset(range(10, 1000))
    async with engine(moving(at_once=2, undo=True), provide={House: house}) as running:
        with pytest.raises(Refused, match=r"[34] of 1[34] t.Move failed: no more were sent"):
            await moved(running, 1000, stop_at=3)
        await running.settle()
        assert (await the_one(running)).status == "compensated"
        assert await sent_back(running) == list(reversed(range(10)))
    assert sorted(house.back) == list(range(10))
    assert_newest_first(house, at_once=2)


async def test_items_sent_one_at_a_time_are_undone_one_at_a_time() -> None:
    house = House()
    house.refuses = frozenset({20})
    async with engine(moving(at_once=1, undo=True), provide={House: house}) as running:
        with pytest.raises(Refused):
            await moved(running, 1000, stop_at=1)
        await running.settle()
        assert (await the_one(running)).status == "compensated"
    assert house.back == list(reversed(range(20)))


def assert_newest_first(house: House, *, at_once: int) -> None:
    """No undo was run before all but the last few of the newer ones."""
    ranks = {number: rank for rank, number in enumerate(sorted(house.moved, reverse=True))}
    for place, number in enumerate(house.back):
        assert ranks[number] < place + at_once, f"{number} was undone before newer ones: {house.back}"


async def test_a_thousand_items_are_undone_in_pages() -> None:
    house = House()
    house.refuses = frozenset({2400})
    async with engine(moving(at_once=100, undo=True), provide={House: house}) as running:
        with pytest.raises(Refused):
            await moved(running, 2500, stop_at=1)
        await running.settle()
        assert await sent_back(running) == sorted(house.moved, reverse=True)
    assert sorted(house.back) == sorted(house.moved)
    assert_newest_first(house, at_once=100)
