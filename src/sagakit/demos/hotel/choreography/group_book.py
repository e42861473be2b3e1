"""The group's book: an aggregate that decides when the group is done. Nobody else keeps any state."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from sagakit import Module
from sagakit.demos.hotel.choreography.messages import (
    CheckOutGroup,
    GroupCheckoutCompleted,
    GroupCheckoutFailed,
    GroupCheckoutInitiated,
    GroupCommand,
    GroupEvent,
    GuestDetainedRecorded,
    GuestLeftRecorded,
    NothingToTry,
    RecordGuestDetained,
    RecordGuestLeft,
    TryGroupAgain,
)

choreography = Module("choreography")


@choreography.aggregate(key="group_checkout_id")
@dataclass(frozen=True)
class GroupBook:
    """Who has left, who could not, and who is still awaited."""

    awaited: frozenset[str] = frozenset()
    left: int = 0
    detained: tuple[str, ...] = ()
    begun: bool = False

    def decide(self, command: GroupCommand) -> list[GroupEvent]:
        match command:
            case CheckOutGroup(group, guests):
                return [
                    NothingToTry(group, "has begun already") if self.begun else GroupCheckoutInitiated(group, guests)
                ]
            case TryGroupAgain(group) if self.detained and not self.awaited:
                return [GroupCheckoutInitiated(group, self.detained)]
            case TryGroupAgain(group):
                return [NothingToTry(group, "nobody has failed, or not all are settled yet")]
            case RecordGuestLeft(group, guest) if guest in self.awaited:
                return self._settled(group, GuestLeftRecorded(group, guest))
            case RecordGuestDetained(group, guest, reason) if guest in self.awaited:
                return self._settled(group, GuestDetainedRecorded(group, guest, reason))
            case RecordGuestLeft() | RecordGuestDetained():
                return []  # of a group that checks out in another way, or told twice

    def evolve(self, event: GroupEvent) -> Self:
        match event:
            case GroupCheckoutInitiated(_, guests):
                return replace(self, awaited=frozenset(guests), detained=(), begun=True)
            case GuestLeftRecorded(_, guest):
                return replace(self, awaited=self.awaited - {guest}, left=self.left + 1)
            case GuestDetainedRecorded(_, guest):
                return replace(self, awaited=self.awaited - {guest}, detained=(*self.detained, guest))
            case GroupCheckoutCompleted() | GroupCheckoutFailed() | NothingToTry():
                return self

    def _settled(self, group: str, event: GuestLeftRecorded | GuestDetainedRecorded) -> list[GroupEvent]:
        after = self.evolve(event)
        if after.awaited:
            return [event]
        if after.detained:
            return [event, GroupCheckoutFailed(group, after.left, after.detained)]
        return [event, GroupCheckoutCompleted(group)]
