"""Children, batches and answers of participants, at several workers."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from tests.engine.workers.crew import crew

from sagakit import App, Context, Later, Refused, Saga

NAMES = ("a", "b", "c")
JOURNEYS = 12


@dataclass(frozen=True)
class BookJourney:
    journey: str


@dataclass(frozen=True)
class JourneyBooked:
    journey: str


@dataclass(frozen=True)
class BookStay:
    stay: str


@dataclass(frozen=True)
class StayBooked:
    stay: str


@dataclass(frozen=True)
class HoldRoom:
    stay: str


@dataclass(frozen=True)
class RoomHeld:
    stay: str


@dataclass(frozen=True)
class FreeRoom:
    stay: str


@dataclass(frozen=True)
class RoomFreed:
    stay: str


@dataclass(frozen=True)
class Pay:
    journey: str


@dataclass(frozen=True)
class Paid:
    journey: str


@dataclass(frozen=True)
class NotPaid:
    journey: str
    reason: str


class Hotel:
    def __init__(self, *, broke: bool = False) -> None:
        self.rooms: list[str] = []
        self.freed: list[str] = []
        self.broke = broke
        self.asked: dict[str, tuple[str, str]] = {}


def journeys(*, later: bool = False) -> App:
    app = App("journeys")

    @app.handles(key="stay")
    async def hold(command: HoldRoom, hotel: Hotel) -> RoomHeld:
        hotel.rooms.append(command.stay)
        return RoomHeld(command.stay)

    @app.handles(key="stay")
    async def free(command: FreeRoom, hotel: Hotel) -> RoomFreed:
        hotel.freed.append(command.stay)
        return RoomFreed(command.stay)

    @app.saga(key="stay")
    async def stay(command: BookStay, saga: Saga) -> StayBooked:
        await saga.do(HoldRoom(command.stay), then=RoomHeld, undo=FreeRoom(command.stay))
        return StayBooked(command.stay)

    if later:

        @app.handles
        async def pay(command: Pay, hotel: Hotel, context: Context) -> Paid | NotPaid | Later:
            hotel.asked[command.journey] = (context.message_id, context.correlation_id)
            return Later("the bank")

    else:

        @app.handles
        async def pay(command: Pay, hotel: Hotel) -> Paid | NotPaid:
            return NotPaid(command.journey, "broke") if hotel.broke else Paid(command.journey)

    @app.saga(key="journey")
    async def journey(command: BookJourney, saga: Saga) -> JourneyBooked:
        stay = f"{command.journey}-stay"
        await saga.do(BookStay(stay), then=StayBooked, undo=FreeRoom(stay))
        await saga.do(Pay(command.journey), then=Paid)
        return JourneyBooked(command.journey)

    return app


async def test_children_end_at_their_parents_wherever_both_are() -> None:
    hotel = Hotel()
    async with crew(journeys(), *NAMES, provide={Hotel: hotel}) as made:
        for number in range(JOURNEYS):
            door = made.engines[NAMES[number % 3]]
            event = await door.send_and_wait(BookJourney(f"j{number}"), until=JourneyBooked)
            assert event == JourneyBooked(f"j{number}")
        assert len(hotel.rooms) == JOURNEYS


async def test_children_are_undone_with_their_parents() -> None:
    hotel = Hotel(broke=True)
    async with crew(journeys(), *NAMES, provide={Hotel: hotel}) as made:
        for number in range(JOURNEYS):
            door = made.engines[NAMES[number % 3]]
            with pytest.raises(Refused, match="broke"):
                await door.send_and_wait(BookJourney(f"j{number}"), until=JourneyBooked)
        await made.settle()
        assert sorted(hotel.freed) == sorted(hotel.rooms)
        assert len(hotel.freed) == JOURNEYS
        assert not made.data.deliveries


async def test_an_answer_comes_in_at_any_worker() -> None:
    hotel = Hotel()
    async with crew(journeys(later=True), *NAMES, provide={Hotel: hotel}) as made:
        for number in range(JOURNEYS):
            await made.engines["a"].send(BookJourney(f"j{number}"))
        await made.settle()
        assert len(hotel.asked) == JOURNEYS
        for number, (name, (command, story)) in enumerate(sorted(hotel.asked.items())):
            door = made.engines[NAMES[number % 3]]
            await door.answer(command, Paid(name), correlation_id=story)
        await made.settle()
        for number in range(JOURNEYS):
            assert await made.engines["b"].status("journeys.journey", f"j{number}") == "completed"


@dataclass(frozen=True)
class Tour:
    tour: str
    stops: tuple[str, ...]


@dataclass(frozen=True)
class Book:
    stop: str


@dataclass(frozen=True)
class Booked:
    stop: str


@dataclass(frozen=True)
class Full:
    stop: str
    reason: str


@dataclass(frozen=True)
class Unbook:
    stop: str


@dataclass(frozen=True)
class Unbooked:
    stop: str


def tours() -> App:
    app = App("tours")

    @app.handles(key="stop")
    async def book(command: Book, hotel: Hotel) -> Booked | Full:
        if hotel.broke and command.stop == "s70":
            return Full(command.stop, "full")
        hotel.rooms.append(command.stop)
        return Booked(command.stop)

    @app.handles(key="stop")
    async def unbook(command: Unbook, hotel: Hotel) -> Unbooked:
        hotel.freed.append(command.stop)
        return Unbooked(command.stop)

    @app.saga(key="tour")
    async def plan(tour: Tour, saga: Saga) -> None:
        await saga.each(tour.stops, Book, then=Booked, undo=Unbook, stop_at=1, at_once=10)

    return app


@pytest.mark.parametrize("broke", [False, True])
async def test_batches_work_through_their_items_at_all_workers(broke: bool) -> None:
    hotel = Hotel(broke=broke)
    async with crew(tours(), *NAMES, provide={Hotel: hotel}) as made:
        await made.engines["a"].publish(Tour("t", tuple(f"s{number}" for number in range(100))))
        await made.settle()
        status = await made.engines["b"].status("tours.plan", "t")
        assert status == ("compensated" if broke else "completed")
        assert len(hotel.rooms) == len(set(hotel.rooms))
        assert sorted(hotel.freed) == (sorted(hotel.rooms) if broke else [])
        assert broke or len(hotel.rooms) == 100
        assert not made.data.deliveries
