"""Messages for the tests of the core: four steps with their successes, refusals and undos, and events by key."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Start:
    key: str
    amount: int = 1


@dataclass(frozen=True)
class A:
    n: int = 0


@dataclass(frozen=True)
class B:
    n: int = 0


@dataclass(frozen=True)
class C:
    n: int = 0


@dataclass(frozen=True)
class D:
    n: int = 0


@dataclass(frozen=True)
class ADone:
    id: str = "a"


@dataclass(frozen=True)
class BDone:
    id: str = "b"


@dataclass(frozen=True)
class CDone:
    id: str = "c"


@dataclass(frozen=True)
class DDone:
    id: str = "d"


@dataclass(frozen=True)
class ANo:
    reason: str = "no a"


@dataclass(frozen=True)
class BNo:
    reason: str = "no b"


@dataclass(frozen=True)
class CNo:
    reason: str = "no c"


@dataclass(frozen=True)
class DNo:
    """A refusal that says no reason."""


@dataclass(frozen=True)
class UndoA:
    id: str = ""
    reason: str = ""


@dataclass(frozen=True)
class UndoB:
    id: str = ""
    reason: str = ""


@dataclass(frozen=True)
class UndoC:
    id: str = ""
    reason: str = ""


@dataclass(frozen=True)
class UndoD:
    id: str = ""
    reason: str = ""


@dataclass(frozen=True)
class UndoSaga:
    reason: str = ""


@dataclass(frozen=True)
class Undone:
    what: str = ""


@dataclass(frozen=True)
class Notify:
    """A command that nobody waits for."""

    text: str = ""


@dataclass(frozen=True)
class Notified:
    text: str = ""


@dataclass(frozen=True)
class Paid:
    """An event by key."""

    amount: int = 0


@dataclass(frozen=True)
class Shipped:
    """An event by key."""

    parcel: str = ""


@dataclass(frozen=True)
class Ended:
    """What a saga publishes."""

    how: str = ""


@dataclass(frozen=True)
class Odd:
    """An event that no command declares."""


@dataclass(frozen=True)
class Unhandled:
    """A command that nobody handles."""


DOS: dict[type, tuple[type, type, type]] = {
    A: (ADone, ANo, UndoA),
    B: (BDone, BNo, UndoB),
    C: (CDone, CNo, UndoC),
    D: (DDone, DNo, UndoD),
}
"""Command to success, refusal and undo."""

OUTCOMES: dict[type, frozenset[type]] = {
    **{command: frozenset({done, no}) for command, (done, no, _) in DOS.items()},
    **{undo: frozenset({Undone}) for _, _, undo in DOS.values()},
    UndoSaga: frozenset({Undone}),
    Notify: frozenset({Notified}),
}

ALL: tuple[type, ...] = (
    Start,
    *(cls for command, others in DOS.items() for cls in (command, *others)),
    UndoSaga,
    Undone,
    Notify,
    Notified,
    Paid,
    Shipped,
    Ended,
    Odd,
    Unhandled,
)

START = Start("k")
