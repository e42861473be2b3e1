"""What can be asked of a store: which instances, which deliveries; and what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from msgspec import Struct

from sagakit.core.commit import DeliveryState, Instance, ItemState, Search

Order: TypeAlias = Literal["newest", "oldest"]


class InstanceQuery(Struct, frozen=True):
    """Which instances to list. All that is given has to match. `after` is the number of the last one seen."""

    type: str | None = None
    status: str | None = None
    """A status, or "live": all that have not ended."""
    key: str | None = None
    trace_id: str | None = None
    correlation_id: str | None = None
    attributes: tuple[tuple[str, str], ...] = ()
    """Names and values of attributes, the values as text."""
    started_before: int | None = None
    started_after: int | None = None
    order: Order = "newest"
    limit: int = 50
    after: int | None = None


class DeliveryQuery(Struct, frozen=True):
    """Which outstanding deliveries to list, oldest first (by id). All that is given has to match."""

    state: DeliveryState | None = None
    consumer: str | None = None
    type: str | None = None
    """The wire name of the message."""
    lane: str | None = None
    sender: str | None = None
    """The lane of the instance that sent it."""
    error: str | None = None
    """Part of the last error."""
    limit: int = 50
    after: int = 0


class ItemQuery(Struct, frozen=True):
    """Which items of a batch to read, by index: upwards from above `after`, or downwards from below `before`."""

    step: int
    states: tuple[ItemState, ...] = ()
    """None given: in any state."""
    after: int | None = None
    before: int | None = None
    limit: int = 1000


class Listed(Struct, frozen=True):
    """One instance of a list."""

    row: Instance
    search: Search


class Counted(Struct, frozen=True):
    """How many items of a batch are in a state."""

    step: int
    state: str
    count: int


class OwnerSeen(Struct, frozen=True):
    """Who owns a store, as it says itself; `url` is where its HTTP door is, if it has one."""

    pid: int | None
    url: str | None


class Waiting(Struct, frozen=True):
    """The deliveries of one consumer in one state."""

    consumer: str
    state: DeliveryState
    count: int
    oldest: int
    """When the message of the oldest was recorded (microseconds since 1970); of scheduled ones, when the first is due.
    """


class Standing(Struct, frozen=True):
    """What waits in an engine."""

    now: int
    """The engine's clock: microseconds since 1970."""
    waiting: Sequence[Waiting]
    """What is in memory: of scheduled deliveries only those that are due next."""
    unread: int
    """Deliveries that are still in the store alone."""
    unfinished: int
    """Accepted and not handled yet, which the doors bound."""
    bound: int
    """So many unfinished ones are the most; past it the doors refuse."""
    running: int
    """Users' handlers that run."""
    waiters: int
    """Who waits for an outcome or watches."""
    stuck: Mapping[str, int]
    """Instances by a status that waits for a person; counted up to a thousand."""
    ready: bool
    """Whether messages are accepted and handled."""
    limited: Mapping[str, int]
    """Deliveries that wait for a limit of their handler, by consumer."""
    partitions: Mapping[str, int]
    """Partitions by the worker that owns them; empty where one engine owns all."""
    behind: Mapping[tuple[str, str], int]
    """Records of topics that are not durable here yet, by topic and group."""
