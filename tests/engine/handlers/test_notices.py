"""What the engine tells of itself: to whoever takes it, in the Commit that makes it true, once, and never in a ring."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import pytest
from tests.each_store import ON_EACH_STORE, Around, new_store
from tests.engine.operating.shop import (
    WHO,
    Charge,
    Note,
    Placed,
    Refund,
    Release,
    Reserve,
    Reserved,
    Shipped,
    SoldOut,
    World,
    handlers,
    only,
    order,
    order_id,
    placed,
    row,
    running,
    shop,
)

from sagakit import (
    App,
    CommandParked,
    CompensationFailed,
    End,
    Module,
    ProcessParked,
    ProcessSettled,
    Retry,
    Saga,
    UnknownMessage,
)
from sagakit.core.commit import Commit, Envelope
from sagakit.core.queries import DeliveryQuery
from sagakit.core.streams import instance_id
from sagakit.ports import Store

pytestmark = ON_EACH_STORE


@dataclass(frozen=True)
class Page:
    instance: str


@dataclass(frozen=True)
class Paged:
    instance: str


async def log(store: Store) -> list[Envelope]:
    return await store.read_messages(limit=1_000)


async def told(store: Store) -> list[str]:
    return [one.type for one in await log(store) if one.type.startswith("sagakit.")]


def listening(app: App, heard: list[Any]) -> App:
    @app.on
    async def listen(event: ProcessParked | CommandParked | CompensationFailed | ProcessSettled) -> None:
        heard.append(event)

    return app


async def broken(placed: Placed, saga: Saga) -> None:
    raise KeyError("a bug")


async def broken_later(placed: Placed, saga: Saga) -> None:
    await saga.receive(Shipped)
    raise KeyError("a bug")


class OneByOne(Around):
    """A store that remembers what was written together."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[Commit] = []

    async def commit(self, commits: Any) -> Any:
        self.written += commits
        return await self.inner.commit(commits)

    def of(self, type: str) -> Commit:
        (found,) = [one for one in self.written if any(message.type == type for message in one.messages)]
        return found


# ---------------------------------------------------------------------- settled


async def test_an_end_is_told_in_the_commit_that_ends_it() -> None:
    heard: list[Any] = []
    store = OneByOne()
    async with running(World(), app=listening(shop(), heard), store=store) as (one, _):
        await placed(one)
        assert heard == []
        await one.publish(Shipped())
        await one.settle()
    assert heard == [ProcessSettled("t.order", "a", order_id(), "completed", "", "")]
    commit = store.of("sagakit.ProcessSettled")
    assert [write.row.status for write in commit.instances] == ["completed"]


async def test_a_compensated_one_says_why() -> None:
    heard: list[Any] = []
    app = App("t")

    @app.handles
    async def reserve(command: Reserve) -> Reserved | SoldOut:
        return SoldOut(command.key)

    @app.saga(key="key", name="order")
    async def order(placed: Placed, saga: Saga) -> None:
        await saga.do(Reserve(placed.key), then=Reserved)

    async with running(World(), app=listening(app, heard)) as (one, _):
        await placed(one)
    assert heard == [ProcessSettled("t.order", "a", order_id(), "compensated", "refused", "sold out")]


async def test_where_nobody_takes_them_none_is_written() -> None:
    world = World(down={Note})
    async with running(world, app=handlers(App("t"))) as (one, store):
        await one.send(Note())
        await one.advance(seconds=100)
        assert await told(store) == []
    async with running(World()) as (one, store):
        await placed(one)
        await one.publish(Shipped())
        await one.settle()
        assert await told(store) == []
    async with running(World(), app=shop(broken)) as (one, store):
        await placed(one)
        assert await told(store) == []


async def test_only_what_is_taken_is_written() -> None:
    app = shop(broken)

    @app.on
    async def settled(event: ProcessSettled) -> None: ...

    async with running(World(), app=app) as (one, store):
        id = await placed(one)
        assert await told(store) == []
        await one.operator.act(id, "abandon", **WHO)
        await one.settle()
        assert await told(store) == ["sagakit.OperatorActed", "sagakit.ProcessSettled"]


