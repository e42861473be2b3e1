"""A guest's account: open from check-in to check-out, and settled before it is closed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal, Self

from sagakit import Module
from sagakit.demos.hotel.stays.messages import (
    ChargeRecorded,
    CheckIn,
    CheckOut,
    Declined,
    GuestCheckedIn,
    GuestCheckedOut,
    GuestCheckoutFailed,
    PaymentRecorded,
    RecordCharge,
    RecordPayment,
    StayCommand,
    StayEvent,
)

stays = Module("stays")


@stays.aggregate(key="guest_stay_id")
@dataclass(frozen=True)
class GuestStay:
    """What a guest owes."""

    status: Literal["none", "open", "closed"] = "none"
    balance: Decimal = Decimal(0)

    def decide(self, command: StayCommand) -> StayEvent:
        match command:
            case CheckIn(guest):
                return GuestCheckedIn(guest) if self.status == "none" else Declined(guest, f"is {self.status} already")
            case RecordCharge() | RecordPayment():
                return self._record(command)
            case CheckOut(guest, group):
                if self.status == "open" and self.balance == 0:
                    return GuestCheckedOut(guest, group)
                return GuestCheckoutFailed(guest, group, self._not_open or f"balance {self.balance}")

    def evolve(self, event: StayEvent) -> Self:
        match event:
            case GuestCheckedIn():
                return replace(self, status="open")
            case ChargeRecorded(_, amount):
                return replace(self, balance=self.balance + amount)
            case PaymentRecorded(_, amount):
                return replace(self, balance=self.balance - amount)
            case GuestCheckedOut():
                return replace(self, status="closed")
            case GuestCheckoutFailed() | Declined():
                return self

    def _record(self, command: RecordCharge | RecordPayment) -> ChargeRecorded | PaymentRecorded | Declined:
        guest, amount = command.guest_stay_id, command.amount
        if amount <= 0:
            return Declined(guest, f"an amount of {amount} is not above 0")
        if self._not_open:
            return Declined(guest, self._not_open)
        return ChargeRecorded(guest, amount) if isinstance(command, RecordCharge) else PaymentRecorded(guest, amount)

    @property
    def _not_open(self) -> str:
        """Why the account takes nothing; "" while it is open."""
        return {"none": "the guest has not checked in", "open": "", "closed": "the guest has left"}[self.status]
