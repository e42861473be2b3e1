"""What the store in memory holds."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy

from sagakit.core.cluster.members import Lease, Notice, Worker
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
        self.time = 0
        """What stands for the database's clock where several engines share it."""
        self.workers: dict[str, Worker] = {}
        self.expired: list[str] = []
        """Workers whose lease has expired."""
        self.leases: dict[tuple[str, int], Lease] = {}
        self.written: list[tuple[int, str]] = []
        """The ids of all deliveries, in the order in which they were committed, and the worker that did."""
        self.routing = 1
        self.routed_for: dict[tuple[str, str], str] = {}
        """The app that each subscription is of."""
        self.asked: dict[str, set[tuple[str, str]]] = {}
        """What each living worker has subscribed to."""
        self.listeners: dict[str, Callable[[Notice], None]] = {}

    def expire(self, worker: str) -> None:
        """Its lease has expired: the next one who looks expels it."""
        self.expired.append(worker)


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