@pytest.mark.parametrize(("action", "status", "calls"), [("abandon", "abandoned", 0), ("cancel", "compensated", 1)])
async def test_what_an_operator_ends(action: str, status: Any, calls: int) -> None:
    heard: list[Any] = []
    world = World()
    async with running(world, app=listening(shop(), heard)) as (one, _):
        id = await placed(one)
        await one.operator.act(id, action, **WHO)
        await one.settle()
    assert heard == [ProcessSettled("t.order", "a", id, status, "cancelled", "by hand")]
    assert world.calls[Refund] == calls


async def test_what_a_deadline_ends() -> None:
    heard: list[Any] = []
    app = handlers(App("t"))
    app.saga(key="key", name="order", receives=Shipped, deadline=60)(order)
    async with running(World(), app=listening(app, heard)) as (one, _):
        await placed(one)
        await one.advance(seconds=61)
    assert heard == [
        ProcessSettled("t.order", "a", order_id(), "compensated", "timed_out", "deadline of 60 s passed"),
    ]


async def test_the_end_of_a_child_is_told_and_is_no_outcome_of_its_command() -> None:
    heard: list[Any] = []
    app = App("t")

    @app.handles
    async def page(command: Page) -> Paged:
        return Paged(command.instance)

    @app.saga(key="key")
    async def child(reserve: Reserve, saga: Saga) -> Paged:
        return await saga.do(Page(reserve.key), then=Paged)

    @app.saga(key="key")
    async def parent(placed: Placed, saga: Saga) -> None:
        await saga.do(Reserve(placed.key), then=Paged)

    async with running(World(), app=listening(app, heard)) as (one, _):
        await one.publish(Placed())
        await one.settle()
    assert sorted((one.process, one.status) for one in heard) == [("t.child", "completed"), ("t.parent", "completed")]


# ---------------------------------------------------------------------- parked


async def test_an_instance_that_parks_at_its_start() -> None:
    heard: list[Any] = []
    store = OneByOne()
    async with running(World(), app=listening(shop(broken), heard), store=store) as (one, _):
        id = await placed(one)
    (event,) = heard
    assert event == ProcessParked("t.order", "a", id, "t.Placed", event.error)
    assert "a bug" in event.error
    commit = store.of("sagakit.ProcessParked")
    assert [write.row.status for write in commit.instances] == ["parked"]


async def test_an_instance_that_parks_later() -> None:
    heard: list[Any] = []
    async with running(World(), app=listening(shop(broken_later), heard)) as (one, _):
        await placed(one)
        await one.publish(Shipped())
        await one.settle()
    assert [(type(event), event.message) for event in heard] == [(ProcessParked, "t.Shipped")]


async def test_an_instance_that_parks_on_a_delivery_and_again_when_it_is_tried_again() -> None:
    heard: list[Any] = []
    async with running(World(), app=listening(shop(broken_later), heard)) as (one, store):
        id = await placed(one)
        await one.operator.pause("instance", id, **WHO)
        await one.publish(Shipped())
        await one.settle()
        assert heard == []
        await one.operator.resume("instance", id, **WHO)
        await one.settle()
        assert [type(event) for event in heard] == [ProcessParked]
        await one.operator.act(id, "retry", **WHO)
        await one.settle()
        assert [type(event) for event in heard] == [ProcessParked, ProcessParked]
        ids = [one.id for one in await log(store) if one.type == "sagakit.ProcessParked"]
        assert len(set(ids)) == 2


