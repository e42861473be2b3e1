"""A command that is given up at one worker, and runs at another: its undo waits until nothing of it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass

import pytest
from tests.engine.workers.crew import PATIENCE, Crew, crew

from sagakit import App, Context, Saga
from sagakit.core.cluster.members import WITHDRAW
from sagakit.core.streams import instance_id, lane_name, partition
from sagakit.engine.workers.owning.assignment import shared_out

PROCESS = "trips.travel"


@dataclass(frozen=True)
class Travel:
    trip: str
    desk: str
    other: str


@dataclass(frozen=True)
class Book:
    desk: str


@dataclass(frozen=True)
class Booked:
    desk: str


@dataclass(frozen=True)
class Unbook:
    other: str


@dataclass(frozen=True)
class Unbooked:
    other: str


class Desk:
    """What the handlers have done, in their order."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.gate = asyncio.Event()
        self.stubborn = False
        """A cancelled booking goes on for a while."""
        self.leave = asyncio.Event()


def trips() -> App:
    app = App("trips")

    @app.handles(key="desk")
    async def book(command: Book, desk: Desk, context: Context) -> Booked:
        desk.done.append("begin")
        try:
            await desk.gate.wait()
        except asyncio.CancelledError:
            if desk.stubborn:
                await desk.leave.wait()
            desk.done.append("cancelled")
            raise
        desk.done.append("booked")
        return Booked(command.desk)

    @app.handles(key="other")
    async def unbook(command: Unbook, desk: Desk) -> Unbooked:
        desk.done.append("unbook")
        return Unbooked(command.other)

    @app.saga(key="trip")
    async def travel(trip: Travel, saga: Saga) -> None:
        await saga.do(Book(trip.desk), then=Booked, undo=Unbook(trip.other), timeout=5)

    return app


def trip_at(made: Crew, saga: str, do: str, undo: str) -> Travel:
    """A trip whose saga, do and undo are at home at these workers."""
    return Travel(
        made.key_at(saga, PROCESS, lambda key: lane_name(PROCESS, instance_id(PROCESS, key))),
        made.key_at(do, "trips.book", lambda key: lane_name("trips.book", key)),
        made.key_at(undo, "trips.unbook", lambda key: lane_name("trips.unbook", key)),
    )


PLACES = [("a", "b", "a"), ("a", "a", "b"), ("a", "b", "b"), ("a", "b", "c"), ("a", "a", "a")]


@pytest.mark.parametrize(("saga", "do", "undo"), PLACES)
async def test_what_runs_elsewhere_is_cancelled_before_its_undo(saga: str, do: str, undo: str) -> None:
    desk = Desk()
    async with crew(trips(), "a", "b", "c", provide={Desk: desk}) as made:
        trip = trip_at(made, saga, do, undo)
        await made.engines["a"].publish(trip)
        await made.rest()
        assert desk.done == ["begin"]
        await made.advance(6)
        await made.settle()
        assert desk.done == ["begin", "cancelled", "unbook"]
        assert await made.engines["a"].status(PROCESS, trip.trip) == "compensated"
        assert not made.data.deliveries


@pytest.mark.parametrize(("saga", "do", "undo"), PLACES)
async def test_an_undo_waits_for_a_run_that_does_not_end_at_once(saga: str, do: str, undo: str) -> None:
    desk = Desk()
    desk.stubborn = True
    async with crew(trips(), "a", "b", "c", provide={Desk: desk}) as made:
        trip = trip_at(made, saga, do, undo)
        await made.engines["a"].publish(trip)
        await made.rest()
        await made.advance(60)
        assert desk.done == ["begin"]
        assert [one.consumer for one in made.data.deliveries.values() if one.consumer == WITHDRAW] == [WITHDRAW]
        desk.leave.set()
        await made.settle()
        assert desk.done == ["begin", "cancelled", "unbook"]
        assert await made.engines["a"].status(PROCESS, trip.trip) == "compensated"
        assert not made.data.deliveries


async def test_a_run_that_ends_while_the_store_is_asked_about_it_holds_its_undo_no_longer() -> None:
    desk = Desk()
    desk.stubborn = True
    async with crew(trips(), "a", "b", "c", provide={Desk: desk}) as made:
        trip = trip_at(made, "a", "b", "c")
        team = made.engines["c"].team
        assert team is not None
        really, asked, answer = team.cluster.withdrawing, asyncio.Event(), asyncio.Event()

        async def slowly(message_ids: Collection[str]) -> set[str]:
            found = await really(message_ids)
            asked.set()
            await answer.wait()
            return found

        team.cluster.withdrawing = slowly  # type: ignore[method-assign]
        await made.engines["a"].publish(trip)
        passing = asyncio.create_task(made.advance(5.5))
        await asyncio.wait_for(asked.wait(), PATIENCE)
        desk.leave.set()
        while made.data.deliveries.keys() - {one.id for one in made.data.deliveries.values() if one.envelope.undoes}:
            await asyncio.sleep(0)
        for _ in range(100):  # the word that it has ended
            await asyncio.sleep(0)
        answer.set()
        await passing
        assert desk.done == ["begin", "cancelled", "unbook"]


