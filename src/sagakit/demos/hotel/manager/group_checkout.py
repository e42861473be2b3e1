"""The process manager of a group's check-out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self, TypeAlias

from sagakit import End, Failed, Message, Module
from sagakit.demos.hotel.manager.messages import (
    AnotherTryAsked,
    GroupCheckoutCompleted,
    GroupCheckoutFailed,
    GroupCheckoutInitiated,
)
from sagakit.demos.hotel.stays.messages import CheckOut, GuestCheckedOut, GuestCheckoutFailed

manager = Module("manager")

Told: TypeAlias = GroupCheckoutInitiated | AnotherTryAsked | GuestCheckedOut | GuestCheckoutFailed | Failed[CheckOut]


@manager.process_manager(key="group_checkout_id", starts_with=GroupCheckoutInitiated)
@dataclass(frozen=True)
class GroupCheckout:
    """Who has left, who could not, and who is still awaited. It ends when all have left."""

    group: str = ""
    awaited: frozenset[str] = frozenset()
    left: int = 0
    detained: tuple[str, ...] = ()
    trying: tuple[str, ...] = ()

    def evolve(self, event: Told) -> Self:
        match event:
            case GroupCheckoutInitiated(group, guests):
                return replace(self, group=group, awaited=frozenset(guests), trying=guests)
            case AnotherTryAsked():
                ready = () if self.awaited else self.detained
                return replace(
                    self, awaited=self.awaited | set(ready), trying=ready, detained=self.detained[len(ready) :]
                )
            case GuestCheckedOut(guest):
                return replace(self, awaited=self.awaited - {guest}, left=self.left + 1)
            case GuestCheckoutFailed(guest) | Failed(CheckOut(guest)):
                return replace(self, awaited=self.awaited - {guest}, detained=(*self.detained, guest))

    def react(self, event: Told) -> Sequence[Message]:
        match event:
            case GroupCheckoutInitiated() | AnotherTryAsked() if self.awaited:
                return [CheckOut(guest, self.group) for guest in self.trying]
            case _ if self.awaited:
                return []
            case _ if self.detained:
                return [GroupCheckoutFailed(self.group, self.left, self.detained)]
            case _:
                return [GroupCheckoutCompleted(self.group), End("completed")]
