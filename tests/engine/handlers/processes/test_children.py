"""A process that a command has started answers it with its end, and is cancelled when whoever sent it gives it up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import pytest
from tests.acceptance.trips.agency import ALL, Agency
from tests.acceptance.trips.messages import (
    BookStay,
    BookTrip,
    CancelStay,
    Drop,
    Dropped,
    Held,
    Hold,
    StayBooked,
    StayCancelled,
    TripBooked,
)
from tests.acceptance.trips.processes import MEAL, STAY, STAYS, TRIP, meal, trips, with_handlers
from tests.each_store import ON_EACH_STORE, AnyStore, new_store, only_on
from tests.engine.stage import until

from sagakit import App, NotFound, OutcomeUnknown, Refused, Saga
from sagakit.core.commit import Commit, DeliveryChange, Fence
from sagakit.core.streams import instance_id
from sagakit.engine.limits import Limits
from sagakit.testing.manual import ManualEngine, engine

pytestmark = ON_EACH_STORE


@dataclass(frozen=True)
class Begin:
    key: str


@dataclass(frozen=True)
class Ask:
    key: str | None
    number: int = 0


@dataclass(frozen=True)
class Answered:
    key: str
    number: int = 0


@dataclass(frozen=True)
class Progress:
    key: str


@dataclass(frozen=True)
class Ended:
    key: str
    said: str


@dataclass(frozen=True)
class Go:
    """What a child waits for."""

    key: str


@asynccontextmanager
async def running(
    agency: Agency, app: App | None = None, *, store: AnyStore | None = None, limits: Limits | None = None
) -> AsyncIterator[ManualEngine]:
    async with engine(app or trips(), provide={Agency: agency}, store=store, limits=limits) as one:
        yield one


async def status(one: ManualEngine, process: str, key: str = "t") -> str:
    try:
        return await one.status(process, key)
    except NotFound:
        return "none"


async def ends(one: ManualEngine) -> list[str]:
    return [await status(one, process) for process in (TRIP, STAY, MEAL)]


# ---------------------------------------------------------------------- awaited


async def test_a_parent_awaits_its_child() -> None:
    agency = Agency()
    async with running(agency) as one:
        assert await one.send_and_wait(BookTrip("t"), until=TripBooked) == TripBooked("t")
        assert await ends(one) == ["completed"] * 3
    assert tuple(agency.held) == ALL


async def test_an_outcome_belongs_to_the_command_that_started_the_process() -> None:
    store = new_store()
    async with running(Agency(), store=store) as one:
        receipt = await one.send(BookTrip("t"))
        await one.settle()
        story = await store.read_story(receipt.correlation_id)
    commands = {envelope.type: envelope.id for envelope in story}
    causes = {envelope.type: envelope.causation_id for envelope in story}
    assert causes["trips.StayBooked"] == commands["trips.BookStay"]
    assert causes["trips.TripBooked"] == receipt.message_id


async def test_a_child_may_end_at_once() -> None:
    app = App("t")

    @app.saga(key="key")
    async def child(start: Ask, saga: Saga) -> Answered:
        return Answered(saga.key, start.number)

    @app.saga(key="key")
    async def parent(start: Begin, saga: Saga) -> Ended:
        both = [saga.do(Ask(f"{start.key}{number}", number), then=Answered) for number in range(50)]
        numbers = [one.number for one in await saga.all(*both)]
        one = await saga.first(*(saga.do(Ask(f"{start.key} {number}", number), then=Answered) for number in (7, 8)))
        return Ended(start.key, f"{sum(numbers)} {one.number}")

    async with engine(app) as one:
        assert await one.send_and_wait(Begin("a"), until=Ended) == Ended("a", f"{sum(range(50))} 7")
        await one.settle()
        assert await status(one, "t.child", "a 8") in ("none", "completed")


async def test_a_hundred_sagas_inside_one_another() -> None:
    app = App("t")

    @app.saga(key="number")
    async def nested(start: Ask, saga: Saga) -> Answered:
        if start.number:
            await saga.do(Ask(start.key, start.number - 1), then=Answered)
        return Answered(str(start.key), start.number)

    async with engine(app) as one:
        assert await one.send_and_wait(Ask("a", 100), until=Answered) == Answered("a", 0)
        await one.settle()
        assert await status(one, "t.nested", "100") == "completed"


@pytest.mark.parametrize("cached", [1, 1_000])
async def test_instances_that_have_left_the_memory(cached: int) -> None:
    store, limits = new_store(), Limits(cached=cached, stop_within=0.01)
    for way in STAYS:
        agency, key = Agency(), f"t in {way}"
        agency.closes("hold key")
        async with running(agency, trips("code", way), store=store, limits=limits) as one:
            await one.send(BookTrip(key))
            await until(lambda agency=agency: agency.runs["hold key"])
            await asyncio.gather(*(one.send(BookTrip(f"{key} {number}")) for number in range(3)))
        agency.opens("hold key")
        async with running(agency, trips("code", way), store=store, limits=limits) as one:
            await one.settle()
            assert await one.status(TRIP, key) == "completed"


async def test_a_step_without_a_result() -> None:
    app = with_handlers()

    @app.saga(key="key")
    async def child(start: Ask, saga: Saga) -> None:
        await saga.do(Hold("t", "bag"), then=Held)

    @app.saga(key="key")
    async def parent(start: Begin, saga: Saga) -> Ended:
        done = await saga.do(Ask(start.key), then=None)
        return Ended(start.key, str(done))

    async with running(Agency(), app) as one:
        assert await one.send_and_wait(Begin("a"), until=Ended) == Ended("a", "None")


async def test_what_a_child_publishes_on_the_way_is_no_outcome() -> None:
    app = App("t")

    @app.saga(key="key", receives=Go)
    async def child(start: Ask, saga: Saga) -> Answered:
        saga.publish(Progress(saga.key))
        await saga.receive(Go)
        return Answered(saga.key)

    @app.saga(key="key", receives=Progress)
    async def parent(start: Begin, saga: Saga) -> Ended:
        answer, progress = await saga.all(saga.do(Ask(start.key), then=Answered), saga.receive(Progress))
        return Ended(start.key, f"{answer.key} {progress.key}")

    async with engine(app) as one:
        waiting = asyncio.create_task(one.send_and_wait(Begin("a"), until=Ended))
        await one.settle()
        assert await status(one, "t.parent", "a") == "running"
        await one.publish(Go("a"))
        assert await waiting == Ended("a", "a a")


async def test_an_outcome_goes_to_others_too() -> None:
    app, heard = App("t"), list[Answered]()

    @app.saga(key="key")
    async def child(start: Ask, saga: Saga) -> Answered:
        return Answered(saga.key)

    @app.saga(key="key", receives=Answered)
    async def parent(start: Begin, saga: Saga) -> Ended:
        await saga.do(Ask(start.key), then=Answered)
        got = await saga.first(saga.receive(Answered), saga.sleep(1))
        return Ended(start.key, str(got))

    @app.saga(key="key")
    async def after(start: Answered, saga: Saga) -> None: ...

    @app.on
    async def listen(event: Answered) -> None:
        heard.append(event)

    async with engine(app) as one:
        await one.send(Begin("a"))
        await one.settle()
        await one.advance(seconds=2)
        assert await status(one, "t.after", "a") == "completed"
        assert await status(one, "t.parent", "a") == "completed"
    assert heard == [Answered("a")]


async def test_a_listener_may_start_a_saga() -> None:
    app = with_handlers()

    @app.saga(key="key")
    async def child(start: Ask, saga: Saga) -> Answered:
        return Answered(saga.key)

    @app.on
    def whenever(event: Held) -> Ask:
        return Ask(event.trip_id)

    async with running(Agency(), app) as one:
        assert await one.send_and_wait(Hold("a", "bag"), until=Answered) == Answered("a")


# ---------------------------------------------------------------------- undone


async def test_a_refusal_deep_down_undoes_all() -> None:
    agency = Agency(hold_wine="refused")
    async with running(agency) as one:
        with pytest.raises(Refused, match="says no"):
            await one.send_and_wait(BookTrip("t"), until=TripBooked)
        await one.settle()
        assert await ends(one) == ["compensated"] * 3
    assert agency.actions == ["hold visa", "hold room", "hold table", "drop table", "drop room", "drop visa"]


async def test_a_parent_may_take_another_way() -> None:
    app = with_handlers()
    app.saga(key="trip_id")(meal)
    STAYS["code"](app)

    @app.saga(key="trip_id")
    async def trip(start: BookTrip, saga: Saga) -> TripBooked:
        with suppress(Refused):
            await saga.do(BookStay(start.trip_id), then=StayBooked, undo=CancelStay(start.trip_id))
        await saga.do(Hold(start.trip_id, "tent"), then=Held)
        return TripBooked(start.trip_id)

    agency = Agency(hold_wine="refused")
    async with running(agency, app) as one:
        # the story goes on while the child undoes what it has done
        assert await one.send_and_wait(BookTrip("t"), until=TripBooked) == TripBooked("t")
        assert await ends(one) == ["completed", "compensated", "compensated"]
    assert agency.held == ["tent"]


@pytest.mark.parametrize("at", ALL)
async def test_a_cancel_of_the_parent_at_every_point(at: str) -> None:
    agency = Agency()
    agency.closes(f"hold {at}")
    async with running(agency) as one:
        await one.send(BookTrip("t"))
        await until(lambda: agency.runs[f"hold {at}"])
        await one.cancel(TRIP, "t", reason="no more")
        await one.settle()
        assert await one.status(TRIP, "t") == "compensated"
    assert agency.held == []
    assert agency.in_order()


async def race(turns: int, *, cancel_first: bool) -> tuple[str, bool]:
    """A cancel of the trip and the end of its stay, so many turns of the loop apart: how the stay ended."""
    agency, store = Agency(), new_store()
    agency.closes("hold key")
    async with running(agency, store=store) as one:
        await one.send(BookTrip("t"))
        await until(lambda: agency.runs["hold key"])
        if not cancel_first:
            agency.opens("hold key")
        cancel = asyncio.create_task(one.cancel(TRIP, "t", reason="no more"))
        for _ in range(turns):
            await asyncio.sleep(0)
        agency.opens("hold key")
        await cancel
        await one.settle()
        assert await one.status(TRIP, "t") == "compensated"
        stay = await one.status(STAY, "t")
        log = await store.read_messages()
    assert agency.held == []
    assert agency.in_order(), agency.actions
    return stay, any(envelope.type == "sagakit.CancelChild" for envelope in log)


@only_on("memory", because="it counts turns of the event loop")
async def test_a_cancel_races_the_end_of_the_child() -> None:
    seen = {await race(turns, cancel_first=first) for turns in range(12) for first in (True, False)}
    # undone in time; done before its parent was cancelled; done, and its parent heard of it after it had given it up
    assert seen == {("compensated", True), ("completed", False), ("completed", True)}


async def test_a_cancel_of_the_child_alone_refuses_its_parent() -> None:
    agency = Agency()
    agency.closes("hold wine")
    async with running(agency) as one:
        waiting = asyncio.create_task(one.send_and_wait(BookTrip("t"), until=TripBooked))
        await until(lambda: agency.runs["hold wine"])
        await one.cancel(STAY, "t", reason="no rooms")
        with pytest.raises(Refused, match="no rooms"):
            await waiting
        await one.settle()
        assert await ends(one) == ["compensated"] * 3
    assert agency.held == []


async def test_a_child_whose_time_has_passed_is_undone_before_the_parent_goes_on() -> None:
    app = with_handlers()
    app.saga(key="trip_id")(meal)
    STAYS["code"](app)

    @app.saga(key="trip_id")
    async def trip(start: BookTrip, saga: Saga) -> TripBooked:
        with suppress(OutcomeUnknown):
            await saga.do(BookStay(start.trip_id), then=StayBooked, undo=CancelStay(start.trip_id), timeout=60)
        await saga.do(Hold(start.trip_id, "tent"), then=Held)
        return TripBooked(start.trip_id)

    agency = Agency()
    agency.closes("hold wine")
    async with running(agency, app) as one:
        await one.send(BookTrip("t"))
        await until(lambda: agency.runs["hold wine"])
        await one.advance(seconds=61)
        await one.settle()
        assert await ends(one) == ["completed", "compensated", "compensated"]
    assert agency.actions == ["hold room", "hold table", "drop wine", "drop table", "drop room", "hold tent"]


async def test_a_child_that_loses_is_undone_before_first_returns() -> None:
    app = with_handlers()
    app.saga(key="trip_id")(meal)
    STAYS["code"](app)

    @app.saga(key="trip_id")
    async def trip(start: BookTrip, saga: Saga) -> TripBooked:
        stay = saga.do(BookStay(start.trip_id), then=StayBooked, undo=CancelStay(start.trip_id))
        await saga.first(stay, saga.do(Hold(start.trip_id, "tent"), then=Held))
        await saga.do(Hold(start.trip_id, "bag"), then=Held)
        return TripBooked(start.trip_id)

    agency = Agency()
    agency.closes("hold tent")
    agency.closes("hold wine")
    async with running(agency, app) as one:
        await one.send(BookTrip("t"))
        await until(lambda: agency.runs["hold wine"])
        agency.opens("hold tent")
        await one.settle()
        assert await ends(one) == ["completed", "compensated", "compensated"]
    assert agency.actions[-4:] == ["drop wine", "drop table", "drop room", "hold bag"]


async def test_a_child_that_nobody_waits_for_goes_on() -> None:
    app = with_handlers()
    app.saga(key="trip_id")(meal)
    STAYS["code"](app)

    @app.saga(key="trip_id")
    async def trip(start: BookTrip, saga: Saga) -> TripBooked:
        saga.send(BookStay(start.trip_id))
        await saga.do(Hold(start.trip_id, "bag"), then=Held)
        return TripBooked(start.trip_id)

    agency = Agency(hold_bag="refused")
    agency.closes("hold wine")
    async with running(agency, app) as one:
        await one.send(BookTrip("t"))
        await until(lambda: agency.runs["hold wine"])
        assert await one.status(TRIP, "t") == "compensated"
        agency.opens("hold wine")
        await one.settle()
        assert await ends(one) == ["compensated", "completed", "completed"]


async def test_an_undo_may_be_a_saga_too() -> None:
    app = with_handlers()

    @app.saga(key="key")
    async def give_back(start: Ask, saga: Saga) -> None:
        await saga.do(Hold("t", "receipt"), then=Held)

    @app.saga(key="key")
    async def parent(start: Begin, saga: Saga) -> None:
        await saga.do(Hold("t", "visa"), then=Held, undo=Ask(start.key))
        await saga.do(Hold("t", "bag"), then=Held)

    agency = Agency(hold_bag="refused")
    async with running(agency, app) as one:
        await one.send(Begin("a"))
        await one.settle()
        assert await status(one, "trips.parent", "a") == "compensated"
    assert agency.actions == ["hold visa", "hold receipt"]


# ---------------------------------------------------------------------- in a batch


def batching(*, undo: bool) -> tuple[App, list[str]]:
    """A batch of children, each of which holds something and waits until it may go on."""
    app, done = App("t"), list[str]()

    @app.handles
    async def hold(command: Hold) -> Held:
        done.append(f"hold {command.what}")
        return Held(command.trip_id, command.what)

    @app.handles
    async def drop(command: Drop) -> Dropped:
        done.append(f"drop {command.what}")
        return Dropped(command.trip_id, command.what)

    @app.handles
    async def cancel(command: CancelStay) -> StayCancelled:
        done.append(f"cancel {command.trip_id}")
        return StayCancelled(command.trip_id)

    @app.saga(key="key", receives=Go)
    async def child(start: Ask, saga: Saga) -> Answered:
        await saga.do(Hold("t", saga.key), then=Held, undo=Drop("t", saga.key))
        await saga.receive(Go)
        return Answered(saga.key)

    @app.saga(key="key")
    async def parent(start: Begin, saga: Saga) -> Ended:
        def ask(key: str) -> Ask:
            return Ask(key)

        def back(key: str) -> CancelStay:
            return CancelStay(key)

        each = await saga.each("abcde", ask, then=Answered, at_once=3, undo=back if undo else None)
        return Ended(start.key, f"{each.done} {each.failed}")

    return app, done


async def test_a_batch_of_children() -> None:
    app, _ = batching(undo=True)
    async with engine(app) as one:
        waiting = asyncio.create_task(one.send_and_wait(Begin("p"), until=Ended))
        await one.settle()
        await one.cancel("t.child", "b", reason="not this one")
        for key in "acde":
            await one.settle()
            await one.publish(Go(key))
        assert await waiting == Ended("p", "4 1")


@pytest.mark.parametrize("undo", [True, False])
@pytest.mark.parametrize("again", [True, False])
async def test_a_batch_of_children_is_cancelled_with_its_parent(undo: bool, again: bool) -> None:
    (app, done), store = batching(undo=undo), new_store()
    async with engine(app, store=store) as one:
        await one.send(Begin("p"))
        await one.settle()
        await one.publish(Go("a"))
        await one.settle()
        if not again:
            await one.cancel("t.parent", "p", reason="no more")
            await one.settle()
    async with engine(app, store=store.again()) as one:
        if again:
            await one.cancel("t.parent", "p", reason="no more")
        await one.settle()
        assert await status(one, "t.parent", "p") == "compensated"
        ended = [await status(one, "t.child", key) for key in "abcde"]
    assert ended == ["completed", "compensated", "compensated", "compensated", "none"]
    assert sorted(done[4:]) == [*(["cancel a"] if undo else []), "drop b", "drop c", "drop d"]


async def test_children_of_a_batch_that_were_done_when_it_was_given_up() -> None:
    app, done = batching(undo=True)
    async with engine(app) as one:
        await one.send(Begin("p"))
        await one.settle()
        await one.operator.pause("instance", instance_id("t.parent", "p"), by="ada", reason="wait")
        await one.cancel("t.parent", "p", reason="no more")
        await one.publish(Go("b"))
        await one.settle()
        await one.operator.resume("instance", instance_id("t.parent", "p"), by="ada", reason="go on")
        await one.settle()
        assert await status(one, "t.parent", "p") == "compensated"
        assert [await status(one, "t.child", key) for key in "abc"] == ["compensated", "completed", "compensated"]
    assert sorted(done[3:]) == ["cancel b", "drop a", "drop c"]


# ---------------------------------------------------------------------- keys


def asking() -> App:
    """A saga that waits until it may go on; parents say what they were told."""
    app = App("t")

    @app.saga(key="key", receives=Go)
    async def child(start: Ask, saga: Saga) -> Answered:
        await saga.receive(Go)
        return Answered(saga.key)

    @app.saga(key="key")
    async def parent(start: Begin, saga: Saga) -> Ended:
        try:
            answer = await saga.do(Ask("one"), then=Answered)
        except Refused as refused:
            return Ended(start.key, refused.reason)
        return Ended(start.key, f"answered {answer.key}")

    return app


USED = "t.child: the key 'one' is used"


async def test_a_used_key_stays_used() -> None:
    app = asking()
    async with engine(app) as one:
        first = asyncio.create_task(one.send_and_wait(Begin("a"), until=Ended))
        await one.settle()
        assert await one.send_and_wait(Begin("b"), until=Ended) == Ended("b", USED)
        with pytest.raises(Refused, match=USED):
            await one.send_and_wait(Ask("one"), until=Answered)
        await one.publish(Go("one"))
        assert await first == Ended("a", "answered one")
        assert await one.send_and_wait(Begin("c"), until=Ended) == Ended("c", USED)


async def test_two_starts_for_one_key_at_the_same_time() -> None:
    app = asking()
    async with engine(app) as one:
        told = [asyncio.create_task(one.send_and_wait(Begin(key), until=Ended)) for key in "abcd"]
        await one.settle()
        await one.publish(Go("one"))
        said = sorted([(await one_told).said for one_told in told])
        assert said == ["answered one", USED, USED, USED]


async def test_a_cancel_of_one_whose_start_was_refused_leaves_the_child_alone() -> None:
    app = asking()

    @app.saga(key="key", receives=Progress)
    async def impatient(start: Progress, saga: Saga) -> None:
        with suppress(Refused):
            await saga.do(Ask("one"), then=Answered)

    async with engine(app) as one:
        first = asyncio.create_task(one.send_and_wait(Begin("a"), until=Ended))
        await one.settle()
        await one.publish(Progress("x"))
        await one.settle()
        assert await status(one, "t.impatient", "x") == "completed"
        assert await status(one, "t.child", "one") == "running"
        await one.publish(Go("one"))
        assert (await first).said == "answered one"


async def test_a_key_that_is_for_nobody() -> None:
    app = asking()

    @app.saga(key="key")
    async def nobody(start: Progress, saga: Saga) -> Ended:
        try:
            await saga.do(Ask(None), then=Answered)
        except Refused as refused:
            return Ended(start.key, refused.reason)
        raise AssertionError

    async with engine(app) as one:
        with pytest.raises(Refused, match="its key is None"):
            await one.send_and_wait(Ask(None), until=Answered)
        await one.publish(Progress("x"))
        await one.settle()
        assert await status(one, "t.nobody", "x") == "completed"


# ---------------------------------------------------------------------- parked


def breaking(*, broken: bool, at_start: bool = False) -> App:
    """A child with a bug, before or after it has done something; and the same without the bug."""
    app = with_handlers()

    @app.saga(key="key")
    async def child(start: Ask, saga: Saga) -> Answered:
        if at_start and broken:
            raise ValueError("a bug")
        await saga.do(Hold("t", "room"), then=Held, undo=Drop("t", "room"))
        if broken:
            raise ValueError("a bug")
        return Answered(saga.key)

    @app.saga(key="key")
    async def parent(start: Begin, saga: Saga) -> Ended:
        await saga.do(Hold("t", "visa"), then=Held, undo=Drop("t", "visa"))
        await saga.do(Ask(start.key), then=Answered, undo=Drop("t", "room"))
        return Ended(start.key, "well")

    return app


async def retry_parked(store: AnyStore) -> None:
    """As an operator does."""
    await store.open()
    for delivery in await store.read_deliveries():
        if delivery.state == "parked":
            fence = Fence(delivery.id, delivery.attempt)
            await store.commit([Commit(changes=[DeliveryChange(fence, "ready", delivery.attempt + 1)])])
    await store.close()


@pytest.mark.parametrize("at_start", [False, True])
@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_parked_child_is_waited_for(at_start: bool, cancelled: bool) -> None:
    store, agency = new_store(), Agency()
    async with running(agency, breaking(broken=True, at_start=at_start), store=store) as one:
        await one.send(Begin("a"))
        await one.settle()
        assert await status(one, "trips.child", "a") == "parked"
        assert await status(one, "trips.parent", "a") == "running"
        if cancelled:
            await one.cancel("trips.parent", "a", reason="no more")
            await one.settle()
            # a start that could not be handled is given up with its step; else the cancel waits behind what is parked
            assert await status(one, "trips.parent", "a") == ("compensated" if at_start else "undoing")
    store = store.again()
    await retry_parked(store)
    async with running(agency, breaking(broken=False), store=store.again()) as one:
        await one.settle()
        expected = "compensated" if cancelled else "completed"
        assert await status(one, "trips.parent", "a") == expected
        if cancelled:
            assert agency.held == []