async def test_one_that_has_not_begun_is_never_done() -> None:
    """Its lane is held by another one; the handler of that is at another worker."""
    desk = Desk()
    async with crew(trips(), "a", "b", provide={Desk: desk}) as made:
        trip = trip_at(made, "a", "b", "a")
        await made.engines["a"].send(Book(trip.desk))
        await made.rest()
        await made.engines["b"].publish(trip)
        await made.rest()
        await made.advance(6)
        assert desk.done == ["begin", "unbook"]
        desk.gate.set()
        await made.settle()
        assert desk.done == ["begin", "unbook", "booked"]
        assert await made.engines["b"].status(PROCESS, trip.trip) == "compensated"


async def test_a_cancel_at_one_worker_of_an_instance_at_another() -> None:
    desk = Desk()
    async with crew(trips(), "a", "b", "c", provide={Desk: desk}) as made:
        trip = trip_at(made, "b", "c", "a")
        await made.engines["a"].publish(trip)
        await made.rest()
        assert await made.engines["a"].cancel(PROCESS, trip.trip, reason="changed my mind")
        await made.settle()
        assert desk.done == ["begin", "cancelled", "unbook"]
        assert await made.engines["c"].status(PROCESS, trip.trip) == "compensated"
        assert not await made.engines["a"].cancel(PROCESS, trip.trip, reason="once more")


async def test_the_owner_of_the_run_crashes_before_it_is_withdrawn() -> None:
    desk = Desk()
    async with crew(trips(), "a", "b", "c", provide={Desk: desk}) as made:
        trip = trip_at(made, "a", "b", "c")
        await made.engines["a"].publish(trip)
        await made.rest()
        await made.crash("b", noticed=False)
        await made.advance(6)
        assert "unbook" not in desk.done  # nobody knows what b does
        made.data.expire(made.gone["b"])
        await made.beat()
        await made.settle()
        assert desk.done[-1] == "unbook"
        assert await made.engines["a"].status(PROCESS, trip.trip) == "compensated"


async def test_a_child_that_nobody_has_begun_is_withdrawn() -> None:
    """Its worker is gone before it took the child's command: who takes over takes that back, and then the undo ends."""

    @dataclass(frozen=True)
    class Outing:
        trip: str
        child: str

    @dataclass(frozen=True)
    class Walk:
        child: str

    @dataclass(frozen=True)
    class Walked:
        child: str

    app = App("outings")

    @app.saga(key="child")
    async def walk(asked: Walk, saga: Saga) -> Walked:
        await saga.sleep(100)
        return Walked(asked.child)

    @app.saga(key="trip")
    async def outing(begun: Outing, saga: Saga) -> None:
        await saga.do(Walk(begun.child), then=Walked, timeout=5)

    def key_at(made: Crew, name: str, process: str) -> str:
        return made.key_at(name, process, lambda key: lane_name(process, instance_id(process, key)))

    async with crew(app, "a", "b", "c") as made:
        trip, child = key_at(made, "a", "outings.outing"), key_at(made, "b", "outings.walk")
        await made.crash("b", noticed=False)
        await made.engines["a"].publish(Outing(trip, child))
        await made.rest()
        await made.advance(6)
        made.data.expire(made.gone["b"])
        await made.beat()
        await made.finish()
        assert not made.data.deliveries
        assert await made.engines["a"].status(outing, trip) == "compensated"


async def test_a_suspect_that_is_given_up_elsewhere_before_its_turn_is_none_any_more() -> None:
    desk = Desk()
    async with crew(trips(), "a", "b", "c", provide={Desk: desk}) as made:
        then = shared_out(("a", "c"))["c"]
        lanes = [(f"k{n}", lane_name("trips.book", f"k{n}")) for n in range(200)]
        at = [key for key, lane in lanes if made.owner("trips.book", lane) == "b" and partition(lane) in then]
        await made.engines["a"].send(Book(at[0]))
        await made.rest()
        await made.engines["a"].publish(Travel(trip_at(made, "a", "b", "a").trip, at[1], "other"))
        await made.rest()
        assert desk.done == ["begin"] * 2
        await made.crash("b")
        await made.rest()
        suspects = made.engines["c"]._recovery.suspects
        assert (desk.done[4:], len(suspects)) == (["begin"], 2)
        await made.advance(6)  # the trip waits no longer
        assert (desk.done[5:], len(suspects)) == (["unbook"], 1)
        desk.gate.set()
        await made.settle()
        assert desk.done[6:] == ["booked"]
        assert not suspects


async def test_a_suspect_that_is_given_up_elsewhere_lets_the_next_one_run() -> None:
    """After a crash they run one at a time, at whoever has taken over."""
    desk = Desk()
    async with crew(trips(), "a", "b", "c", provide={Desk: desk}) as made:
        then = shared_out(("a", "c"))["c"]
        lanes = [(f"k{n}", lane_name("trips.book", f"k{n}")) for n in range(200)]
        at = [key for key, lane in lanes if made.owner("trips.book", lane) == "b" and partition(lane) in then]
        await made.engines["a"].publish(Travel(trip_at(made, "a", "b", "a").trip, at[0], "other"))
        await made.rest()
        for key in at[1:4]:
            await made.engines["a"].send(Book(key))
        await made.rest()
        assert desk.done == ["begin"] * 4
        await made.crash("b")
        await made.rest()
        assert desk.done == ["begin"] * 4 + ["cancelled"] * 4 + ["begin"]
        await made.advance(6)
        desk.gate.set()
        await made.settle()
        assert desk.done.count("booked") == 3
        assert not made.data.deliveries
