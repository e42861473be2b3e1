"""A store in memory: the same rules as the durable ones, for tests and for trying things out."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from copy import copy
from itertools import islice
from typing import TypeVar

import msgspec

from sagakit.core.commit import (
    ENDED,
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
    PauseScope,
    Reaction,
    Rejected,
    Search,
    Snapshot,
    Subscription,
)
from sagakit.core.queries import Counted, DeliveryQuery, InstanceQuery, Listed, OwnerSeen
from sagakit.errors import StoreFailed, StoreInUse

T = TypeVar("T")


class MemoryData:
    """What a database would hold. It outlives the stores that are opened on it."""

    def __init__(self) -> None:
        self.epoch = 0
        self.clean = True
        self.messages: list[Envelope] = []
        self.streams: dict[str, list[Envelope]] = {}
        self.stories: dict[str, list[Envelope]] = {}
        self.deliveries: dict[int, Delivery] = {}
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


class MemoryStore:
    """A `Store` whose data lasts as long as its `data` object."""

    def __init__(self, data: MemoryData | None = None) -> None:
        self.data = data or MemoryData()
        self._epoch: int | None = None
        self._open = False
        self._last: list[tuple[Commit, Rejected | None]] = []

    def again(self) -> MemoryStore:
        """Another store on the same data: opening it takes the data away from this one."""
        return MemoryStore(self.data)

    async def open(self, *, own: bool = True) -> bool:
        """Take ownership if `own`; True if the last owner ended cleanly."""
        self._open = True
        clean = self.data.clean
        if own:
            self.data.epoch += 1
            self.data.clean = False
            self._epoch = self.data.epoch
        return clean

    async def close(self, *, clean: bool = True) -> None:
        """Give up ownership."""
        if self._open and clean and self._epoch == self.data.epoch:
            self.data.clean = True
            self.data.owner_url = None
        self._open = False
        self._epoch = None

    async def commit(self, commits: Sequence[Commit]) -> list[Rejected | None]:
        """Write each Commit that matches, in order."""
        data = self._owned()
        answers: list[Rejected | None] = []
        for commit in commits:
            rejected = _mismatch(data, commit)
            if rejected is None:
                _write(data, commit)
            answers.append(rejected)
        self._last = list(zip(commits, answers, strict=True))
        return answers

    async def committed(self, commits: Sequence[Commit]) -> list[bool]:
        """Which of them the last call wrote."""
        self._owned()
        return [any(known is commit and rejected is None for known, rejected in self._last) for commit in commits]

    async def read_deliveries(self, *, after: int = 0, limit: int = 1000) -> list[Delivery]:
        """Outstanding deliveries with an id above `after`, in the order of their ids."""
        deliveries = self._data().deliveries
        ids = sorted(id for id, one in deliveries.items() if id > after and one.state != "scheduled")[:limit]
        return [_whole(deliveries[id]) for id in ids]

    async def read_scheduled(self, *, after: tuple[int, int] = (0, 0), limit: int = 1000) -> list[Delivery]:
        """Scheduled deliveries in the order of (due_at, id), above this."""
        scheduled = [one for one in self._data().deliveries.values() if one.state == "scheduled"]
        due = sorted((one for one in scheduled if (one.due_at, one.id) > after), key=lambda one: (one.due_at, one.id))
        return [_whole(one) for one in due[:limit]]

    async def read_delivery(self, id: int) -> Delivery | None:
        """One outstanding delivery."""
        stored = self._data().deliveries.get(id)
        return None if stored is None else _whole(stored)

    async def find_deliveries(self, query: DeliveryQuery) -> list[Delivery]:
        """A page of outstanding deliveries, by id."""
        found = sorted((one for one in self._data().deliveries.values() if _wanted(query, one)), key=lambda one: one.id)
        return [_whole(one) for one in found[: query.limit]]

    async def read_messages(self, *, after: int = 0, limit: int = 1000) -> list[Envelope]:
        """The log above a position."""
        return [copy(message) for message in self._data().messages[after : after + limit]]

    async def read_story(self, correlation_id: str, *, after: int = 0, limit: int = 1000) -> list[Envelope]:
        """The messages of one correlation id above a position."""
        story = self._data().stories.get(correlation_id, ())
        return [copy(message) for message in islice((known for known in story if known.position > after), limit)]

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
        return list(islice((entry for entry in listed if _matches(query, entry)), query.limit))

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
        self._owned().owner_url = url

    async def read_owner(self) -> OwnerSeen | None:
        """Who owns the data now."""
        data = self._data()
        return None if data.clean else OwnerSeen(os.getpid(), data.owner_url)

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

    def _data(self) -> MemoryData:
        if not self._open:
            raise StoreFailed("the store is closed")
        return self.data

    def _owned(self) -> MemoryData:
        data = self._data()
        if self._epoch is None:
            raise StoreFailed("the store was opened for reading only")
        if self._epoch != data.epoch:
            raise StoreInUse("another engine has taken over this store in memory")
        return data


def _mismatch(data: MemoryData, commit: Commit) -> Rejected | None:
    """Why a Commit cannot be written, if so."""
    return _gone(data, commit) or _conflict(data, commit) or _repeated(data, commit)


def _gone(data: MemoryData, commit: Commit) -> Rejected | None:
    fences = [*commit.done, *(change.fence for change in commit.changes)]
    for fence in fences:
        stored = data.deliveries.get(fence.delivery)
        if stored is None or stored.attempt != fence.attempt:
            return Rejected("gone", f"delivery {fence.delivery}, attempt {fence.attempt}")
    if len({fence.delivery for fence in fences}) < len(fences):
        return Rejected("gone", "a delivery that it finishes twice")
    return None


def _conflict(data: MemoryData, commit: Commit) -> Rejected | None:
    versions: dict[str, int] = {}
    for message in commit.messages:
        if message.stream is not None:
            found = versions.get(message.stream, len(data.streams.get(message.stream, ())))
            if message.stream_version != found + 1:
                return Rejected("conflict", f"stream {message.stream} is at version {found}")
            versions[message.stream] = found + 1
    rows: dict[str, Instance] = {}
    for write in commit.instances:
        row = rows.get(write.row.id) or data.instances.get(write.row.id)
        found = row.version if row else 0
        if found != write.expected:
            return Rejected("conflict", f"instance {write.row.id} is at version {found}")
        rows[write.row.id] = write.row
    for id in [*(entry.instance for entry in commit.search), *(entry.instance.id for entry in commit.reactions)]:
        if id not in rows and id not in data.instances:
            return Rejected("conflict", f"instance {id} is at version 0")
    positions: dict[str, int] = {}
    for checkpoint in commit.checkpoints:
        found = positions.get(checkpoint.consumer, data.checkpoints.get(checkpoint.consumer, 0))
        if found != checkpoint.expected:
            return Rejected("conflict", f"checkpoint {checkpoint.consumer} is at position {found}")
        positions[checkpoint.consumer] = checkpoint.position
    return None


def _repeated(data: MemoryData, commit: Commit) -> Rejected | None:
    for index, entry in enumerate(commit.inbox):
        known = data.inbox.get((entry.scope, entry.key))
        for earlier in commit.inbox[:index]:
            known = known or (earlier if (earlier.scope, earlier.key) == (entry.scope, entry.key) else None)
        if known:
            return Rejected("repeated", f"{entry.scope} {entry.key}", copy(known))
    return None


def _write(data: MemoryData, commit: Commit) -> None:
    for message in commit.messages:
        _append(data, message)
    _write_deliveries(data, commit)
    for write in commit.instances:
        known = data.instances.get(write.row.id)
        write.row.number = known.number if known else len(data.instances) + 1
        data.instances[write.row.id] = copy(write.row)
    for search in commit.search:
        data.search[search.instance] = copy(search)
    for reaction in commit.reactions:
        data.reactions.setdefault(reaction.instance.id, []).append(copy(reaction))
    for item in commit.items:
        data.items.setdefault((item.instance, item.step), {})[item.index] = copy(item)
    for pause in commit.pauses:
        data.pauses[pause.scope, pause.name] = pause
    for resumed in commit.resumed:
        data.pauses.pop(resumed, None)
    for entry in commit.inbox:
        data.inbox[entry.scope, entry.key] = copy(entry)
    for snapshot in commit.snapshots:
        stored = data.snapshots.get(snapshot.stream)
        if stored is None or stored.version <= snapshot.version:
            data.snapshots[snapshot.stream] = copy(snapshot)
    for checkpoint in commit.checkpoints:
        data.checkpoints[checkpoint.consumer] = checkpoint.position


def _append(data: MemoryData, message: Envelope) -> None:
    message.position = len(data.messages) + 1
    stored = _kept(message)
    data.messages.append(stored)
    data.stories.setdefault(stored.correlation_id, []).append(stored)
    if stored.stream is not None:
        data.streams.setdefault(stored.stream, []).append(stored)


def _write_deliveries(data: MemoryData, commit: Commit) -> None:
    for delivery in commit.deliveries:
        data.delivered += 1
        delivery.id = data.delivered
        data.deliveries[delivery.id] = _whole(delivery)
    for change in commit.changes:
        stored = data.deliveries[change.fence.delivery]
        stored.state, stored.attempt, stored.due_at = change.state, change.attempt, change.due_at
        stored.crashes, stored.error = change.crashes, change.error
    for fence in commit.done:
        del data.deliveries[fence.delivery]
    for id in commit.withdrawn:
        data.deliveries.pop(id, None)
    for message_id in commit.forgotten:
        for id in [id for id, one in data.deliveries.items() if _is_scheduled(one, message_id)]:
            del data.deliveries[id]


def _is_scheduled(delivery: Delivery, message_id: str) -> bool:
    return delivery.state == "scheduled" and delivery.envelope.id == message_id


def _wanted(query: DeliveryQuery, delivery: Delivery) -> bool:
    return (
        delivery.id > query.after
        and query.state in (None, delivery.state)
        and query.consumer in (None, delivery.consumer)
        and query.type in (None, delivery.envelope.type)
        and query.lane in (None, delivery.lane)
        and query.sender in (None, delivery.envelope.sender)
        and (query.error is None or query.error in (delivery.error or ""))
    )


def _matches(query: InstanceQuery, entry: Listed) -> bool:
    search = entry.search
    return (
        query.type in (None, search.type)
        and (query.status in (None, search.status) or (query.status == "live" and search.status not in ENDED))
        and query.key in (None, search.key)
        and query.trace_id in (None, search.trace_id)
        and query.correlation_id in (None, search.correlation_id)
        and (query.started_before is None or search.started_at < query.started_before)
        and (query.started_after is None or search.started_at > query.started_after)
        and _comes_after(query, entry.row.number)
        and (not query.attributes or _has(search.attributes, query.attributes))
    )


def _comes_after(query: InstanceQuery, number: int) -> bool:
    if query.after is None:
        return True
    return number < query.after if query.order == "newest" else number > query.after


def _has(stored: bytes, attributes: tuple[tuple[str, str], ...]) -> bool:
    values: dict[str, object] = msgspec.json.decode(stored)
    return all(name in values and str(values[name]) == value for name, value in attributes)


def _logged(data: MemoryData, messages: tuple[Envelope, ...]) -> tuple[Envelope, ...]:
    return tuple(copy(data.messages[message.position - 1]) for message in messages)


def _whole(delivery: Delivery) -> Delivery:
    """A copy that shares nothing with the original."""
    delivery = copy(delivery)
    delivery.envelope = _kept(delivery.envelope)
    delivery.more = tuple(map(_kept, delivery.more))
    return delivery


def _kept(message: Envelope) -> Envelope:
    """A copy without the decoded message, as a database would give it back."""
    message = copy(message)
    message.message = None
    return message


def _copied(stored: T | None) -> T | None:
    return None if stored is None else copy(stored)
