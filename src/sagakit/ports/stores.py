"""The one database, and what several workers share in it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Protocol

from sagakit.core.cluster.members import Claim, Lease, Notice, Owned, Routes, Unclaimed, Worker
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

    @property
    def cluster(self) -> Cluster | None:
        """What several engines on this store share; None: one engine owns it alone."""
        ...

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

    async def read_deliveries(self, *, after: int = 0, limit: int = 1000, of: Owned | None = None) -> list[Delivery]:
        """Outstanding deliveries with an id above `after`, in the order of their ids, with their messages.

        Without those that are scheduled: these are read as they come due. `of`: only those in these partitions.
        """
        ...

    async def read_scheduled(
        self, *, after: tuple[int, int] = (0, 0), limit: int = 1000, of: Owned | None = None
    ) -> list[Delivery]:
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

    async def read_message(self, correlation_id: str, id: str) -> Envelope | None:
        """One message of the log; of several with this id the first."""
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


class Cluster(Protocol):
    """What several workers on one store share: who lives, who owns which partition, what the others have written.

    A store whose `cluster` is used is opened with `own=False`; it takes Commits between `join` and `leave`. Every
    method may raise what a Store's may; what needs a worker that was expelled raises LeaseLost, `commit` too.
    """

    async def prepare(self) -> None:
        """Create what the store needs, or migrate it, before it is opened."""
        ...

    async def join(self, me: Worker, subscriptions: Sequence[Subscription]) -> Routes:
        """Live from now on, and subscribe to these (keeping the `since` of those that stand).

        A subscription that is new makes a new version of the routes: what other workers have routed by the old one is
        rejected from then on. Those of the same app that no living worker has asked for are removed, if `me` declares
        something.
        """
        ...

    async def renew(self) -> list[Worker]:
        """My lease lasts anew; all who live. This and `expel_expired` may be called from a loop of their own."""
        ...

    async def expel_expired(self) -> list[str]:
        """Expel those whose lease has expired, by the store's clock; their ids.

        What they were committing is committed or dropped when this returns; their partitions are free, not clean.
        """
        ...

    async def leave(self) -> None:
        """Live no more. What is still owned is free, and clean only if it was released so before."""
        ...

    async def workers(self) -> list[Worker]:
        """All who live, by when they joined; also without joining."""
        ...

    async def leases(self) -> list[Lease]:
        """Who owns what, of all that was ever claimed; also without joining."""
        ...

    async def read_unclaimed(self) -> list[Unclaimed]:
        """Consumers that no living worker declares and for which deliveries are outstanding; also without joining.

        By name. The engine's own consumers that stand beside the others (`sagakit.withdraw`, ...) are not among them.
        """
        ...

    async def claim(self, wanted: Owned) -> list[Claim]:
        """Those of these partitions that nobody else owns: they are mine now.

        Those that are mine already come too: the answer to an earlier call may have been lost.
        """
        ...

    async def release(self, given: Owned, *, clean: bool) -> None:
        """These partitions are not mine any more. `clean`: nothing runs in them."""
        ...

    async def read_arrivals(self, owned: Owned) -> list[Delivery]:
        """What was written into these partitions by workers that did not own them, since the last call.

        Scheduled ones too. Nothing is lost, however late it was committed; what was there when a partition was claimed
        may come here, and from `read_deliveries`, both. In the order of their ids. `owned` is not changed afterwards:
        the very same again is known to say the same.
        """
        ...

    async def find_delivery(self, position: int) -> Delivery | None:
        """The outstanding delivery to a command's handler, by the command's position in the log."""
        ...

    async def read_outstanding(self, correlation_id: str) -> list[Delivery]:
        """The outstanding deliveries of a story, without those that are scheduled, in the order of their ids."""
        ...

    async def withdrawing(self, message_ids: Collection[str]) -> set[str]:
        """Those of these messages that an outstanding delivery for the consumer WITHDRAW carries."""
        ...

    async def read_routes(self) -> Routes:
        """The subscriptions as they are now, and their version."""
        ...

    def listen(self, on_notice: Callable[[Notice], None]) -> None:
        """Call this with each notice that comes, in the loop that opened the store."""
        ...

    async def notify(self, notices: Sequence[Notice]) -> None:
        """Send these, merged. Never raises StoreFailed: a notice may get lost."""
        ...
