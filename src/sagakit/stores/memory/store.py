"""The store itself: who owns it, and what is read."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from copy import copy
from heapq import nsmallest
from itertools import islice
from typing import TypeVar

from sagakit.core.cluster.members import Owned
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
from sagakit.core.streams import partition_of
from sagakit.errors import StoreFailed, StoreInUse
from sagakit.ports import Cluster
from sagakit.stores.memory.cluster import MemoryCluster
from sagakit.stores.memory.data import MemoryData, whole
from sagakit.stores.memory.looking import is_listed, is_wanted
from sagakit.stores.memory.matching import mismatch
from sagakit.stores.memory.writing import write

T = TypeVar("T")


class MemoryStore:
    """A `Store` whose data lasts as long as its `data` object. `shared`: several engines may be on it at once."""

    def __init__(self, data: MemoryData | None = None, *, shared: bool = False) -> None:
        self.data = data or MemoryData()
        self._epoch: int | None = None
        self._open = False
        self._last: list[tuple[Commit, Rejected | None]] = []
        self._cluster = MemoryCluster(self.data) if shared else None

    @property
    def cluster(self) -> Cluster | None:
        """What several engines on this data share, where they may."""
        return self._cluster

    def again(self) -> MemoryStore:
        """Another store on the same data: opening it takes the data away from this one, unless it is shared."""
        return MemoryStore(self.data, shared=self._cluster is not None)

    async def open(self, *, own: bool = True) -> bool:
        """Take ownership if `own`; True if the last owner ended cleanly."""
        self._open = True
        clean = self.data.clean
        if own:
            self.data.epoch += 1
            self.data.clean = False
            self.data.owned = True
            self.data.owner_url = None
            self._epoch = self.data.epoch
        return clean

    async def close(self, *, clean: bool = True) -> None:
        """Give up ownership."""
        if self._open and self._epoch == self.data.epoch:
            self.data.clean = clean
            self.data.owned = False
            self.data.owner_url = None
        self._open = False
        self._epoch = None

    async def commit(self, commits: Sequence[Commit]) -> list[Rejected | None]:
        """Write each Commit that matches, in order."""
        data, cluster = self._owned(), self._cluster
        answers: list[Rejected | None] = []
        for commit in commits:
            rejected = mismatch(data, commit) or (None if cluster is None else cluster.stale(commit))
            if rejected is None:
                write(data, commit)
                if cluster is not None:
                    cluster.wrote(commit.deliveries)
            answers.append(rejected)
        self._last = list(zip(commits, answers, strict=True))
        return answers

    async def committed(self, commits: Sequence[Commit]) -> list[bool]:
        """Which of them the last call wrote."""
        self._owned()
        return [any(known is commit and rejected is None for known, rejected in self._last) for commit in commits]

    async def read_deliveries(self, *, after: int = 0, limit: int = 1000, of: Owned | None = None) -> list[Delivery]:
        """Outstanding deliveries with an id above `after`, in the order of their ids."""
        waiting = (one for one in self._in(of) if one.id > after and one.state != "scheduled")
        return [whole(one) for one in nsmallest(limit, waiting, key=lambda one: one.id)]

    async def read_scheduled(
        self, *, after: tuple[int, int] = (0, 0), limit: int = 1000, of: Owned | None = None
    ) -> list[Delivery]:
        """Scheduled deliveries in the order of (due_at, id), above this."""
        scheduled = [one for one in self._in(of) if one.state == "scheduled"]
        coming = (one for one in scheduled if (one.due_at, one.id) > after)
        return [whole(one) for one in nsmallest(limit, coming, key=lambda one: (one.due_at, one.id))]

    async def read_delivery(self, id: int) -> Delivery | None:
        """One outstanding delivery."""
        stored = self._data().deliveries.get(id)
        return None if stored is None else whole(stored)

    async def find_deliveries(self, query: DeliveryQuery) -> list[Delivery]:
        """A page of outstanding deliveries, by id."""
        found = sorted(
            (one for one in self._data().deliveries.values() if is_wanted(query, one)), key=lambda one: one.id
        )
        return [whole(one) for one in found[: query.limit]]

    async def read_messages(self, *, after: int = 0, limit: int = 1000) -> list[Envelope]:
        """The log above a position."""
        return [copy(message) for message in self._data().messages[after : after + limit]]

    async def read_story(self, correlation_id: str, *, after: int = 0, limit: int = 1000) -> list[Envelope]:
        """The messages of one correlation id above a position."""
        story = self._data().stories.get(correlation_id, ())
        return [copy(message) for message in islice((known for known in story if known.position > after), limit)]

    async def read_message(self, correlation_id: str, id: str) -> Envelope | None:
        """One message of the log."""
        story = self._data().stories.get(correlation_id, ())
        return _copied(next((known for known in story if known.id == id), None))

    async def read_stream(self, stream: str, *, after: int = 0, limit: int = 1000) -> list[Envelope]:
        """The events of a stream above a version."""
        events = self._data().streams.get(stream, ())
        return [copy(event) for event in events[after : after + limit]]

    async def read_snapshot(self, stream: str) -> Snapshot | None:
        """The newest snapshot of a stream."""
        return _copied(self._data().snapshots.get(stream))

    async def read_instance(self, id: str) -> Instance | None:
        """The hot row of an instance."""
        return _copied(self._data().instances.get(id))

    async def read_search(self, id: str) -> Search | None:
        """What is listed of one instance."""
        return _copied(self._data().search.get(id))

    async def read_instances(self, query: InstanceQuery) -> list[Listed]:
        """A page of instances, newest first."""
        data = self._data()
        newest = query.order == "newest"
        in_order = sorted(data.search, key=lambda id: data.instances[id].number, reverse=newest)
        listed = (Listed(copy(data.instances[id]), copy(data.search[id])) for id in in_order)
        return list(islice((entry for entry in listed if is_listed(query, entry)), query.limit))

    async def read_history(self, instance: str, *, after: int = 0, limit: int = 1000) -> list[History]:
        """The reactions of an instance above a row version."""
        data = self._data()
        reactions = [entry for entry in data.reactions.get(instance, ()) if entry.version > after]
        return [
            History(entry.version, _logged(data, entry.inputs), _logged(data, entry.outputs))
            for entry in reactions[:limit]
        ]

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
        """Items of a batch by index, upwards, or downwards from below `before`."""
        items = self._data().items.get((instance, step), {})
        wanted = [items[index] for index in sorted(items, reverse=before is not None)]
        found = (
            copy(item)
            for item in wanted
            if (not states or item.state in states)
            and (after is None or item.index > after)
            and (before is None or item.index < before)
        )
        return list(islice(found, limit))

    async def count_items(self, instance: str) -> list[Counted]:
        """How the items of an instance's batches stand."""
        batches = [(step, items.values()) for (of, step), items in self._data().items.items() if of == instance]
        counts = Counter((step, item.state) for step, items in batches for item in items)
        return [Counted(step, state, count) for (step, state), count in sorted(counts.items())]

    async def read_pauses(self) -> list[Pause]:
        """All that stands still."""
        return list(self._data().pauses.values())

    async def last_recorded(self) -> int:
        """When the newest message was recorded."""
        messages = self._data().messages
        return messages[-1].recorded_at if messages else 0

    async def announce(self, url: str | None) -> None:
        """The owner says where its HTTP door is."""
        data = self._owned()
        if self._cluster is None:
            data.owner_url = url
        else:
            data.workers[self._cluster.me or ""].url = url

    async def read_owner(self) -> OwnerSeen | None:
        """Who owns the data now."""
        data = self._data()
        return OwnerSeen(os.getpid(), data.owner_url) if data.owned else None

    async def read_inbox(self, scope: str, key: str) -> Inbox | None:
        """What the door remembers of a key."""
        return _copied(self._data().inbox.get((scope, key)))

    async def read_subscriptions(self) -> list[Subscription]:
        """Which consumers take which message types."""
        subscriptions = self._data().subscriptions
        return [subscriptions[name] for name in sorted(subscriptions)]

    async def subscribe(self, subscriptions: Iterable[Subscription]) -> None:
        """Record these, and only these."""
        data = self._owned()
        data.subscriptions = {
            (wanted.consumer, wanted.type): data.subscriptions.get((wanted.consumer, wanted.type))
            or Subscription(wanted.consumer, wanted.type, wanted.since or len(data.messages))
            for wanted in subscriptions
        }

    async def read_checkpoint(self, consumer: str) -> Checkpoint | None:
        """How far a reader has come."""
        position = self._data().checkpoints.get(consumer)
        return None if position is None else Checkpoint(consumer, position)

    def _in(self, of: Owned | None) -> Iterable[Delivery]:
        """All deliveries, or those in these partitions."""
        everything = self._data().deliveries.values()
        if of is None:
            return everything
        return (one for one in everything if partition_of(one) in of.get(one.consumer, ()))

    def _data(self) -> MemoryData:
        if not self._open:
            raise StoreFailed("the store is closed")
        return self.data

    def _owned(self) -> MemoryData:
        data = self._data()
        if self._cluster is not None:
            self._cluster.check()
            return data
        if self._epoch is None:
            raise StoreFailed("the store was opened for reading only")
        if self._epoch != data.epoch:
            raise StoreInUse("another engine has taken over this store in memory")
        return data


def _logged(data: MemoryData, messages: tuple[Envelope, ...]) -> tuple[Envelope, ...]:
    return tuple(copy(data.messages[message.position - 1]) for message in messages)


def _copied(stored: T | None) -> T | None:
    return None if stored is None else copy(stored)
