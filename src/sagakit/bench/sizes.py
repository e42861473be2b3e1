"""How much is run."""

from __future__ import annotations

from msgspec import Struct

from sagakit.errors import TerminalError


class BenchFailed(TerminalError):
    """What was run did not do what it must: there is nothing to measure."""


class Sizes(Struct, frozen=True):
    """How much is run. Times are seconds."""

    sagas: int = 2000
    """In each round."""
    concurrency: int = 100
    history: int = 0
    """Messages in the log before."""
    rounds: int = 5
    """Of the floor and of the engine by turns: the machine's moods meet both. The median counts."""
    rounds_within: float = 12.0
    """After this no further round begins."""
    alone: int = 500
    """Sagas one at a time."""
    alone_within: float = 6.0
    batches: tuple[int, int] = (1_000, 5_000)
    """Items of two batches."""
    asleep: int = 10_000
    idle_for: float = 4.0