async def test_a_command_from_outside_that_parks() -> None:
    heard: list[Any] = []
    store = OneByOne()
    async with running(World(down={Note}), app=listening(handlers(App("t")), heard), store=store) as (one, _):
        receipt = await one.send(Note())
        await one.advance(seconds=100)
        (event,) = heard
        assert event == CommandParked(
            receipt.message_id,
            "t.Note",
            "command",
            "t.note",
            receipt.correlation_id,
            2,
            "ConnectionError: Note is down",
        )
        (change,) = store.of("sagakit.CommandParked").changes
        assert change.state == "parked"
        delivery = await only(store, "parked")
        await one.operator.act_on_delivery(delivery.id, "retry", **WHO)
        await one.advance(seconds=100)
        assert [event.attempts for event in heard] == [2, 4]


async def test_an_event_that_parks_at_its_listener() -> None:
    heard: list[Any] = []
    app = App("t")

    @app.on(retry=Retry(1))
    async def ship(event: Shipped) -> None:
        raise ConnectionError("no")

    async with running(World(), app=listening(app, heard)) as (one, _):
        await one.publish(Shipped())
        await one.settle()
    assert [(event.kind, event.type, event.consumer) for event in heard] == [("event", "t.Shipped", "t.ship")]


async def test_a_step_that_fails_does_not_park() -> None:
    heard: list[Any] = []
    app = App("t")

    @app.handles(retry=Retry(1))
    async def reserve(command: Reserve) -> Reserved | SoldOut:
        raise ConnectionError("no")

    @app.saga(key="key")
    async def order(placed: Placed, saga: Saga) -> None:
        await saga.do(Reserve(placed.key), then=Reserved)

    async with running(World(), app=listening(app, heard)) as (one, _):
        await one.publish(Placed())
        await one.settle()
    assert [type(event) for event in heard] == [ProcessSettled]


async def test_an_undo_that_is_given_up() -> None:
    heard: list[Any] = []
    world = World(down={Refund})
    async with running(world, app=listening(shop(), heard)) as (one, _):
        id = await placed(one)
        await one.operator.act(id, "cancel", **WHO)
        await one.advance(seconds=100)
        assert [type(event) for event in heard] == [CommandParked, CompensationFailed]
        assert heard[0].type == "t.Refund"
        assert heard[1] == CompensationFailed("t.order", "a", id, heard[1].reason)
        assert "Refund is down" in heard[1].reason
        world.down.clear()
        await one.operator.act(id, "resume_compensation", **WHO)
        await one.advance(seconds=100)
    assert [type(event) for event in heard[2:]] == [ProcessSettled]
    assert heard[2].status == "compensated"
    assert world.calls[Release] == 1


# ---------------------------------------------------------------------- who takes them


def incidents(app: App) -> Any:
    """A process that is opened where another one parks, and closed once that one has ended."""

    @app.handles
    async def page(command: Page, world: World) -> Paged:
        world.notes.append(command.instance)
        return Paged(command.instance)

    @app.process_manager(key="instance", starts_with=ProcessParked)
    @dataclass(frozen=True)
    class Incident:
        instance: str = ""

        def evolve(self, event: ProcessParked | ProcessSettled) -> Self:
            return replace(self, instance=event.instance)

        def react(self, event: ProcessParked | ProcessSettled) -> Page | End:
            return Page(event.instance) if isinstance(event, ProcessParked) else End("completed")

    return Incident


async def test_a_process_takes_them_by_key() -> None:
    world = World()
    app = shop(broken)
    incidents(app)
    async with running(world, app=app) as (one, store):
        id = await placed(one)
        assert world.notes == [id]
        assert (await row(store, instance_id("t.Incident", id))).status == "running"
        await one.operator.act(id, "abandon", **WHO)
        await one.settle()
        assert (await row(store, instance_id("t.Incident", id))).status == "completed"


async def test_nothing_is_told_of_a_process_that_starts_with_one_of_them() -> None:
    app = shop()

    @app.process_manager(key="instance", starts_with=ProcessSettled)
    @dataclass(frozen=True)
    class One:
        def react(self, event: ProcessSettled) -> End:
            return End("completed")

    @app.process_manager(key="instance", starts_with=ProcessSettled)
    @dataclass(frozen=True)
    class Two:
        def react(self, event: ProcessSettled) -> End:
            return End("completed")

    async with running(World(), app=app) as (one, store):
        await placed(one)
        await one.publish(Shipped())
        await one.settle()
        assert await told(store) == ["sagakit.ProcessSettled"]


