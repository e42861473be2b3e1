"""An operator's hands on batches: what failed is run again, and undos that were given up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.each_store import ON_EACH_STORE, new_store
from tests.engine.house import Group, GroupMoved, House, Move, Moved, counts, moved, moving, the_one
from tests.engine.stage import until

from sagakit import App, Retry, Saga
from sagakit.engine.limits import Limits
from sagakit.errors import NotPossible
from sagakit.testing.manual import ManualEngine, engine

pytestmark = ON_EACH_STORE

WHO: dict[str, Any] = {"by": "ada", "reason": "they have paid"}


async def events(running: ManualEngine, cls: type) -> list[Any]:
    codec = running.topology.codecs.by_class[cls]
    log = await running.store.read_messages(limit=100_000)
    return [codec.decode(one.payload) for one in log if one.type == codec.name]


async def test_what_failed_is_run_again_and_the_code_goes_on_from_there() -> None:
    house = House()
    house.refuses, house.breaks = frozenset({3, 30}), frozenset({17})
    async with engine(moving(), provide={House: house}) as running:
        assert await moved(running, 40) == GroupMoved(37, (3, 17, 30))
        id = (await the_one(running)).id
        house.refuses = house.breaks = frozenset()
        acted = await running.operator.act(id, "rerun_failed", **WHO)
        assert acted.status == "running"
        await running.settle()
        assert (await the_one(running)).status == "completed"
        assert await counts(running) == {"done": 40}
        assert await events(running, GroupMoved) == [GroupMoved(37, (3, 17, 30)), GroupMoved(40, ())]
    assert set(house.moved.values()) == {1}


async def test_what_fails_once_more_can_be_run_once_more() -> None:
    house = House()
    house.refuses = frozenset(range(0, 3000, 2))
    async with engine(moving(at_once=100), provide={House: house}) as running:
        await moved(running, 3000)
        id = (await the_one(running)).id
        for left in (range(0, 3000, 4), range(0, 3000, 8), range(0)):
            house.refuses = frozenset(left)
            await running.operator.act(id, "rerun_failed", **WHO)
            await running.settle()
            assert (await events(running, GroupMoved))[-1] == GroupMoved(3000 - len(left), tuple(left))
    assert set(house.moved.values()) == {1}


async def test_a_rerun_goes_on_with_the_next_engine() -> None:
    house, store = House(), new_store()
    app = moving(at_once=2)
    house.refuses = frozenset(range(20))
    limits = Limits(stop_within=0.05)
    async with engine(app, provide={House: house}, store=store, limits=limits) as running:
        await moved(running, 40)
        house.refuses = frozenset({7})
        house.gate.clear()
        await running.operator.act((await the_one(running)).id, "rerun_failed", **WHO)
        await until(lambda: house.running == 2)
    house.gate.set()
    async with engine(app, provide={House: house}, store=store.again()) as running:
        await running.settle()
        assert (await the_one(running)).status == "completed"
        assert (await events(running, GroupMoved))[-1] == GroupMoved(39, (7,))


@asynccontextmanager
async def stands(app: App, house: House, count: int) -> AsyncIterator[tuple[ManualEngine, str]]:
    async with engine(app, provide={House: house}) as running:
        await running.send(Group("g", count))
        await until(lambda: house.moved)
        await running.settle()
        yield running, (await the_one(running)).id


async def refused(running: ManualEngine, id: str, says: str, **named: Any) -> None:
    with pytest.raises(NotPossible, match=says):
        await running.operator.act(id, "rerun_failed", **WHO, **named)


async def test_what_cannot_be_run_again_says_why() -> None:
    house = House()
    async with stands(moving(), house, 5) as (running, id):
        await refused(running, id, r"the batch of step 1 \(t.Move\) has no failed items")
    house.refuses = frozenset({2})
    async with stands(moving(), house, 5) as (running, id):
        await refused(running, id, r"its last batch is step 1 \(t.Move\), not 2", step="2")
        house.gate.clear()
        await running.operator.act(id, "rerun_failed", **WHO, step="Move")
        await refused(running, id, "still runs")
        house.gate.set()


async def test_code_that_has_gone_on_does_not_go_back() -> None:
    house = House()
    house.refuses = frozenset({2})
    async with stands(then_more(), house, 5) as (running, id):
        await refused(running, id, r"the code has gone on since the batch ended \(t.Move\), and cannot go back")


def then_more() -> App:
    app = App("t")

    @app.handles(retry=Retry(1))
    async def move(command: Move, house: House) -> Moved:
        house.moved[command.number] += 1
        if command.number in house.refuses:
            raise RuntimeError("no room")
        return Moved(command.number)

    @app.saga(key="key")
    async def move_group(group: Group, saga: Saga) -> GroupMoved:
        result = await saga.each(range(group.count), lambda number: Move(group.key, number), then=Moved)
        await saga.do(Move(group.key, 100), then=Moved)
        return GroupMoved(result.done, ())

    return app


# ---------------------------------------------------------------------- undos that were given up


@asynccontextmanager
async def with_failed_undos(house: House) -> AsyncIterator[tuple[ManualEngine, str]]:
    """Five are done, and two of them cannot move back."""
    house.stuck = frozenset({1, 3})
    async with engine(moving(at_once=1, undo=True), provide={House: house}) as running:
        house.refuses = frozenset({5})
        await running.send(Group("g", 9, stop_at=1))
        await running.settle()
        row = await the_one(running)
        assert row.status == "compensation_failed"
        assert await counts(running) == {"undone": 3, "undo_failed": 2, "failed": 1}
        yield running, row.id


async def parked(running: ManualEngine) -> list[int]:
    return [one.id for one in await running.store.read_deliveries() if one.state == "parked"]


async def test_a_compensation_that_failed_is_resumed() -> None:
    house = House()
    async with with_failed_undos(house) as (running, id):
        assert len(await parked(running)) == 2
        house.stuck = frozenset({1})
        await running.operator.act(id, "resume_compensation", **WHO)
        await running.settle()
        assert (await the_one(running)).status == "compensation_failed"
        assert len(await parked(running)) == 1
        house.stuck = frozenset()
        await running.operator.act(id, "resume_compensation", **WHO)
        await running.settle()
        assert (await the_one(running)).status == "compensated"
        assert not await parked(running)
    assert sorted(house.back) == [0, 1, 2, 3, 4]


async def test_parked_undos_are_tried_again_or_dropped() -> None:
    house = House()
    async with with_failed_undos(house) as (running, _):
        first, second = await parked(running)
        house.stuck = frozenset()
        await running.operator.act_on_delivery(first, "retry", **WHO)
        await running.settle()
        assert (await the_one(running)).status == "compensation_failed"
        await running.operator.act_on_delivery(second, "drop", **WHO)
        await running.settle()
        assert (await the_one(running)).status == "compensated"
        assert await counts(running) == {"undone": 5, "failed": 1}


async def test_an_abandoned_batch_goes_no_further() -> None:
    house = House()
    house.gate.clear()
    async with engine(moving(at_once=3, undo=True), provide={House: house}) as running:
        await running.send(Group("g", 100))
        await until(lambda: house.running == 3)
        await running.operator.act((await the_one(running)).id, "abandon", **WHO)
        house.gate.set()
        await running.settle()
        assert (await the_one(running)).status == "abandoned"
        assert not await running.store.read_deliveries()
    assert not house.back


async def test_a_paused_batch_lets_what_runs_end_and_goes_on_when_it_is_resumed() -> None:
    house = House()
    house.gate.clear()
    async with engine(moving(at_once=3), provide={House: house}) as running:
        waiting = asyncio.create_task(moved(running, 30))
        await until(lambda: house.running == 3)
        id = (await the_one(running)).id
        await running.operator.pause("instance", id, **WHO)
        house.gate.set()
        await running.settle()
        assert len(house.moved) == 3
        await running.operator.resume("instance", id, **WHO)
        assert await waiting == GroupMoved(30, ())


# ---------------------------------------------------------------------- looking at it


async def test_progress_is_watched() -> None:
    house = House()
    house.refuses = frozenset({5})
    async with engine(moving(at_once=2), provide={House: house}) as running:
        await running.send(Group("g", 30))
        await running.settle()
        await running.operator.act((await the_one(running)).id, "rerun_failed", **WHO)
        seen = [update.progress[0] async for update in running.watch("t.move_group", "g") if update.progress]
    assert [(one.done, one.failed, one.total) for one in seen][-1] == (29, 1, 30)
    assert all(one.done + one.failed <= 30 for one in seen)


async def test_an_explanation_tells_how_far_it_has_come() -> None:
    house = House()
    house.gate.clear()
    house.refuses = frozenset({0})
    async with engine(moving(at_once=2), provide={House: house}) as running:
        await running.send(Group("g", 3))
        await until(lambda: house.running == 2)
        id = (await the_one(running)).id
        assert "each t.Move: 0 done, 0 failed, 2 in flight of 3" in (await running.operator.explain(id)).why
        house.gate.set()
        await running.settle()
        explained = await running.operator.explain(id)
    assert explained.why == "it has ended as completed; each t.Move: 2 done, 1 failed of 3"
    assert explained.mend[0].startswith(f"sagakit processes rerun-failed {id}")


async def test_what_was_missed_of_a_batch_is_told_as_it_was() -> None:
    house = House()
    house.refuses = frozenset({5})
    async with engine(moving(at_once=2), provide={House: house}) as running:
        await running.send(Group("g", 30))
        await running.settle()
        await running.operator.act((await the_one(running)).id, "rerun_failed", **WHO)
        await running.settle()
        told = [update async for update in running.watch("t.move_group", "g", after="1")]
    assert (told[0].progress[0].done, told[0].progress[0].failed, told[0].progress[0].state) == (29, 1, "ended")
    assert told[-1].status == "completed"
