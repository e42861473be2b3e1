"""A trip with a stay inside, and in that a meal: each a saga that starts with a command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Self

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

from sagakit import App, Cancelled, Context, End, Failed, Message, Retry, Saga, Step, Undoing

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


def _step(command: Any, what: str) -> Step:
    """A step that holds something, built by functions: the class alone would not say what."""

    def do(start: BookTrip | BookStay) -> Hold:
        return Hold(start.trip_id, what)

    def drop(start: BookTrip | BookStay) -> Drop:
        return Drop(start.trip_id, what)

    do.__annotations__["start"] = drop.__annotations__["start"] = command
    return Step(do, then=Held, undo=drop, name=what)


def _trip_in_steps(app: App) -> None:
    app.step_saga(
        "trip",
        _step(BookTrip, "visa"),
        Step(BookStay, then=StayBooked, undo=CancelStay),
        _step(BookTrip, "bag"),
        starts_with=BookTrip,
        key="trip_id",
        returns=TripBooked,
    )


def _stay_in_steps(app: App) -> None:
    app.step_saga(
        "stay",
        _step(BookStay, "room"),
        Step(OrderMeal, then=MealOrdered, undo=CancelMeal),
        _step(BookStay, "key"),
        starts_with=BookStay,
        key="trip_id",
        returns=StayBooked,
    )


@dataclass(frozen=True)
class ByHand:
    """A process manager that does three things, and undoes them itself; the one in the middle starts a process."""

    trip_id: str = ""
    sent: int = 0
    """How many of its commands may have been done."""
    reason: str = ""
    again: bool = False
    """It was told a second time that it is cancelled."""

    def commands(self) -> Sequence[tuple[Message, Message]]:
        """What it does, and what undoes that."""
        raise NotImplementedError

    def _next(self) -> Message:
        return self.commands()[self.sent - 1][0]

    def _undo(self) -> Message:
        if not self.sent:
            return End("compensated", self.reason)
        do, undo = self.commands()[self.sent - 1]
        return Undoing(undo, of=do)

    def is_of_another(self, event: object) -> bool:
        """Whether it came by key, and says what another process of this trip holds."""
        mine = {command.what for pair in self.commands() for command in pair if isinstance(command, Hold)}
        return isinstance(event, Held | Declined | Dropped) and event.what not in mine

    def told(self, event: object) -> Self:
        if self.is_of_another(event):
            return self
        match event:
            case BookTrip(trip_id) | BookStay(trip_id):
                return replace(self, trip_id=trip_id, sent=1)
            case Held() | StayBooked() | MealOrdered():
                return self if self.reason else replace(self, sent=self.sent + 1)
            case Declined(_, _, reason):
                return replace(self, sent=self.sent - 1, reason=reason)
            case Failed(_, reason, known_not_done):
                return replace(self, sent=self.sent - known_not_done, reason=self.reason or reason)
            case Cancelled(reason):
                return replace(self, reason=self.reason or reason, again=bool(self.reason))
            case _:
                return replace(self, sent=self.sent - 1)

    def answer(self, event: object, last: Message) -> Message | Sequence[Message] | None:
        if self.is_of_another(event) or (isinstance(event, Cancelled) and self.again):
            return None
        if self.reason:
            late = isinstance(event, Held | StayBooked | MealOrdered)
            return None if late else self._undo()
        return [last, End("completed")] if self.sent > len(self.commands()) else self._next()


class TripByHand(ByHand):
    def commands(self) -> Sequence[tuple[Message, Message]]:
        id = self.trip_id
        return (
            (Hold(id, "visa"), Drop(id, "visa")),
            (BookStay(id), CancelStay(id)),
            (Hold(id, "bag"), Drop(id, "bag")),
        )

    def evolve(
        self,
        event: BookTrip | Held | StayBooked | Declined | Dropped | StayCancelled | Failed[Message] | Cancelled,
    ) -> Self:
        return self.told(event)

    def react(
        self,
        event: BookTrip | Held | StayBooked | Declined | Dropped | StayCancelled | Failed[Message] | Cancelled,
    ) -> Sequence[Hold | BookStay | TripBooked | Undoing | End] | Message | None:
        return self.answer(event, TripBooked(self.trip_id))


class StayByHand(ByHand):
    def commands(self) -> Sequence[tuple[Message, Message]]:
        id = self.trip_id
        return (
            (Hold(id, "room"), Drop(id, "room")),
            (OrderMeal(id), CancelMeal(id)),
            (Hold(id, "key"), Drop(id, "key")),
        )

    def evolve(
        self,
        event: BookStay | Held | MealOrdered | Declined | Dropped | MealCancelled | Failed[Message] | Cancelled,
    ) -> Self:
        return self.told(event)

    def react(
        self,
        event: BookStay | Held | MealOrdered | Declined | Dropped | MealCancelled | Failed[Message] | Cancelled,
    ) -> Sequence[Hold | OrderMeal | StayBooked | Undoing | End] | Message | None:
        return self.answer(event, StayBooked(self.trip_id))


def _trip_by_hand(app: App) -> None:
    app.process_manager(key="trip_id", starts_with=BookTrip, name="trip")(TripByHand)


def _stay_by_hand(app: App) -> None:
    app.process_manager(key="trip_id", starts_with=BookStay, name="stay")(StayByHand)


TRIPS: dict[str, Callable[[App], Any]] = {
    "code": lambda app: app.saga(key="trip_id")(trip),
    "steps": _trip_in_steps,
    "manager": _trip_by_hand,
}
STAYS: dict[str, Callable[[App], Any]] = {
    "code": lambda app: app.saga(key="trip_id")(stay),
    "steps": _stay_in_steps,
    "manager": _stay_by_hand,
}


@cache
def trips(trip_in: str = "code", stay_in: str = "code") -> App:
    """A trip written in one way, a stay in one way; the meal is code."""
    app = with_handlers()
    TRIPS[trip_in](app)
    STAYS[stay_in](app)
    app.saga(key="trip_id")(meal)
    return app
