"""A trip with a stay inside, and in that a meal: each a saga that starts with a command."""

from __future__ import annotations

from typing import Any

from tests.acceptance.trips.agency import Agency
from tests.acceptance.trips.messages import (
    BookStay,
    BookTrip,
    CancelMeal,
    CancelStay,
    Declined,
    Drop,
    Dropped,
    Held,
    Hold,
    MealCancelled,
    MealOrdered,
    OrderMeal,
    StayBooked,
    StayCancelled,
    TripBooked,
)

from sagakit import App, Context, Retry, Saga

RETRY = Retry(3, first=1.0, jitter=0.0)
TRIP, STAY, MEAL = "trips.trip", "trips.stay", "trips.meal"


def hold(saga: Saga, trip_id: str, what: str) -> Any:
    return saga.do(Hold(trip_id, what), then=Held, undo=Drop(trip_id, what))


async def trip(start: BookTrip, saga: Saga) -> TripBooked:
    id = start.trip_id
    await saga.do(Hold(id, "visa"), then=Held, undo=Drop(id, "visa"))
    await saga.do(BookStay(id), then=StayBooked, undo=CancelStay(id))
    await saga.do(Hold(id, "bag"), then=Held, undo=Drop(id, "bag"))
    return TripBooked(id)


async def stay(start: BookStay, saga: Saga) -> StayBooked:
    id = start.trip_id
    await saga.do(Hold(id, "room"), then=Held, undo=Drop(id, "room"))
    await saga.do(OrderMeal(id), then=MealOrdered, undo=CancelMeal(id))
    await saga.do(Hold(id, "key"), then=Held, undo=Drop(id, "key"))
    return StayBooked(id)


async def meal(start: OrderMeal, saga: Saga) -> MealOrdered:
    id = start.trip_id
    await saga.do(Hold(id, "table"), then=Held, undo=Drop(id, "table"))
    await saga.do(Hold(id, "wine"), then=Held, undo=Drop(id, "wine"))
    return MealOrdered(id)


def with_handlers(name: str = "trips") -> App:
    """An app that holds, drops and cancels."""
    app = App(name)

    @app.handles(retry=RETRY)
    async def hold(command: Hold, agency: Agency, context: Context) -> Held | Declined:
        success, refusal = Held(command.trip_id, command.what), Declined(command.trip_id, command.what, "says no")
        answer: Held | Declined = await agency.act(f"hold {command.what}", context.idempotency_key, success, refusal)
        return answer

    @app.handles(retry=RETRY)
    async def drop(command: Drop, agency: Agency, context: Context) -> Dropped:
        answer: Dropped = await agency.act(
            f"drop {command.what}", context.idempotency_key, Dropped(command.trip_id, command.what)
        )
        return answer

    @app.handles(retry=RETRY)
    async def cancel_stay(command: CancelStay, agency: Agency, context: Context) -> StayCancelled:
        answer: StayCancelled = await agency.act("cancel stay", context.idempotency_key, StayCancelled(command.trip_id))
        return answer

    @app.handles(retry=RETRY)
    async def cancel_meal(command: CancelMeal, agency: Agency, context: Context) -> MealCancelled:
        answer: MealCancelled = await agency.act("cancel meal", context.idempotency_key, MealCancelled(command.trip_id))
        return answer

    return app


def trips() -> App:
    """All three as code."""
    app = with_handlers()
    for code in (trip, stay, meal):
        app.saga(key="trip_id")(code)
    return app
