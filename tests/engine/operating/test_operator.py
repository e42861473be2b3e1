"""The operator's door: what is stuck, what waits after the fact is told, what a restart keeps, what a fault leaves."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.each_store import ON_EACH_STORE, AnyStore, new_store
from tests.engine.operating.shop import (
    WHO,
    Charge,
    Note,
    Noted,
    Placed,
    Release,
    Reserve,
    Shipped,
    World,
    handlers,
    only,
    order_id,
    placed,
    row,
    running,
    search,
    shop,
)

from sagakit import App, Saga
from sagakit.core.lifecycle import OperatorActed
from sagakit.core.queries import DeliveryQuery
from sagakit.errors import NotPossible, StoreFailed
from sagakit.testing.faults import At, Fault, FaultyStore

pytestmark = ON_EACH_STORE


async def waits(placed: Placed, saga: Saga) -> None:
    await saga.receive(Shipped)


async def sleeps(placed: Placed, saga: Saga) -> None:
    await saga.sleep(86_400)


def aged(code: Any, **options: Any) -> App:
    app = handlers(App("t"))
    app.saga(key="key", name="order", receives=Shipped, **options)(code)
    return app


# ---------------------------------------------------------------------- what is stuck


async def test_each_type_has_an_age_of_its_own() -> None:
    async with running(World(), app=aged(waits, stuck_after=60)) as (one, _):
        id = await placed(one)
        await one.advance(seconds=59)
        assert await one.operator.stuck() == []
        await one.advance(seconds=2)
        (stuck,) = await one.operator.stuck()
        assert (stuck.id, stuck.status, stuck.waiting_for) == (id, "running", ["t.Shipped"])
        assert stuck.why == "has not moved for 61 s"


async def test_who_sleeps_is_not_stuck() -> None:
    async with running(World(), app=aged(sleeps)) as (one, _):
        await placed(one)
        await one.advance(hours=5)
        assert await one.operator.stuck() == []


async def test_what_is_past_its_time_is_stuck() -> None:
    async with running(World(), app=aged(sleeps)) as (one, _):
        id = await placed(one)
        await one.operator.pause("all", **WHO)
        await one.advance(days=2)
        (stuck,) = await one.operator.stuck()
        assert stuck.id == id
        assert stuck.why.startswith("past its sleep of ")
        await one.operator.resume("all", **WHO)
        await one.settle()
        assert await one.operator.stuck() == []


async def test_the_stuck_come_in_pages() -> None:
    async with running(World(), app=aged(waits)) as (one, _):
        for key in "abcde":
            await placed(one, key)
        await one.advance(hours=2)
        first = await one.operator.stuck(limit=3)
        rest = await one.operator.stuck(limit=3, after=first[-1].number)
        assert [stuck.key for stuck in (*first, *rest)] == list("abcde")


# ---------------------------------------------------------------------- those who wait


async def test_what_is_tried_anew_can_be_waited_for() -> None:
    world = World(down={Note})
    async with running(world) as (one, store):
        receipt = await one.send(Note())
        await one.advance(seconds=30)
        parked = await only(store, "parked")
        await one.operator.act_on_delivery(parked.id, "retry", by="ada", reason="sold out")
        await one.settle()
        world.down.clear()
        waiting = asyncio.ensure_future(one.wait(until=Noted, correlation_id=receipt.correlation_id, timeout=60))
        await one.advance(seconds=30)
        assert await waiting == Noted("a", "hello")
        again = await one.wait(until=Noted, correlation_id=receipt.correlation_id, timeout=60)
        assert again == Noted("a", "hello")


async def test_a_parked_instance_can_be_cancelled_by_the_app() -> None:
    async def fails(placed: Placed, saga: Saga) -> None:
        await saga.do(Reserve(placed.key), then=None, undo=Release(placed.key))
        raise ValueError("a bug")

    async with running(World(), app=shop(fails)) as (one, store):
        id = await placed(one)
        assert await one.cancel("t.order", "a", reason="not wanted")
        await one.settle()
        assert (await row(store, id)).status == "compensated"
        assert not await store.read_deliveries()


# ---------------------------------------------------------------------- at the same time


async def test_actions_at_the_same_time_are_carried_out_one_after_the_other() -> None:
    async with running(World()) as (one, store):
        id = await placed(one)
        acts = [one.operator.act(id, action, **WHO) for action in ("pause", "cancel", "abandon", "pause", "cancel")]  # type: ignore[arg-type]
        done = await asyncio.gather(*acts, return_exceptions=True)
        await one.settle()
        assert (await row(store, id)).status in ("abandoned", "compensated")
        assert any(isinstance(answer, NotPossible) for answer in done)
        versions = [answer.version for answer in done if not isinstance(answer, BaseException)]
        assert len(set(versions)) == len(versions)


async def test_an_action_waits_for_the_commit_that_is_under_way() -> None:
    async with running(World()) as (one, store):
        await one.publish(Placed())
        acting = asyncio.ensure_future(one.operator.act(order_id(), "cancel", **WHO))
        await one.publish(Placed("b"))
        await one.settle()
        await acting
        await one.settle()
        assert (await row(store, order_id())).status == "compensated"


async def test_whoever_asked_may_go_away() -> None:
    async with running(World()) as (one, store):
        id = await placed(one)
        lane = await one._lanes.claim(f"t.order/{id}")
        acting = asyncio.ensure_future(one.operator.act(id, "cancel", **WHO))
        await asyncio.sleep(0)
        acting.cancel()
        one._lanes.release(lane)
        await one.publish(Shipped())
        await one.settle()
        assert (await row(store, id)).status == "completed"


# ---------------------------------------------------------------------- faults


async def test_an_action_that_cannot_be_written_changes_nothing() -> None:
    world, data = World(down={Charge}), new_store()
    async with running(world, store=data) as (one, _):
        id = await placed(one)
        count = len(await data.read_messages())

        async def fails(commits: Any) -> Any:
            raise StoreFailed("the disk is full")

        commit, data.commit = data.commit, fails  # type: ignore[method-assign]
        with pytest.raises(StoreFailed, match="the disk is full"):
            await one.operator.act(id, "cancel", **WHO)
        data.commit = commit  # type: ignore[method-assign]
        one.hand.set(one.hand.now() + 1_000_000)  # the committer tries again
        await one.settle()
        assert (await row(data, id)).status == "running"
        assert len(await data.read_messages()) == count
        await one.operator.act(id, "cancel", **WHO)
        await one.settle()
        assert (await row(data, id)).status == "compensated"


async def story(store: FaultyStore, data: AnyStore) -> None:
    """A cancel that fails to undo, and is taken up again; each action is repeated until it stands."""
    world = World(down={Charge, Release})
    async with running(world, store=store) as (one, _):
        id = await placed(one)
        await one.operator.act(id, "cancel", **WHO)
        await one.advance(seconds=60)
        world.down.clear()
        await one.operator.act(id, "resume_compensation", **WHO)
        await one.settle()


async def test_a_lost_answer_anywhere_is_looked_up() -> None:
    counting = FaultyStore(new_store())
    await story(counting, new_store())
    commits = counting.operations.count("commit")
    assert commits > 5
    for number in range(1, commits + 1):
        data = new_store()
        await story(FaultyStore(data, At(number, Fault.ANSWER_LOST, "commit")), data)
        reader = data.again()
        await reader.open(own=False)
        found = await search(reader, order_id())
        assert (found.status, found.cause) == ("compensated", "cancelled"), number
        acts = [one for one in await reader.read_messages() if one.type == "sagakit.OperatorActed"]
        assert len(acts) == 2, "each is recorded once"
        assert not await reader.find_deliveries(DeliveryQuery())


async def test_what_was_done_is_told_as_it_was_recorded() -> None:
    async with running(World()) as (one, store):
        id = await placed(one)
        acted = await one.operator.act(id, "cancel", **WHO)
        (message,) = [found for found in await store.read_messages() if found.id == acted.message_id]
        told: Any = one.topology.codecs.decode(message.type, message.version, message.payload)
        assert isinstance(told, OperatorActed)
        assert message.correlation_id == (await search(store, id)).correlation_id
