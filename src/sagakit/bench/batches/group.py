"""The app that is measured: a group of guests checks out, each by an account of its own, or by a service."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Self, TypeAlias

from sagakit import App, Saga

Way: TypeAlias = Literal["aggregates", "service"]
WAYS: tuple[Way, ...] = ("aggregates", "service")
EVERY = 100
"""Every hundredth guest is refused at first."""


@dataclass(frozen=True)
class CheckOutGroup:
    """What is sent: it starts the batch."""

    group_id: str
    guests: int
    way: Way
    at_once: int = 50


@dataclass(frozen=True)
class CheckOut:
    guest_id: str
    settled: bool


@dataclass(frozen=True)
class Settle:
    guest_id: str


@dataclass(frozen=True)
class Settled:
    guest_id: str


@dataclass(frozen=True)
class CheckedOut:
    guest_id: str


@dataclass(frozen=True)
class NotCheckedOut:
    guest_id: str
    reason: str


@dataclass(frozen=True)
class CallTaxi:
    guest_id: str


@dataclass(frozen=True)
class TaxiCalled:
    guest_id: str


@dataclass(frozen=True)
class GroupCheckedOut:
    group_id: str
    done: int
    failed: tuple[int, ...]


groups = App("groups")


@groups.aggregate(key="guest_id")
@dataclass(frozen=True)
class Guest:
    """A guest's account."""

    settled: bool = False
    gone: bool = False

    def decide(self, command: CheckOut | Settle) -> CheckedOut | NotCheckedOut | Settled:
        """Out only who has paid."""
        match command:
            case Settle(guest_id):
                return Settled(guest_id)
            case CheckOut(guest_id, settled) if settled or self.settled:
                return CheckedOut(guest_id)
            case CheckOut(guest_id):
                return NotCheckedOut(guest_id, "the balance is not settled")

    def evolve(self, event: CheckedOut | NotCheckedOut | Settled) -> Self:
        """What an event makes of it."""
        match event:
            case Settled():
                return replace(self, settled=True)
            case CheckedOut():
                return replace(self, gone=True)
            case NotCheckedOut():
                return self


@groups.handles
async def call_taxi(command: CallTaxi) -> TaxiCalled:
    """A service that is always there."""
    return TaxiCalled(command.guest_id)


@groups.saga(key="group_id")
async def check_out_group(group: CheckOutGroup, saga: Saga) -> GroupCheckedOut:
    """Everybody, fifty at a time."""
    guests, at_once = range(group.guests), group.at_once
    if group.way == "service":
        taxis = await saga.each(
            guests, lambda guest: CallTaxi(guest_id(group.group_id, guest)), then=TaxiCalled, at_once=at_once
        )
        return GroupCheckedOut(group.group_id, taxis.done, ())

    def check_out(guest: int) -> CheckOut:
        return CheckOut(guest_id(group.group_id, guest), settled=guest % EVERY != 0)

    out = await saga.each(guests, check_out, then=CheckedOut, at_once=at_once)
    return GroupCheckedOut(group.group_id, out.done, tuple(guest for guest, _ in out.failures()))


def guest_id(group: str, guest: int) -> str:
    """The name of a guest of a group."""
    return f"{group}-{guest}"
