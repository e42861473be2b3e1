"""A group's check-out by a process manager: what starts it, what it is told, and how it ends."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GroupCheckoutInitiated:
    """These guests leave together."""

    group_checkout_id: str
    guest_stay_ids: tuple[str, ...]


@dataclass(frozen=True)
class AnotherTryAsked:
    """Once more those who could not leave."""

    group_checkout_id: str


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
