"""What stands still: nothing of it is handled, nothing of it is lost, and it goes on in order."""

from __future__ import annotations

from typing import Any

import pytest
from tests.each_store import ON_EACH_STORE, new_store
from tests.engine.operating.shop import (
    WHO,
    Note,
    Placed,
    Reserve,
    Shipped,
    World,
    order_id,
    placed,
    row,
    running,
    shop,
)

from sagakit import NotFound, Saga
from sagakit.errors import NotPossible

pytestmark = ON_EACH_STORE


async def napping(placed: Placed, saga: Saga) -> None:
    await saga.sleep(60)
    await saga.do(Reserve(placed.key), then=None)


@pytest.mark.parametrize(
    ("scope", "name"), [("all", ""), ("module", "t"), ("process", "t.order"), ("instance", order_id())]
)
async def test_what_is_paused_stands_still_and_goes_on(scope: Any, name: str) -> None:
    world = World(down={Reserve})
    async with running(world) as (one, store):
        id = await placed(one)
        await one.operator.pause(scope, name, **WHO)
        world.down.clear()
        await one.advance(seconds=60)
        await one.publish(Shipped())
        await one.settle()
        assert (await row(store, id)).status == "running"
        assert [(pause.scope, pause.name, pause.by, pause.reason) for pause in one.operator.pauses()] == [
            (scope, name, "ada", "by hand")
        ]
        before = (await row(store, id)).version
        await one.operator.resume(scope, name, **WHO)
        await one.settle()
        assert one.operator.pauses() == []
        if scope in ("all", "module"):  # then the handlers stood still too
            assert (await row(store, id)).status == "completed"
        assert (await row(store, id)).version > before
        await one.settle()
        assert (await row(store, id)).status == "completed"


async def test_a_pause_outlives_the_engine() -> None:
    store, world = new_store(), World()
    async with running(world, store=store) as (one, _):
        await one.operator.pause("process", "t.order", **WHO)
        id = await placed(one)
        assert await store.read_instance(id) is None
    async with running(world, store=store.again()) as (one, again):
        await one.settle()
        assert await again.read_instance(id) is None
        assert len(await again.read_deliveries()) == 1
        await one.operator.resume("process", "t.order", **WHO)
        await one.settle()
        assert (await row(again, id)).status == "running"


async def test_timers_keep_their_times_and_run_after_the_resume() -> None:
    world = World()
    async with running(world, app=shop(napping)) as (one, store):
        id = await placed(one)
        await one.operator.act(id, "pause", **WHO)
        await one.advance(seconds=120)
        assert world.calls[Reserve] == 0
        await one.operator.act(id, "resume", **WHO)
        await one.settle()
        assert world.calls[Reserve] == 1
        assert (await row(store, id)).status == "completed"
        actions = [entry.inputs[0].type for entry in await store.read_history(id)]
        assert actions.count("sagakit.OperatorActed") == 2, "the history shows who paused it"


async def test_an_instance_that_has_ended_while_it_was_paused_is_resumed() -> None:
    """What came meanwhile is still in its lane: it is recorded as late."""
    world = World()
    async with running(world) as (one, store):
        id = await placed(one)
        await one.operator.act(id, "pause", **WHO)
        await one.publish(Shipped("a"))
        await one.operator.act(id, "abandon", **WHO)
        await one.settle()
        assert len(await store.read_deliveries()) == 1
        assert (await one.operator.act(id, "resume", **WHO)).status == "abandoned"
        await one.settle()
        assert one.operator.pauses() == []
        assert not await store.read_deliveries()
        assert (await row(store, id)).status == "abandoned"
        with pytest.raises(NotPossible, match="is not paused"):
            await one.operator.act(id, "resume", **WHO)


async def test_what_is_not_paused_goes_on() -> None:
    world = World()
    async with running(world) as (one, store):
        await placed(one, "a")
        await one.operator.pause("instance", order_id("a"), **WHO)
        await one.publish(Shipped("a"))
        other = await placed(one, "b")
        await one.publish(Shipped("b"))
        await one.settle()
        assert (await row(store, other)).status == "completed"
        assert (await row(store, order_id("a"))).status == "running"
        await one.send(Note())
        await one.settle()
        assert world.notes == ["hello"]


async def test_an_operators_action_passes_beside_a_pause() -> None:
    async with running(World()) as (one, store):
        id = await placed(one)
        await one.operator.pause("process", "t.order", **WHO)
        await one.publish(Shipped("a"))
        await one.settle()
        await one.operator.act(id, "abandon", **WHO)
        await one.settle()
        assert (await row(store, id)).status == "abandoned"


async def test_what_there_is_not_cannot_be_paused() -> None:
    async with running(World()) as (one, _):
        with pytest.raises(NotFound, match=r"no process 'order'; it has: t\.order"):
            await one.operator.pause("process", "order", **WHO)
        with pytest.raises(NotFound, match="no module 'x'; it has: t"):
            await one.operator.pause("module", "x", **WHO)
        with pytest.raises(NotFound, match="no process instance"):
            await one.operator.pause("instance", "x", **WHO)
        with pytest.raises(NotPossible, match="module t is not paused; paused: nothing"):
            await one.operator.resume("module", "t", **WHO)
