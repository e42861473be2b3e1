"""Every seam of the engine: what stands behind it is an adapter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from sagakit.core.commit import (
    Checkpoint,
    Commit,
    Delivery,
    Envelope,
    History,
    Inbox,
    Instance,
    Item,
    ItemState,
    Pause,
    Rejected,
    Search,
    Snapshot,
    Subscription,
)
from sagakit.core.queries import Counted, DeliveryQuery, InstanceQuery, Listed, OwnerSeen


class Store(Protocol):
    """The one database. One engine owns it; any number of readers stand beside.

    Every method may raise StoreFailed (nothing was written) or StoreUnusable; `commit` may raise CommitLost.
    """

    async def open(self, *, own: bool = True) -> bool:
        """Open and migrate, and take ownership if `own`. True if the last owner ended cleanly (or there was none).

        Without `own` the store can only be read: nothing is locked, created or migrated.
        """
        ...

    async def close(self, *, clean: bool = True) -> None:
        """Give up ownership; `clean` says that nothing was running any more."""
        ...

    async def commit(self, commits: Sequence[Commit]) -> list[Rejected | None]:
        """Write all of them in one transaction, in this order; each that does not match is dropped alone.

        Returns when the transaction is durable. None stands for a written Commit, whose positions, delivery ids
        and instance numbers are then set. A later Commit sees what an earlier one of the same call wrote.
        """
        ...

    async def committed(self, commits: Sequence[Commit]) -> list[bool]:
        """After CommitLost: which of them were written after all (their positions and ids are then set)."""
        ...

    async def read_deliveries(self, *, after: int = 0, limit: int = 1000) -> list[Delivery]:
        """Outstanding deliveries with an id above `after`, in the order of their ids, with their messages.

        Without those that are scheduled: these are read as they come due.
        """
        ...

    async def read_scheduled(self, *, after: tuple[int, int] = (0, 0), limit: int = 1000) -> list[Delivery]:
        """Scheduled deliveries, with what they carry, in the order of (due_at, id), above this."""
        ...

    async def read_delivery(self, id: int) -> Delivery | None:
        """One outstanding delivery, whatever its state."""
        ...

    async def find_deliveries(self, query: DeliveryQuery) -> list[Delivery]:
        """A page of outstanding deliveries for people to look at, scheduled ones too; not for the hot path."""
        ...

    async def read_messages(self, *, after: int = 0, limit: int = 1000) -> list[Envelope]:
        """The log above a position, in order."""
        ...

    async def read_story(self, correlation_id: str, *, after: int = 0, limit: int = 1000) -> list[Envelope]:
        """The messages of one correlation id above a position, in order."""
        ...

    async def read_stream(self, stream: str, *, after: int = 0, limit: int = 1000) -> list[Envelope]:
        """The events of a stream above a version, in order."""
        ...

    async def read_snapshot(self, stream: str) -> Snapshot | None:
        """The newest snapshot of a stream."""
        ...

    async def read_instance(self, id: str) -> Instance | None:
        """The hot row of an instance."""
        ...

    async def read_search(self, id: str) -> Search | None:
        """What `read_instances` lists of one instance."""
        ...

    async def read_instances(self, query: InstanceQuery) -> list[Listed]:
        """A page of instances, in the order of their numbers, newest first unless asked otherwise."""
        ...

    async def read_history(self, instance: str, *, after: int = 0, limit: int = 1000) -> list[History]:
        """The reactions of an instance above a row version, in order, with their messages."""
        ...

    async def read_items(
        self,
        instance: str,
        step: int,
        *,
        states: Sequence[ItemState] = (),
        after: int | None = None,
        before: int | None = None,
        limit: int = 1000,
    ) -> list[Item]:
        """Items of a batch in these states (none given: in any), by index.

        Upwards from above `after`; with `before` downwards from below it.
        """
        ...

    async def count_items(self, instance: str) -> list[Counted]:
        """How the items of an instance's batches stand."""
        ...

    async def read_pauses(self) -> list[Pause]:
        """All that stands still, in the order in which it was paused."""
        ...

    async def last_recorded(self) -> int:
        """When the newest message of the log was recorded; 0 if there is none."""
        ...

    async def announce(self, url: str | None) -> None:
        """The owner says where its HTTP door is (None: it has none). Forgotten when it closes."""
        ...

    async def read_owner(self) -> OwnerSeen | None:
        """Who owns the store now; None if nobody does."""
        ...

    async def read_inbox(self, scope: str, key: str) -> Inbox | None:
        """What the door remembers of a key."""
        ...

    async def read_subscriptions(self) -> list[Subscription]:
        """Which consumers take which message types."""
        ...

    async def subscribe(self, subscriptions: Iterable[Subscription]) -> None:
        """Record these subscriptions, and only these, keeping the `since` of those that stand already.

        A new one with `since` 0 starts after the newest message.
        """
        ...

    async def read_checkpoint(self, consumer: str) -> Checkpoint | None:
        """How far a reader has come."""
        ...


class Chance(Protocol):
    """What nobody can foresee: a simulation draws it from a seed."""

    def new_id(self) -> str:
        """The id of a message from outside: 32 hexadecimal digits, told once."""
        ...

    def share(self) -> float:
        """A number in [0, 1)."""
        ...


class Clock(Protocol):
    """The time that timers and records use: microseconds since 1970 (UTC), never going back."""

    def now(self) -> int:
        """The time now, at least as late as ever told before."""
        ...

    def has_been(self, seen: int) -> None:
        """This time was told before, by another clock perhaps: never tell an earlier one."""
        ...

    async def sleep_until(self, due: int) -> None:
        """Return once `now()` has reached `due`."""
        ...

    async def pause(self, microseconds: int) -> None:
        """Return after so long, also if `now()` stands still."""
        ...
