"""A Commit that is being built: what one handling leads to, and which lanes wait until it is durable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from msgspec import Struct, field

from sagakit.core.commit import Commit, Delivery, Envelope, Fence, Rejected
from sagakit.core.process import Verdict
from sagakit.engine.lanes.lane import Lane

DEEPEST = 16
"""Reactions inside one another in one Commit: what goes deeper becomes a delivery."""


@dataclass(frozen=True)
class Failure:
    """A command from outside has come to nothing, and no row of its Commit says why."""

    correlation_id: str
    error: Exception


class Draft(Struct, eq=False):
    """What is committed together, and what happens once it is."""

    on_settled: Callable[[Draft, Rejected | BaseException | None], None]
    subject: Any = None
    """What the callback needs to know: the lane, the deliveries."""
    commit: Commit = field(default_factory=Commit)
    held: list[Lane] = []
    """Process lanes whose reactions are in this Commit: free again once it is settled."""
    handled: list[Delivery] = []
    """The deliveries that it finishes or parks, for those who wait for their outcome."""
    depth: int = 0
    """How many reactions are under way inside one another."""
    coming: list[str] = []
    """Process lanes that get a delivery with this Commit: until then nothing may react in them inline."""
    stories: list[Failure] = []
    """What those who wait for the outcome of a story are told once it is durable."""
    withdrawn: list[str] = []
    """Commands that are given up with it: their runs are cancelled once it is durable."""
    retried: Delivery | None = None
    """The delivery whose attempt failed, and that is tried again."""
    verdicts: list[tuple[str, Verdict]] = []
    """How steps and undos came out, each with its process."""
    at_door: bool = False
    """Whether somebody waits for the acknowledgement: it fails to them, and is not tried again."""
    remade: bool = False
    """Whether it is made anew where it was routed by what is not true any more; else it is completed."""
    first: bool = False
    """Whether what starts a process may take it to be new without a look into the store.

    Where it is there already, the Commit is dropped as a conflict, and made again with a look.
    """

    def finish(self, delivery: Delivery) -> None:
        """This Commit handles that delivery."""
        self.commit.done.append(Fence(delivery.id, delivery.attempt))
        self.handled.append(delivery)

    def by_delivery(self) -> None:
        """No process reacts in this Commit: each is told by a delivery."""
        self.depth = DEEPEST

    def deliver(self, envelope: Envelope, consumer: str, lane: str, more: tuple[Envelope, ...] = ()) -> Delivery:
        """A message that is still to be handled."""
        delivery = Delivery(envelope, consumer, lane, more=more)
        self.commit.deliveries.append(delivery)
        return delivery
