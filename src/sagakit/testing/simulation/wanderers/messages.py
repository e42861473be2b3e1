"""What the drawn processes say to each other. `key` is the instance's, `n` numbers what it asks for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WalkBegun:
    """Starts a code saga: its program, as JSON."""

    key: str
    program: str


@dataclass(frozen=True)
class HurryBegun:
    """Starts a code saga that has a deadline."""

    key: str
    program: str


@dataclass(frozen=True)
class Errand:
    """Starts a code saga, and is answered by it: a child."""

    key: str
    n: int
    program: str


@dataclass(frozen=True)
class ErrandDone:
    key: str
    n: int


@dataclass(frozen=True)
class Unerrand:
    """Undoes an errand that was done."""

    key: str
    n: int


@dataclass(frozen=True)
class Unerranded:
    key: str
    n: int


@dataclass(frozen=True)
class Late:
    """What a process manager reminds itself of."""

    key: str


@dataclass(frozen=True)
class Wrong:
    """Published by a saga that has seen what must not be."""

    key: str
    what: str


@dataclass(frozen=True)
class StepsBegun:
    """Starts a step saga with everything that can be asked for."""

    key: str


@dataclass(frozen=True)
class FewStepsBegun:
    """Starts a step saga in which not everything can be undone."""

    key: str


@dataclass(frozen=True)
class KeepingBegun:
    """Starts a process manager that goes one by one: the letters of what it asks for."""

    key: str
    plan: str


@dataclass(frozen=True)
class GatheringBegun:
    """Starts a process manager that asks for everything at once."""

    key: str
    plan: str


@dataclass(frozen=True)
class Signal:
    """What a code saga may wait for."""

    key: str
    number: int


@dataclass(frozen=True)
class Strolled:
    """Published by code sagas."""

    key: str
    number: str


@dataclass(frozen=True)
class Book:
    key: str
    n: int
    undoable: bool = True


@dataclass(frozen=True)
class Booked:
    key: str
    n: int
    place: str


@dataclass(frozen=True)
class NotBooked:
    key: str
    n: int
    reason: str


@dataclass(frozen=True)
class Unbook:
    key: str
    n: int
    place: str = ""


@dataclass(frozen=True)
class Unbooked:
    key: str
    n: int


@dataclass(frozen=True)
class Pay:
    """Of one till, one after the other."""

    key: str
    n: int
    till: str
    undoable: bool = True


@dataclass(frozen=True)
class Paid:
    key: str
    n: int
    place: str


@dataclass(frozen=True)
class NotPaid:
    key: str
    n: int
    reason: str


@dataclass(frozen=True)
class Refund:
    key: str
    n: int
    place: str = ""


@dataclass(frozen=True)
class Refunded:
    key: str
    n: int


@dataclass(frozen=True)
class Pack:
    """Handled in a thread."""

    key: str
    n: int
    undoable: bool = True


@dataclass(frozen=True)
class Packed:
    key: str
    n: int
    place: str


@dataclass(frozen=True)
class NotPacked:
    key: str
    n: int
    reason: str


@dataclass(frozen=True)
class Unpack:
    key: str
    n: int
    place: str = ""


@dataclass(frozen=True)
class Unpacked:
    key: str
    n: int


@dataclass(frozen=True)
class Put:
    """Decided by an aggregate."""

    key: str
    n: int
    shelf: str
    undoable: bool = True


@dataclass(frozen=True)
class Stored:
    key: str
    n: int
    place: str


@dataclass(frozen=True)
class NotStored:
    key: str
    n: int
    reason: str


@dataclass(frozen=True)
class Take:
    key: str
    n: int
    shelf: str


@dataclass(frozen=True)
class Taken:
    key: str
    n: int


@dataclass(frozen=True)
class Clear:
    """Undoes no command: a saga registers it by itself."""

    key: str
    n: int
    reason: str


@dataclass(frozen=True)
class Cleared:
    key: str
    n: int


@dataclass(frozen=True)
class Note:
    """Sent, and not waited for."""

    key: str
    n: int


@dataclass(frozen=True)
class Noted:
    key: str
    n: int
