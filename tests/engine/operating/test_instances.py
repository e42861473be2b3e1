"""What an operator does to an instance: beside its lane, recorded, and with the effect that the protocol says."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.each_store import ON_EACH_STORE, new_store, only_on
from tests.engine.operating.shop import (
    WHO,
    Charge,
    Placed,
    Refund,
    Release,
    Reserve,
    Shipped,
    World,
    only,
    order_id,
    placed,
    row,
    running,
    search,
    shop,
)

from sagakit import NotFound, Saga, StaleVersion, Stopping
from sagakit.core.lifecycle import OperatorActed
from sagakit.core.streams import lane_name
from sagakit.engine.limits import Limits
from sagakit.errors import InvalidMessage, NotPossible, StoreInUse
from sagakit.testing.manual import engine

pytestmark = ON_EACH_STORE


async def test_a_cancel_undoes_what_is_done_and_says_who_and_why() -> None:
    world = World(down={Charge})
    async with running(world) as (one, store):
        id = await placed(one)
        assert (await row(store, id)).status == "running"
        acted = await one.operator.act(id, "cancel", **WHO)
        await one.settle()
        assert (await row(store, id)).status == "compensated"
        found = await search(store, id)
        assert (found.cause, found.reason) == ("cancelled", "by hand")
        history = await store.read_history(id)
    (told,) = [entry.inputs[0] for entry in history if entry.inputs[0].id == acted.message_id]
    recorded: Any = one.topology.codecs.decode(told.type, told.version, told.payload)
    assert isinstance(recorded, OperatorActed)
    assert (recorded.action, recorded.target, recorded.by, recorded.reason) == ("cancel", id, "ada", "by hand")
    assert world.calls[Release] == 1


async def test_retry_tries_at_once_what_waits_for_its_next_attempt() -> None:
    world = World(down={Reserve})
    async with running(world) as (one, store):
        id = await placed(one)
        assert (await only(store, "retrying")).attempt == 2
        world.down.clear()
        await one.operator.act(id, "retry", **WHO)
        await one.settle()
        assert world.calls[Reserve] == 2
        assert world.calls[Charge] == 1
        await one.advance(seconds=60)
        assert world.calls[Reserve] == 2, "its own time comes to nothing"


async def test_a_failed_undo_is_tried_again_under_its_key() -> None:
    world = World()
    async with running(world) as (one, store):
        id = await placed(one)
        world.down = {Release}
        await one.operator.act(id, "cancel", **WHO)
        await one.advance(seconds=60)
        assert (await row(store, id)).status == "compensation_failed"
        assert (await only(store, "parked")).envelope.type == "t.Release"
        world.down.clear()
        await one.operator.act(id, "resume_compensation", **WHO)
        await one.settle()
        assert (await row(store, id)).status == "compensated"
        assert not await store.read_deliveries()
    assert world.calls[Release] == 3
    assert len(set(world.keys[-3:])) == 1


async def test_what_is_tried_anew_and_given_up_again_is_told_as_another_message() -> None:
    world = World()
    async with running(world) as (one, store):
        id = await placed(one)
        world.down = {Release}
        await one.operator.act(id, "cancel", **WHO)
        await one.advance(seconds=60)
        for _ in range(2):
            await one.operator.act(id, "resume_compensation", **WHO)
            await one.advance(seconds=60)
            assert (await row(store, id)).status == "compensation_failed"
        log = await store.read_messages()
        assert [one.type for one in log].count("sagakit.CommandFailed") == 3
        assert len({one.id for one in log}) == len(log)


@pytest.mark.parametrize("action", ["retry", "cancel", "abandon", "compensate"])
async def test_an_instance_whose_code_failed_goes_on(action: Any) -> None:
    broken = [True]

    async def code(placed: Placed, saga: Saga) -> None:
        await saga.do(Reserve(placed.key), then=None, undo=Release(placed.key))
        if broken:
            raise ValueError("a bug")

    world, store = World(), new_store()
    async with running(world, app=shop(code), store=store) as (one, _):
        id = await placed(one)
        assert (await row(store, id)).status == "parked"
        broken.clear()
        await one.operator.act(id, action, **WHO)
        await one.settle()
        status = (await row(store, id)).status
        found = await search(store, id)
        assert not await store.read_deliveries()
    ends = {"retry": "completed", "cancel": "compensated", "abandon": "abandoned", "compensate": "compensated"}
    causes = {"retry": "", "cancel": "cancelled", "abandon": "cancelled", "compensate": "failed"}
    assert (status, found.status, found.cause) == (ends[action], ends[action], causes[action])
    # what it parked on was a success: that comes late then, and sends the undo once more, or in place of the first
    assert world.calls[Release] in ((1, 2) if status == "compensated" else (0,))


async def test_a_retry_of_code_that_still_fails_parks_it_again() -> None:
    async def code(placed: Placed, saga: Saga) -> None:
        await saga.do(Reserve(placed.key), then=None, undo=Release(placed.key))
        raise ValueError("a bug")

    async with running(World(), app=shop(code)) as (one, store):
        id = await placed(one)
        for _ in range(3):
            await one.operator.act(id, "retry", **WHO)
            await one.settle()
            assert (await row(store, id)).status == "parked"
            assert (await search(store, id)).status == "parked"
        await one.operator.act(id, "cancel", **WHO)
        await one.settle()
        assert (await row(store, id)).status == "compensated"


async def test_a_parked_instance_that_is_paused_and_resumed_is_parked_still() -> None:
    async def code(placed: Placed, saga: Saga) -> None:
        await saga.do(Reserve(placed.key), then=None, undo=Release(placed.key))
        raise ValueError("a bug")

    async with running(World(), app=shop(code)) as (one, store):
        id = await placed(one)
        for action in ("pause", "resume"):
            await one.operator.act(id, action, **WHO)  # type: ignore[arg-type]
            await one.settle()
            assert (await row(store, id)).status == "parked"
            assert (await search(store, id)).status == "parked"
        await one.operator.act(id, "cancel", **WHO)
        await one.settle()
        assert (await row(store, id)).status == "compensated"
        assert not await store.read_deliveries()


@only_on("memory", "sqlite", because="where several engines may be, an action waits until it is read")
async def test_what_is_not_read_yet_is_not_passed_over() -> None:
    """The parked input of an instance may wait in the store behind what fills the memory."""

    async def code(placed: Placed, saga: Saga) -> None:
        if placed.key.startswith("bad"):
            raise ValueError("a bug")
        await saga.do(Reserve(placed.key), then=None)

    world = World(down={Reserve})
    async with running(world, app=shop(code)) as (one, store):
        for number in range(8):
            await placed(one, f"{number}")
        other = await placed(one, "bad, and first of its kind: it is read with the first page")
        id = await placed(one, "bad")
    limits = Limits(page=1)
    async with engine(shop(code), provide={World: world}, store=store.again(), limits=limits) as one:
        with pytest.raises(NotPossible, match="still reads what is outstanding: try again in a moment"):
            await one.operator.act(id, "abandon", **WHO)
        await one.operator.act(other, "abandon", **WHO)
        world.down.clear()
        await one.advance(seconds=60)
        await one.operator.act(id, "abandon", **WHO)
        await one.settle()
        assert (await row(one.store, id)).status == "abandoned"
        assert not await one.store.read_deliveries()


@only_on("memory", because="it counts turns of the event loop")
async def test_an_action_that_waits_for_its_turn_is_told_when_the_engine_dies() -> None:
    async with running(World()) as (one, _):
        id = await placed(one)
        lane = await one._lanes.claim(lane_name("t.order", id))
        waiting = asyncio.ensure_future(one.operator.act(id, "cancel", **WHO))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not waiting.done()
        one._die(StoreInUse("another engine has taken over"))
        with pytest.raises(Stopping, match="another engine has taken over"):
            await asyncio.wait_for(waiting, 5)
        with pytest.raises(Stopping):
            await one._lanes.claim(lane.key)


async def test_what_does_not_fit_is_refused_in_words() -> None:
    async with running(World()) as (one, store):
        id = await placed(one)
        act = one.operator.act
        with pytest.raises(NotFound, match="no process instance 'x'"):
            await act("x", "cancel", **WHO)
        with pytest.raises(InvalidMessage, match="reason: say why"):
            await act(id, "cancel", by="ada", reason=" ")
        with pytest.raises(InvalidMessage, match="by: say who"):
            await act(id, "cancel", by="", reason="x")
        with pytest.raises(InvalidMessage, match="there is no 'explode'"):
            await act(id, "explode", **WHO)  # type: ignore[arg-type]
        with pytest.raises(NotPossible, match=r"the instance is running; what can be done then: abandon, cancel"):
            await act(id, "resume_compensation", **WHO)
        with pytest.raises(NotPossible, match="nothing of this instance is parked"):
            await act(id, "retry", **WHO)
        with pytest.raises(StaleVersion):
            await act(id, "cancel", **WHO, expected_version=1)
        await act(id, "cancel", **WHO, expected_version=(await row(store, id)).version)
        await one.settle()
        with pytest.raises(NotPossible, match="has ended as compensated"):
            await act(id, "cancel", **WHO)
        assert one.idle


async def test_a_result_given_by_hand_settles_the_step() -> None:
    world = World(down={Reserve})
    async with running(world) as (one, store):
        id = await placed(one)
        with pytest.raises(NotPossible, match=r"has no outcome t\.Charged; it has: t\.Reserved, t\.SoldOut"):
            await one.operator.act(id, "give_result", **WHO, message="t.Charged", payload={"key": "a"})
        with pytest.raises(InvalidMessage, match="key"):
            await one.operator.act(id, "give_result", **WHO, message="t.Reserved", payload={})
        await one.operator.act(id, "give_result", **WHO, message="t.Reserved", payload={"key": "a"})
        await one.settle()
        assert world.calls[Charge] == 1
        assert (await row(store, id)).status == "running"
        await one.operator.act(id, "give_result", **WHO, message="t.Shipped", payload='{"key": "a"}')
        assert (await row(store, id)).status == "completed"
        assert not await store.read_deliveries()
        await one.advance(seconds=60)
        assert world.calls[Reserve] == 1


async def test_a_given_refusal_is_a_refusal() -> None:
    world = World(down={Reserve})
    async with running(world) as (one, store):
        id = await placed(one)
        await one.operator.act(id, "give_result", **WHO, message="t.SoldOut", payload={"key": "a"})
        found = await search(store, id)
        assert (found.status, found.cause, found.reason) == ("compensated", "refused", "sold out")


async def test_a_step_without_a_result_can_be_skipped() -> None:
    async def code(placed: Placed, saga: Saga) -> None:
        await saga.do(Reserve(placed.key), then=None, undo=Release(placed.key))
        await saga.do(Charge(placed.key), then=None)
        await saga.receive(Shipped)

    world = World(down={Reserve})
    async with running(world, app=shop(code)) as (one, store):
        id = await placed(one)
        await one.operator.act(id, "skip_step", **WHO, step="Reserve")
        await one.settle()
        assert world.calls[Charge] == 1
        await one.operator.act(id, "cancel", **WHO)
        await one.settle()
        assert world.calls[Release] == 1, "it may have been done: its undo stays on the stack"
        assert (await row(store, id)).status == "compensated"


async def test_a_step_that_needs_a_result_is_not_skipped() -> None:
    async with running(World(down={Reserve})) as (one, store):
        id = await placed(one)
        with pytest.raises(NotPossible, match=r"needs a result to go on: give one \(t\.Reserved\)"):
            await one.operator.act(id, "skip_step", **WHO)
        assert (await row(store, id)).status == "running"
        await one.operator.act(id, "cancel", **WHO)


async def test_what_an_operator_did_is_replayed() -> None:
    world, store = World(down={Reserve}), new_store()
    async with running(world, store=store) as (one, _):
        id = await placed(one)
        await one.operator.act(id, "give_result", **WHO, message="t.Reserved", payload={"key": "a"})
        await one.settle()
    async with running(world, store=store.again()) as (one, again):
        await one.publish(Shipped())
        await one.settle()
        assert (await row(again, id)).status == "completed"


async def test_an_instance_of_a_version_that_is_gone_can_be_undone() -> None:
    world, store = World(), new_store()
    async with running(world, store=store) as (one, _):
        id = await placed(one)
    app = shop()
    app.declared.code_sagas.clear()

    async def other(placed: Placed, saga: Saga) -> None:
        await saga.receive(Shipped)

    app.saga(key="key", name="order", receives=Shipped, version=2)(other)
    async with running(world, app=app, store=store.again()) as (one, again):
        await one.publish(Shipped())
        await one.settle()
        assert "version 1 is no longer declared" in (await search(again, id)).reason
        with pytest.raises(NotPossible, match="declare it again first"):
            await one.operator.act(id, "retry", **WHO)
        await one.operator.act(id, "cancel", **WHO)
        await one.settle()
        assert (await row(again, id)).status == "compensated"
    assert (world.calls[Refund], world.calls[Release]) == (1, 1)
    assert order_id() == id
