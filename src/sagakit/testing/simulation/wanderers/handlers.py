"""Who handles what the drawn processes ask for: each asks the world, under its idempotency key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from sagakit import App, Context, Retry
from sagakit.testing.simulation.wanderers.messages import (
    Book,
    Booked,
    Clear,
    Cleared,
    NotBooked,
    Note,
    Noted,
    NotPacked,
    NotPaid,
    NotStored,
    Pack,
    Packed,
    Paid,
    Pay,
    Put,
    Refund,
    Refunded,
    Signal,
    Stored,
    Strolled,
    Take,
    Taken,
    Unbook,
    Unbooked,
    Unerrand,
    Unerranded,
    Unpack,
    Unpacked,
    WalkBegun,
)
from sagakit.testing.simulation.world import World

RETRY = Retry(4, first=0.5, factor=2.0, jitter=0.2)
PATIENT = Retry(12, first=0.5, factor=2.0, cap=4.0, jitter=0.2)
TIMEOUT = 5.0


async def book(command: Book, world: World, context: Context) -> list[Booked | NotBooked]:
    """Each for itself, without a limit of time."""
    key, n = command.key, command.n
    match await world.do("book", f"{key}/{n}", context):
        case "done":
            return [Booked(key, n, f"seat of {key}/{n}")]
        case "refused":
            return [NotBooked(key, n, "no seat")]
        case _:
            return []


async def unbook(command: Unbook, world: World, context: Context) -> list[Unbooked]:
    """Undoes `book`."""
    end = await world.do("unbook", f"{command.key}/{command.n}", context)
    return [Unbooked(command.key, command.n)] if end == "done" else []


async def pay(command: Pay, world: World, context: Context) -> list[Paid | NotPaid]:
    """One after the other at a till, within a time."""
    key, n = command.key, command.n
    match await world.do("pay", f"{key}/{n}", context, lane=command.till):
        case "done":
            return [Paid(key, n, f"receipt of {key}/{n}")]
        case "refused":
            return [NotPaid(key, n, "no money")]
        case _:
            return []


async def refund(command: Refund, world: World, context: Context) -> list[Refunded]:
    """Undoes `pay`."""
    end = await world.do("refund", f"{command.key}/{command.n}", context)
    return [Refunded(command.key, command.n)] if end == "done" else []


def pack(command: Pack, world: World, context: Context) -> list[Packed | NotPacked]:
    """In a thread, within a time."""
    key, n = command.key, command.n
    match world.do_at_once("pack", f"{key}/{n}", context):
        case "done":
            return [Packed(key, n, f"box of {key}/{n}")]
        case "refused":
            return [NotPacked(key, n, "no box")]
        case _:
            return []


def unpack(command: Unpack, world: World, context: Context) -> list[Unpacked]:
    """Undoes `pack`."""
    end = world.do_at_once("unpack", f"{command.key}/{command.n}", context)
    return [Unpacked(command.key, command.n)] if end == "done" else []


async def clear(command: Clear, world: World, context: Context) -> Cleared:
    """Undoes no command."""
    await world.do("clear", f"{command.key}/{command.n}", context)
    return Cleared(command.key, command.n)


async def note(command: Note, world: World, context: Context) -> Noted:
    """Nobody waits for it."""
    await world.do("note", f"{command.key}/{command.n}", context)
    return Noted(command.key, command.n)


async def unerrand(command: Unerrand, world: World, context: Context) -> Unerranded:
    """Undoes an errand that was done."""
    await world.do("unerrand", f"{command.key}/{command.n}", context)
    return Unerranded(command.key, command.n)


def remind(event: Strolled) -> Note:
    """A listener: whenever a saga has strolled, a note."""
    return Note(event.key, -1)


async def watch(event: Signal | WalkBegun, world: World, context: Context) -> None:
    """A listener with an effect."""
    number = event.number if isinstance(event, Signal) else 0
    await world.do("watch", f"{event.key}/{number}", context)


async def heed(event: Booked | Paid, world: World, context: Context) -> None:
    """A listener that the earlier version of the app does not have."""
    await world.do("heed", f"{event.key}/{event.n}", context)


@dataclass(frozen=True)
class Shelf:
    """What lies on a shelf: its effects are in the store alone."""

    held: Mapping[str, int] = field(default_factory=dict[str, int])
    taken: Mapping[str, int] = field(default_factory=dict[str, int])

    def decide(self, command: Put | Take) -> Stored | NotStored | Taken | None:
        """A shelf has room for a few; what was taken away before it came is refused."""
        name = f"{command.key}/{command.n}"
        if isinstance(command, Take):
            return Taken(command.key, command.n)
        if command.n % 11 == 10:
            raise KeyError("a shelf that breaks")
        if command.n % 7 == 6:
            return None
        if name in self.taken or (len(self.held) > 30 and name not in self.held):
            return NotStored(command.key, command.n, "no room")
        return Stored(command.key, command.n, f"place of {name}")

    def evolve(self, event: Stored | NotStored | Taken) -> Self:
        """What lies where."""
        name = f"{event.key}/{event.n}"
        match event:
            case Stored():
                return replace(self, held={**self.held, name: 1})
            case Taken():
                held = {one: count for one, count in self.held.items() if one != name}
                return replace(self, held=held, taken={**self.taken, name: 1})
            case NotStored():
                return self


def add_handlers(app: App, *, earlier: bool) -> None:
    """Declare them all; `earlier`: those of the earlier version."""
    handles: Any = app.handles  # that a handler may answer with several events, or none, is tested, and not typed
    handles(retry=RETRY)(book)
    handles(retry=PATIENT)(unbook)
    handles(key="till", retry=RETRY, timeout=TIMEOUT)(pay)
    handles(retry=PATIENT, timeout=TIMEOUT)(refund)
    handles(retry=RETRY, timeout=TIMEOUT)(pack)
    handles(retry=PATIENT, timeout=TIMEOUT)(unpack)
    handles(retry=PATIENT)(clear)
    handles(retry=PATIENT)(note)
    handles(retry=PATIENT)(unerrand)
    app.on(remind)
    app.on(key="key", retry=PATIENT)(watch)
    if not earlier:
        app.on(retry=PATIENT)(heed)
    app.aggregate(key="shelf", snapshot_every=5)(Shelf)
