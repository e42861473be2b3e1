"""A group's check-out by choreography: what is asked of the group's book, and what it records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class CheckOutGroup:
    """These guests leave together."""

    group_checkout_id: str
    guest_stay_ids: tuple[str, ...]


@dataclass(frozen=True)
class TryGroupAgain:
    """Once more those who could not leave."""

    group_checkout_id: str


@dataclass(frozen=True)
class RecordGuestLeft:
    """A guest of the group has left."""

    group_checkout_id: str
    guest_stay_id: str


@dataclass(frozen=True)
class RecordGuestDetained:
    """A guest of the group could not leave."""

    group_checkout_id: str
    guest_stay_id: str
    reason: str


@dataclass(frozen=True)
class GroupCheckoutInitiated:
    """These guests are to be checked out: all of the group, or those who are left."""

    group_checkout_id: str
    guest_stay_ids: tuple[str, ...]


@dataclass(frozen=True)
class GuestLeftRecorded:
    """One of them is done."""

    group_checkout_id: str
    guest_stay_id: str


@dataclass(frozen=True)
class GuestDetainedRecorded:
    """One of them has failed."""

    group_checkout_id: str
    guest_stay_id: str
    reason: str


@dataclass(frozen=True)
class GroupCheckoutCompleted:
    """All have left."""

    group_checkout_id: str


@dataclass(frozen=True)
class GroupCheckoutFailed:
    """Some could not leave."""

    group_checkout_id: str
    completed: int
    failed: tuple[str, ...]


@dataclass(frozen=True)
class NothingToTry:
    """There is no such group, or nobody of it has failed."""

    group_checkout_id: str
    reason: str


GroupCommand: TypeAlias = CheckOutGroup | TryGroupAgain | RecordGuestLeft | RecordGuestDetained
GroupEvent: TypeAlias = (
    GroupCheckoutInitiated
    | GuestLeftRecorded
    | GuestDetainedRecorded
    | GroupCheckoutCompleted
    | GroupCheckoutFailed
    | NothingToTry
)
