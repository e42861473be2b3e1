"""What is asked of a guest's account, and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias


@dataclass(frozen=True)
class CheckIn:
    """A guest has come."""

    guest_stay_id: str


@dataclass(frozen=True)
class RecordCharge:
    """Something was had: a night, a dinner."""

    guest_stay_id: str
    amount: Decimal


@dataclass(frozen=True)
class RecordPayment:
    """Something was paid."""

    guest_stay_id: str
    amount: Decimal


@dataclass(frozen=True)
class CheckOut:
    """The guest leaves, alone or with a group."""

    guest_stay_id: str
    group_checkout_id: str | None = None


@dataclass(frozen=True)
class GuestCheckedIn:
    """The account is open."""

    guest_stay_id: str


@dataclass(frozen=True)
class ChargeRecorded:
    """The guest owes more."""

    guest_stay_id: str
    amount: Decimal


@dataclass(frozen=True)
class PaymentRecorded:
    """The guest owes less."""

    guest_stay_id: str
    amount: Decimal


@dataclass(frozen=True)
class GuestCheckedOut:
    """The account is settled and closed."""

    guest_stay_id: str
    group_checkout_id: str | None


@dataclass(frozen=True)
class GuestCheckoutFailed:
    """The guest cannot leave yet."""

    guest_stay_id: str
    group_checkout_id: str | None
    reason: str


@dataclass(frozen=True)
class Declined:
    """What was asked does not fit the account."""

    guest_stay_id: str
    reason: str


@dataclass(frozen=True)
class GuestLeft:
    """For the rest of the hotel: a guest of a group has left."""

    guest_stay_id: str
    group_checkout_id: str


@dataclass(frozen=True)
class GuestDetained:
    """For the rest of the hotel: a guest of a group could not leave."""

    guest_stay_id: str
    group_checkout_id: str
    reason: str


StayCommand: TypeAlias = CheckIn | RecordCharge | RecordPayment | CheckOut
StayEvent: TypeAlias = (
    GuestCheckedIn | ChargeRecorded | PaymentRecorded | GuestCheckedOut | GuestCheckoutFailed | Declined
)