async def test_an_instance_is_not_told_of_itself() -> None:
    app = handlers(App("t"))

    @app.saga(key="key", receives=(Shipped, ProcessSettled))
    async def order(placed: Placed, saga: Saga) -> None:
        await saga.receive(Shipped)

    async with running(World(), app=app) as (one, store):
        await placed(one)
        await one.publish(Shipped())
        await one.settle()
        found = await row(store, order_id())
        assert (found.status, found.version) == ("completed", 2)


async def test_a_listener_that_cannot_take_them_parks_and_no_more_is_told() -> None:
    app = handlers(App("t"))

    @app.on(retry=Retry(1))
    async def page(event: CommandParked) -> None:
        raise ConnectionError("the pager is down")

    async with running(World(down={Note}), app=app) as (one, store):
        await one.send(Note())
        await one.advance(seconds=100)
        assert await told(store) == ["sagakit.CommandParked"]
        parked = await store.find_deliveries(DeliveryQuery(state="parked"))
        assert sorted(one.consumer for one in parked) == ["t.note", "t.page"]


async def test_they_are_told_to_plain_listeners_and_other_modules() -> None:
    world = World()
    alarms = Module("alarms")

    @alarms.on
    def alarm(event: ProcessParked | CompensationFailed) -> Page:
        return Page(event.instance)

    @alarms.handles
    async def page(command: Page, world: World) -> Paged:
        world.notes.append(command.instance)
        return Paged(command.instance)

    app = App("app", alarms, shop(broken))
    assert not app.warnings
    async with running(world, app=app) as (one, _):
        await one.publish(Placed())
        await one.settle()
    assert world.notes == [order_id()]


async def test_charges_are_not_parked_while_they_are_tried() -> None:
    heard: list[Any] = []
    async with running(World(down={Charge}), app=listening(shop(), heard)) as (one, _):
        await placed(one, seconds=100)
    assert heard == []
    with pytest.raises(UnknownMessage):
        async with running(World(), app=listening(shop(), heard)) as (one, _):
            await one.send(ProcessSettled("t.order", "a", "x", "completed", "", ""))


async def test_one_whose_process_is_declared_no_more_can_be_abandoned_and_that_is_told() -> None:
    heard: list[Any] = []
    store = new_store()
    async with running(World(), store=store) as (one, _):
        id = await placed(one)
    async with running(World(), app=listening(handlers(App("t")), heard), store=store) as (one, _):
        await one.operator.act(id, "abandon", **WHO)
        await one.settle()
    assert heard == [ProcessSettled("t.order", "a", id, "abandoned", "cancelled", "by hand")]


async def test_a_parent_is_told_of_a_child_whose_process_is_declared_no_more() -> None:
    def parents(app: App) -> App:
        @app.handles
        async def page(command: Page) -> Paged:
            return Paged(command.instance)

        @app.saga(key="key", name="parent")
        async def parent(placed: Placed, saga: Saga) -> None:
            await saga.do(Reserve(placed.key), then=Reserved)

        return app

    store = new_store()
    whole, later = parents(App("t")), parents(App("t"))

    @whole.saga(key="key", receives=Shipped, name="child")
    async def child(reserve: Reserve, saga: Saga) -> Reserved:
        await saga.receive(Shipped)
        return Reserved(reserve.key)

    @later.handles
    async def reserve(command: Reserve) -> Reserved:
        return Reserved(command.key)

    async with running(World(), app=whole, store=store) as (one, _):
        await placed(one)
    async with running(World(), app=later, store=store) as (one, _):
        await one.operator.act(instance_id("t.child", "a"), "abandon", **WHO)
        await one.settle()
        found = await row(store, instance_id("t.parent", "a"))
        assert found.status == "compensated"
