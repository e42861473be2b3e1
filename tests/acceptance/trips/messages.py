"""The commands and events of a trip: three processes, one inside the other, and what they hold on the way."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BookTrip:
    trip_id: str


@dataclass(frozen=True)
class TripBooked:
    trip_id: str


@dataclass(frozen=True)
class BookStay:
    trip_id: str


@dataclass(frozen=True)
class StayBooked:
    trip_id: str


@dataclass(frozen=True)
class CancelStay:
    trip_id: str


@dataclass(frozen=True)
class StayCancelled:
    trip_id: str


@dataclass(frozen=True)
class OrderMeal:
    trip_id: str


@dataclass(frozen=True)
class MealOrdered:
    trip_id: str


@dataclass(frozen=True)
class CancelMeal:
    trip_id: str


@dataclass(frozen=True)
class MealCancelled:
    trip_id: str


@dataclass(frozen=True)
class Hold:
    trip_id: str
    what: str


@dataclass(frozen=True)
class Held:
    trip_id: str
    what: str


@dataclass(frozen=True)
class Declined:
    trip_id: str
    what: str
    reason: str


@dataclass(frozen=True)
class Drop:
    trip_id: str
    what: str


@dataclass(frozen=True)
class Dropped:
    trip_id: str
    what: str
