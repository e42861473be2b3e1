"""Process managers that go one by one, or ask for everything at once; they undo by themselves, last one first."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self, TypeAlias

from sagakit import Cancelled, End, Failed, Forget, Message, Remind, Undoing
from sagakit.core.process_manager.answers import Reactions
from sagakit.testing.simulation.wanderers.messages import (
    Booked,
    GatheringBegun,
    KeepingBegun,
    Late,
    NotBooked,
    NotPacked,
    NotPaid,
    NotStored,
    Packed,
    Paid,
    Refunded,
    Stored,
    Taken,
    Unbooked,
    Unpacked,
)
from sagakit.testing.simulation.wanderers.programs import ASKS, Ask, make

Success: TypeAlias = Booked | Paid | Packed | Stored
Refusal: TypeAlias = NotBooked | NotPaid | NotPacked | NotStored
Undone: TypeAlias = Unbooked | Refunded | Unpacked | Taken
LETTERS: dict[str, Ask] = {ask[:3]: ask for ask in ASKS}


def asked(key: str, plan: str, n: int) -> tuple[Message, type[Message], Message]:
    """What a plan asks for at this number, from 1: `plan` names it by three letters."""
    return make(LETTERS[plan[3 * n - 3 : 3 * n]], key, n)


def length(plan: str) -> int:
    """How much a plan asks for."""
    return len(plan) // 3


def _why(event: Cancelled | Late) -> str:
    return "it took too long" if isinstance(event, Late) else event.reason or "no reason"


@dataclass(frozen=True)
class Keeping:
    """One by one; what may have been done is kept, and undone if something is not."""

    key: str = ""
    plan: str = ""
    may: tuple[int, ...] = ()
    """The numbers of what may have been done."""
    reason: str = ""
    turns: bool = False
    """With this event it begins, or begins to undo."""

    def evolve(self, event: KeepingBegun | Success | Refusal | Undone | Failed[Message] | Cancelled | Late) -> Self:
        """What may have been done."""
        match event:
            case KeepingBegun(key, plan):
                return (
                    replace(self, turns=False) if self.key else replace(self, key=key, plan=plan, may=(1,), turns=True)
                )
            case Booked() | Paid() | Packed() | Stored():
                more = (event.n + 1,) if event.n < length(self.plan) else ()
                return replace(self, may=self.may if self.reason else (*self.may, *more), turns=False)
            case NotBooked() | NotPaid() | NotPacked() | NotStored():
                return self._without(event.n)._turned(event.reason)
            case Unbooked() | Refunded() | Unpacked() | Taken():
                return replace(self._without(event.n), turns=False)
            case Failed(command=command, reason=reason, known_not_done=known):
                kept = self._without(getattr(command, "n", 0)) if known else self
                return kept._turned(reason)
            case Cancelled() | Late():
                return self._turned(_why(event))

    def react(self, event: KeepingBegun | Success | Refusal | Undone | Failed[Message] | Cancelled | Late) -> Reactions:
        """The next one, or the next undo."""
        match event:
            case KeepingBegun():  # it may come twice
                return (
                    [asked(self.key, self.plan, 1)[0], Remind("late", Late(self.key), after=12.5)]
                    if self.turns
                    else None
                )
            case Booked() | Paid() | Packed() | Stored():
                if self.reason:
                    return None  # it comes late: its undo is under way
                return asked(self.key, self.plan, event.n + 1)[0] if event.n < length(self.plan) else End()
            case Unbooked() | Refunded() | Unpacked() | Taken():
                return self._undo()
            case _:
                return self._undo() if self.turns else None

    def _without(self, n: int) -> Self:
        return replace(self, may=tuple(one for one in self.may if one != n))

    def _turned(self, reason: str) -> Self:
        return replace(self, reason=self.reason or reason or "no reason", turns=not self.reason)

    def _undo(self) -> Reactions:
        if not self.may:
            return End("compensated", self.reason)
        command, _, undo = asked(self.key, self.plan, self.may[-1])
        return Undoing(undo, of=command)


@dataclass(frozen=True)
class Gathering:
    """Everything at once; when all is settled, it ends, or undoes what was done."""

    key: str = ""
    plan: str = ""
    open: tuple[int, ...] = ()
    may: tuple[int, ...] = ()
    reason: str = ""
    new: tuple[int, ...] = ()
    """What this event asks for: the one that begins may come twice."""

    def evolve(self, event: GatheringBegun | Success | Refusal | Undone | Failed[Message] | Cancelled | Late) -> Self:
        """What is open, and what may have been done."""
        match event:
            case GatheringBegun(key, plan):
                numbers = () if self.key else tuple(range(1, length(plan) + 1))
                return replace(
                    self, key=key, plan=plan, open=numbers or self.open, may=numbers or self.may, new=numbers
                )
            case Booked() | Paid() | Packed() | Stored():
                return self._settled(event.n)
            case NotBooked() | NotPaid() | NotPacked() | NotStored():
                return self._settled(event.n, done=False, reason=event.reason)
            case Unbooked() | Refunded() | Unpacked() | Taken():
                return self._settled(event.n, done=False)
            case Failed(command=command, reason=reason, known_not_done=known):
                return self._settled(getattr(command, "n", 0), done=not known, reason=reason)
            case Cancelled() | Late():
                return replace(self, reason=self.reason or _why(event))

    def react(
        self, event: GatheringBegun | Success | Refusal | Undone | Failed[Message] | Cancelled | Late
    ) -> Reactions:
        """What is asked for; then the end, or one undo after the other."""
        if isinstance(event, GatheringBegun):
            late = [Remind("late", Late(self.key), after=7.5)] if self.new else []
            return [*late, *(asked(self.key, self.plan, n)[0] for n in self.new)]
        if self.open or isinstance(event, Cancelled | Late):
            return None
        if not self.reason:
            return [Forget("late"), End()]
        if not self.may:
            return End("compensated", self.reason)
        command, _, undo = asked(self.key, self.plan, self.may[-1])
        return Undoing(undo, of=command)

    def _settled(self, n: int, *, done: bool = True, reason: str = "") -> Self:
        return replace(
            self,
            open=tuple(one for one in self.open if one != n),
            may=self.may if done else tuple(one for one in self.may if one != n),
            reason=self.reason or reason,
        )


MANAGERS: dict[str, type[Any]] = {"keeping": Keeping, "gathering": Gathering}
