"""What a saga's state keeps of a batch: bounded by what is in flight, however many items there are."""

from __future__ import annotations

from hashlib import blake2b
from typing import Literal, TypeAlias

from msgspec import Struct

BatchState: TypeAlias = Literal["running", "ending", "ended", "given_up", "undoing", "undone", "undo_failed"]

MARK = 20
"""Digits of an item's message id that say which batch it is of; four for the number, eight for the index follow."""
_NUMBERS = 0x10000
_AGAIN = 0x8000
"""From here on the numbers of undos that are sent once more."""


class Batch(Struct, omit_defaults=True):
    """A batch, as stored. Every item is a row of its own beside it."""

    step: int
    """The ordinal of its step."""
    at_once: int
    command: str
    """The wire name of the first item's command."""
    then: tuple[str, ...] | None = ()
    """The wire names of what counts as an item's success; None: anything does."""
    undo: str = ""
    """The wire name of the first item's undo; "": nothing undoes its items."""
    total: int | None = None
    """How many items there are, where that is known before the last one is drawn."""
    state: BatchState = "running"
    next: int = 0
    """The index of the item to be drawn next."""
    done: int = 0
    failed: int = 0
    most_failed: int | None = None
    """Nothing new is sent once so many have failed."""
    out: list[int] = []
    """The indexes of the items whose commands are in flight."""
    undoing: dict[int, int] = {}
    """The items whose undos are in flight: the number of each undo, by index."""
    undo_failed: int = 0
    round: int = 0
    """How often the failed ones were sent again."""
    waiting: int = 0
    """Failed ones that are still to be sent again, in this round."""
    cursor: int = -1
    """The last index that was sent again in this round; while it is undone, the lowest index whose undo was sent."""
    asked: bool = False
    """A page of rows is on its way."""
    again: int = 0
    """Undos that were sent once more."""
    reason: str = ""
    """Why it was given up or is undone."""

    @property
    def in_flight(self) -> int:
        return len(self.out) + len(self.undoing)

    @property
    def stopped(self) -> bool:
        """Whether so many items have failed that nothing new is sent."""
        return self.most_failed is not None and self.failed >= self.most_failed

    def next_again(self) -> int:
        """The number of an undo that is sent once more."""
        self.again += 1
        return _AGAIN + self.again % _AGAIN


def mark_of(instance: str, step: int, *, undo: bool = False) -> str:
    """What the ids of all commands (or undos) of a batch begin with."""
    return blake2b(f"{instance}|{step}|{'undo' if undo else 'each'}".encode(), digest_size=MARK // 2).hexdigest()


def item_id(mark: str, number: int, index: int) -> str:
    """The message id of an item's command. It says itself which item it is of: outcomes need no lookup."""
    return f"{mark}{number % _NUMBERS:04x}{index:08x}"


def read_id(message_id: str) -> tuple[int, int]:
    """The number and the index in the id of an item's command (or undo)."""
    return int(message_id[MARK:-8], 16), int(message_id[-8:], 16)
