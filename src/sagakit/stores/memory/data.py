"""What the store in memory holds."""

from __future__ import annotations

from copy import copy

from sagakit.core.commit import (
    Delivery,
    Envelope,
    Inbox,
    Instance,
    Item,
    Pause,
    PauseScope,
    Reaction,
    Search,
    Snapshot,
    Subscription,
)


class MemoryData:
    """What a database would hold. It outlives the stores that are opened on it."""

    def __init__(self) -> None:
        self.epoch = 0
        self.clean = True
        self.owned = False
        self.messages: list[Envelope] = []
        self.streams: dict[str, list[Envelope]] = {}
        self.stories: dict[str, list[Envelope]] = {}
        self.deliveries: dict[int, Delivery] = {}
        self.carried: dict[str, set[int]] = {}
        """By the message that they carry: the deliveries that were scheduled, and may still be."""
        self.delivered = 0
        self.instances: dict[str, Instance] = {}
        self.search: dict[str, Search] = {}
        self.reactions: dict[str, list[Reaction]] = {}
        self.items: dict[tuple[str, int], dict[int, Item]] = {}
        self.pauses: dict[tuple[PauseScope, str], Pause] = {}
        self.owner_url: str | None = None
        self.inbox: dict[tuple[str, str], Inbox] = {}
        self.snapshots: dict[str, Snapshot] = {}
        self.subscriptions: dict[tuple[str, str], Subscription] = {}
        self.checkpoints: dict[str, int] = {}


def whole(delivery: Delivery) -> Delivery:
    """A copy that shares nothing with the original."""
    delivery = copy(delivery)
    delivery.envelope = kept(delivery.envelope)
    delivery.more = tuple(map(kept, delivery.more))
    return delivery


def kept(message: Envelope) -> Envelope:
    """A copy without the decoded message, as a database would give it back."""
    message = copy(message)
    message.message = None
    return message
