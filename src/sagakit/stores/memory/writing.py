"""A Commit that matches, written."""

from __future__ import annotations

from copy import copy

from msgspec.structs import replace

from sagakit.core.commit import Commit, Delivery, Envelope
from sagakit.stores.memory.data import MemoryData, kept, whole


def write(data: MemoryData, commit: Commit) -> None:
    for message in commit.messages:
        _append(data, message)
    _write_deliveries(data, commit)
    for write in commit.instances:
        known = data.instances.get(write.row.id)
        write.row.number = known.number if known else len(data.instances) + 1
        data.instances[write.row.id] = copy(write.row)
    for search in commit.search:
        first = data.search.get(search.instance, search)
        data.search[search.instance] = replace(
            search, type=first.type, key=first.key, correlation_id=first.correlation_id
        )
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
    stored = kept(message)
    data.messages.append(stored)
    data.stories.setdefault(stored.correlation_id, []).append(stored)
    if stored.stream is not None:
        data.streams.setdefault(stored.stream, []).append(stored)


def _write_deliveries(data: MemoryData, commit: Commit) -> None:
    for delivery in commit.deliveries:
        data.delivered += 1
        delivery.id = data.delivered
        data.deliveries[delivery.id] = whole(delivery)
        if not delivery.envelope.position:
            data.carried.setdefault(delivery.envelope.id, set()).add(delivery.id)
    for change in commit.changes:
        stored = data.deliveries[change.fence.delivery]
        stored.state, stored.attempt, stored.due_at = change.state, change.attempt, change.due_at
        stored.crashes, stored.error = change.crashes, change.error
        if change.spent is not None:
            stored.spent = change.spent
        if change.envelope is not None:
            _carry_no_more(data, stored)
            stored.envelope, stored.more = kept(change.envelope), tuple(map(kept, change.more))
    for fence in commit.done:
        _remove(data, fence.delivery)
    for id in commit.withdrawn:
        _remove(data, id)
    for message_id in commit.forgotten:
        _forget(data, message_id)


def _remove(data: MemoryData, id: int) -> None:
    delivery = data.deliveries.pop(id, None)
    if delivery is not None:
        _carry_no_more(data, delivery)


def _carry_no_more(data: MemoryData, delivery: Delivery) -> None:
    if not delivery.envelope.position:
        carrying = data.carried[delivery.envelope.id]
        carrying.discard(delivery.id)
        if not carrying:
            del data.carried[delivery.envelope.id]


def _forget(data: MemoryData, message_id: str) -> None:
    for id in list(data.carried.get(message_id, ())):
        if data.deliveries[id].state == "scheduled":
            _remove(data, id)
