"""A group's check-out: as choreography, as a process manager that counts, and as a code saga of parallel branches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Literal, Self, TypeAlias, assert_type

from sagakit import App, Each, End, Message, Module, Saga


@dataclass(frozen=True)
class CheckIn:
    guest_stay_id: str


@dataclass(frozen=True)
class RecordCharge:
    guest_stay_id: str
    amount: Decimal


@dataclass(frozen=True)
class CheckOut:
    guest_stay_id: str
    group_checkout_id: str | None = None


@dataclass(frozen=True)
class GuestCheckedIn:
    guest_stay_id: str


@dataclass(frozen=True)
class ChargeRecorded:
    guest_stay_id: str
    amount: Decimal


@dataclass(frozen=True)
class GuestCheckedOut:
    guest_stay_id: str
    group_checkout_id: str | None


@dataclass(frozen=True)
class GuestCheckoutFailed:
    guest_stay_id: str
    group_checkout_id: str | None
    reason: str


GuestStayEvent: TypeAlias = GuestCheckedIn | ChargeRecorded | GuestCheckedOut | GuestCheckoutFailed


@dataclass(frozen=True)
class CheckOutGroup:
    group_checkout_id: str
    guest_stay_ids: tuple[str, ...]


@dataclass(frozen=True)
class GroupCheckoutInitiated:
    group_checkout_id: str
    guest_stay_ids: tuple[str, ...]


@dataclass(frozen=True)
class GroupCheckoutCompleted:
    group_checkout_id: str


@dataclass(frozen=True)
class GroupCheckoutFailed:
    group_checkout_id: str
    completed: int
    failed: tuple[str, ...]


hotel = Module("hotel")


@hotel.aggregate(key="guest_stay_id", snapshot_every=50)
@dataclass(frozen=True)
class GuestStay:
    status: Literal["none", "open", "closed"] = "none"
    balance: Decimal = Decimal(0)

    def decide(self, command: CheckIn | RecordCharge | CheckOut) -> GuestStayEvent:
        match command:
            case CheckIn(guest):
                return GuestCheckedIn(guest)
            case RecordCharge(guest, amount):
                return ChargeRecorded(guest, amount)
            case CheckOut(guest, group) if self.status == "open" and self.balance == 0:
                return GuestCheckedOut(guest, group)
            case CheckOut(guest, group):
                return GuestCheckoutFailed(guest, group, f"balance {self.balance}")

    def evolve(self, event: GuestStayEvent) -> Self:
        match event:
            case GuestCheckedIn():
                return replace(self, status="open")
            case ChargeRecorded(_, amount):
                return replace(self, balance=self.balance + amount)
            case GuestCheckedOut():
                return replace(self, status="closed")
            case GuestCheckoutFailed():
                return self


@hotel.on
def check_out_guests(event: GroupCheckoutInitiated) -> list[CheckOut]:
    return [CheckOut(guest, event.group_checkout_id) for guest in event.guest_stay_ids]


@hotel.process_manager(key="group_checkout_id", starts_with=(GroupCheckoutInitiated,))
@dataclass(frozen=True)
class GroupCheckout:
    waiting: frozenset[str] = frozenset()
    completed: int = 0
    failed: tuple[str, ...] = ()

    def evolve(self, event: GroupCheckoutInitiated | GuestCheckedOut | GuestCheckoutFailed) -> Self:
        match event:
            case GroupCheckoutInitiated(_, guests):
                return replace(self, waiting=frozenset(guests))
            case GuestCheckedOut(guest):
                return replace(self, waiting=self.waiting - {guest}, completed=self.completed + 1)
            case GuestCheckoutFailed(guest):
                return replace(self, waiting=self.waiting - {guest}, failed=(*self.failed, guest))

    def react(self, event: GroupCheckoutInitiated | GuestCheckedOut | GuestCheckoutFailed) -> Sequence[Message]:
        match event:
            case GroupCheckoutInitiated(group, guests):
                return [CheckOut(guest, group) for guest in guests]
            case _ if self.waiting or event.group_checkout_id is None:
                return []
            case _ if self.failed:
                return [GroupCheckoutFailed(event.group_checkout_id, self.completed, self.failed), End("completed")]
            case _:
                return [GroupCheckoutCompleted(event.group_checkout_id), End("completed")]


@hotel.saga(key="group_checkout_id", early_for=timedelta(minutes=1), attributes="group_checkout_id")
async def group_checkout(group: CheckOutGroup, saga: Saga) -> GroupCheckoutCompleted | GroupCheckoutFailed:
    def check_out(guest: str) -> CheckOut:
        return CheckOut(guest, group.group_checkout_id)

    result = await saga.each(group.guest_stay_ids, check_out, then=GuestCheckedOut, at_once=50)
    assert_type(result, Each[str])
    if result.failed:
        failed = tuple(guest for guest, _ in result.failures())
        return GroupCheckoutFailed(group.group_checkout_id, result.done, failed)
    return GroupCheckoutCompleted(group.group_checkout_id)


app = App("hotel", hotel)
