"""A group's check-out as a batch: what starts it, and how it ends."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CheckOutGroup:
    """These guests leave together."""

    group_checkout_id: str
    guest_stay_ids: tuple[str, ...]


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
