"""What an operator does to a delivery: tried again, edited, dropped; in its place, and recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from tests.each_store import ON_EACH_STORE, new_store, only_on
from tests.engine.operating.shop import (
    RETRY,
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
    placed,
    row,
    running,
)

from sagakit import App, NotFound, Saga
from sagakit.core.commit import Delivery
from sagakit.core.queries import DeliveryQuery
from sagakit.engine.limits import Limits
from sagakit.errors import InvalidMessage, NotPossible
from sagakit.ports import Store
from sagakit.stores.sqlite.store import SqliteStore
from sagakit.testing.manual import ManualEngine, engine

pytestmark = ON_EACH_STORE


async def parked_note(one: ManualEngine, store: Store, **fields: Any) -> Delivery:
    await one.send(Note(**fields))
    await one.advance(seconds=30)
    return await only(store, "parked")


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Any) -> Store:
    return new_store() if request.param == "memory" else SqliteStore(tmp_path / "t.db")


async def test_a_parked_message_is_tried_in_a_new_round_of_attempts(store: Store) -> None:
    world = World(down={Note})
    async with running(world, store=store) as (one, _):
        parked = await parked_note(one, store)
        assert world.calls[Note] == 2
        await one.operator.act_on_delivery(parked.id, "retry", **WHO)
        await one.settle()
        assert world.calls[Note] == 3
        again = await only(store, "retrying")
        assert (again.id, again.attempt - again.spent) == (parked.id, 2), "it has a second attempt again"
        await one.advance(seconds=30)
        assert world.calls[Note] == 4
        assert (await only(store, "parked")).id == parked.id
        world.down.clear()
        await one.operator.act_on_delivery(parked.id, "retry", **WHO)
        await one.settle()
        assert not await store.read_deliveries()
        assert one.idle
    assert len(set(world.keys)) == 1


async def test_what_waits_behind_it_keeps_its_order(store: Store) -> None:
    world = World(down={Note})
    async with running(world, store=store) as (one, _):
        parked = await parked_note(one, store, text="first")
        world.down.clear()
        for text in ("second", "third"):
            await one.send(Note(text=text))
        await one.send(Note("b", "other"))
        await one.settle()
        assert world.notes == ["other"], "another lane is not held"
        await one.operator.act_on_delivery(
            parked.id, "edit", **WHO, payload={"key": "a", "text": "mended"}, undo_first=True
        )
        await one.advance(seconds=30)
    assert world.notes == ["other", "mended", "second", "third"]


async def test_an_edited_message_is_there_after_a_restart(tmp_path: Any) -> None:
    world = World(down={Note})
    async with running(world, store=SqliteStore(tmp_path / "t.db")) as (one, store):
        parked = await parked_note(one, store, text="first")
        await one.send(Note(text="second"))
        await one.operator.act_on_delivery(parked.id, "edit", **WHO, payload='{"text": "mended"}', undo_first=True)
        await one.settle()
        edited = await only(store, "retrying")
        assert (edited.id, edited.envelope.causation_id) == (parked.id, parked.envelope.id)
        assert edited.envelope.id != parked.envelope.id
    world.down.clear()
    async with running(world, store=SqliteStore(tmp_path / "t.db")) as (one, store):
        await one.advance(seconds=30)
        story = await store.read_story(parked.envelope.correlation_id)
    assert world.notes == ["mended", "second"]
    assert [one.type for one in story][:3] == ["t.Note", "sagakit.OperatorActed", "t.Note"]


async def test_an_edit_that_keeps_the_key_goes_out_under_it() -> None:
    world = World(down={Note})
    async with running(world) as (one, store):
        parked = await parked_note(one, store)
        world.down.clear()
        edit = one.operator.act_on_delivery
        with pytest.raises(NotPossible, match="may have had an effect: choose keep_key"):
            await edit(parked.id, "edit", **WHO, payload={"text": "x"})
        with pytest.raises(InvalidMessage, match="choose one"):
            await edit(parked.id, "edit", **WHO, payload={"text": "x"}, keep_key=True, undo_first=True)
        with pytest.raises(InvalidMessage, match="text: Expected `str`, got `int`"):
            await edit(parked.id, "edit", **WHO, payload={"text": 5}, keep_key=True)
        with pytest.raises(InvalidMessage, match="payload"):
            await edit(parked.id, "edit", **WHO, keep_key=True)
        await edit(parked.id, "edit", **WHO, payload={"text": "x"}, keep_key=True)
        await one.settle()
    assert world.notes == ["x"]
    assert len(set(world.keys)) == 1


async def test_a_dropped_message_makes_room() -> None:
    world = World(down={Note})
    async with running(world) as (one, store):
        parked = await parked_note(one, store, text="first")
        await one.send(Note(text="second"))
        world.down.clear()
        await one.operator.act_on_delivery(parked.id, "drop", **WHO)
        await one.settle()
        assert world.notes == ["second"]
        assert one.idle
        with pytest.raises(NotFound, match="no delivery"):
            await one.operator.act_on_delivery(parked.id, "drop", **WHO)


async def test_only_what_fits_the_state_is_done() -> None:
    world = World(down={Reserve})
    async with running(world) as (one, store):
        await placed(one)
        retrying = await only(store, "retrying")
        for action in ("drop", "edit"):
            with pytest.raises(NotPossible, match="the delivery is retrying: only a parked one"):
                await one.operator.act_on_delivery(
                    retrying.id,
                    action,
                    **WHO,
                    payload={"key": "a"},
                    keep_key=True,  # type: ignore[arg-type]
                )
        assert one.idle


async def test_a_retry_of_all_that_a_query_finds() -> None:
    world = World(down={Note})
    async with running(world) as (one, store):
        for key in "abcdefg":
            await one.send(Note(key))
        await one.advance(seconds=30)
        world.down.clear()
        query = DeliveryQuery(state="parked", type="t.Note", error="is down", limit=3)
        retried = await one.operator.retry_all(query, **WHO)
        assert (retried.retried, retried.failed) == (7, {})
        await one.settle()
        assert not await store.read_deliveries()
    assert len(world.notes) == 7


async def test_a_dropped_undo_is_taken_as_done() -> None:
    world = World(down={Charge, Release})
    async with running(world) as (one, store):
        id = await placed(one)
        await one.operator.act(id, "cancel", **WHO)
        await one.advance(seconds=60)
        assert (await row(store, id)).status == "compensation_failed"
        parked = await only(store, "parked")
        acted = await one.operator.act_on_delivery(parked.id, "drop", **WHO)
        assert acted.status == "compensated"
        assert (await row(store, id)).status == "compensated"
        assert not await store.read_deliveries()


async def test_an_edited_undo_is_what_is_waited_for() -> None:
    world = World(down={Charge, Release})
    async with running(world) as (one, store):
        id = await placed(one)
        await one.operator.act(id, "cancel", **WHO)
        await one.advance(seconds=60)
        parked = await only(store, "parked")
        world.down.clear()
        await one.operator.act_on_delivery(
            parked.id, "edit", **WHO, payload={"key": "a", "reason": "mended"}, undo_first=True
        )
        await one.settle()
        assert (await row(store, id)).status == "compensated"


async def test_a_retried_undo_takes_its_instance_along() -> None:
    world = World(down={Charge, Release})
    async with running(world) as (one, store):
        id = await placed(one)
        await one.operator.act(id, "cancel", **WHO)
        await one.advance(seconds=60)
        parked = await only(store, "parked")
        world.down.clear()
        acted = await one.operator.act_on_delivery(parked.id, "retry", **WHO)
        assert acted.status == "undoing"
        await one.settle()
        assert (await row(store, id)).status == "compensated"


async def test_an_edited_event_is_what_the_instance_takes() -> None:
    async def code(placed: Placed, saga: Saga) -> None:
        shipped = await saga.receive(Shipped)
        if shipped.parcel == "bad":
            raise ValueError("a bad parcel")

    app = handlers(App("t"))
    app.saga(key="key", name="order", receives=Shipped)(code)
    async with running(World(), app=app) as (one, store):
        id = await placed(one)
        await one.publish(Shipped("a", "bad"))
        await one.settle()
        assert (await row(store, id)).status == "parked"
        parked = await only(store, "parked")
        await one.operator.act_on_delivery(parked.id, "edit", **WHO, payload={"key": "a", "parcel": "good"})
        await one.settle()
        assert (await row(store, id)).status == "completed"


async def test_a_dropped_event_lets_the_instance_go_on() -> None:
    async def code(placed: Placed, saga: Saga) -> None:
        if (await saga.receive(Shipped)).parcel == "bad":
            raise ValueError("a bad parcel")

    app = handlers(App("t"))
    app.saga(key="key", name="order", receives=Shipped)(code)
    async with running(World(), app=app) as (one, store):
        id = await placed(one)
        await one.publish(Shipped("a", "bad"))
        await one.publish(Shipped("a", "good"))
        await one.settle()
        await one.operator.act_on_delivery((await only(store, "parked")).id, "drop", **WHO)
        await one.settle()
        assert (await row(store, id)).status == "completed"


async def test_a_message_without_a_key_goes_to_its_lane_once_it_has_one() -> None:
    @dataclass(frozen=True)
    class Tagged:
        tag: str = ""

        @property
        def key(self) -> str:
            return keys[self.tag]

    keys: dict[str, str] = {}
    app, world = App("t"), World()

    @app.handles(key="key", retry=RETRY)
    async def handle(command: Tagged, world: World) -> Noted:
        world.notes.append(command.tag)
        return Noted("a", "")

    async with running(world, app=app) as (one, store):
        await one.send(Tagged("x"))
        await one.settle()
        parked = await only(store, "parked")
        with pytest.raises(NotPossible, match="its key cannot be found: KeyError"):
            await one.operator.act_on_delivery(parked.id, "retry", **WHO)
        keys["x"] = "k"
        await one.operator.act_on_delivery(parked.id, "retry", **WHO)
        await one.settle()
        assert not await store.read_deliveries()
    assert world.notes == ["x"]


@only_on("memory", "sqlite", because="where several engines may be, another one may have its code")
async def test_what_nobody_claims_can_be_left_and_dropped() -> None:
    store, world = new_store(), World(down={Reserve})
    async with running(world, store=store) as (one, _):
        await placed(one)
    other = App("t")

    @other.handles
    async def note(command: Note, world: World) -> Noted:
        return Noted(command.key, command.text)

    limits = Limits(leave_unclaimed=True)
    async with engine(other, provide={World: world}, store=store.again(), limits=limits) as one:
        assert one.ready() == "nobody claims some messages: t.Reserve (version 1) for t.reserve"
        (left,) = await one.store.find_deliveries(DeliveryQuery())
        _, told = await one.operator.explain_delivery(left.id)
        assert (told.situation, told.why) == ("no_code", "no worker has the code: t.reserve is not declared")
        with pytest.raises(NotPossible, match=r"nobody claims t\.Reserve for t\.reserve"):
            await one.operator.act_on_delivery(left.id, "retry", **WHO)
        await one.operator.act_on_delivery(left.id, "drop", **WHO)
        assert one.ready() is None
        assert not await one.store.find_deliveries(DeliveryQuery())
