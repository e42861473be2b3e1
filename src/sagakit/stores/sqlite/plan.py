"""A group of Commits made ready: which of them match, what they are numbered, which rows they write."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from zlib import crc32

import msgspec
from msgspec.structs import astuple

from sagakit.core.commit import Commit, Delivery, DeliveryChange, Envelope, Inbox, Pause, PauseScope, Rejected
from sagakit.stores.sqlite.known import Known

PARTITIONS = 256

LOGGED = Envelope.__struct_fields__.index("position") + 1
"""How many fields of an Envelope the log keeps: all but the decoded message. They are the columns, in this order."""


class Numbers(msgspec.Struct, gc=False):
    """The highest keys given so far."""

    transactions: int
    position: int
    delivery: int
    instance: int


class Plan:
    """One transaction: the answers to its Commits, and the rows by statement, their values one after another."""

    def __init__(self, known: Known, numbers: Numbers, commits: Sequence[Commit]) -> None:
        self.commits = commits
        self.numbers = numbers
        self.messages: list[Any] = []
        self.deliveries: list[Any] = []
        self.rare_deliveries: list[Any] = []
        self.processes: list[Any] = []
        self.search: list[Any] = []
        self.reactions: list[Any] = []
        self.inbox: list[Any] = []
        self.items: list[Any] = []
        self.pauses: dict[tuple[PauseScope, str], Pause] = {}
        self.resumed: list[tuple[PauseScope, str]] = []
        self.snapshots: list[Any] = []
        self.checkpoints: list[Any] = []
        self.changed: list[tuple[str, tuple[Any, ...]]] = []
        """Statements and their rows, in the order of the Commits."""
        self.deleted: list[int] = []
        self.answers: list[Rejected | None] = []
        for commit in commits:
            rejected = _mismatch(known, commit)
            if rejected is None:
                self._add(known, commit)
            self.answers.append(rejected)

    def written(self) -> list[Commit]:
        """The Commits that match."""
        return [commit for commit, rejected in zip(self.commits, self.answers, strict=True) if rejected is None]

    def _add(self, known: Known, commit: Commit) -> None:
        numbers, instances = self.numbers, known.instances
        position, messages = numbers.position, self.messages
        for message in commit.messages:
            position += 1
            message.position = position
            messages += astuple(message)[:LOGGED]
            if message.stream is not None:
                known.streams[message.stream] = message.stream_version or 0
        numbers.position = position
        for delivery in commit.deliveries:
            numbers.delivery = id = numbers.delivery + 1
            delivery.id = id
            known.deliveries[id] = delivery.attempt
            if delivery.envelope.position and delivery.state != "scheduled" and not delivery.spent:
                self.deliveries += _delivery_row(delivery, id)
            else:
                self._add_rare_delivery(known, delivery)
        for fence in commit.done:
            id = fence.delivery
            del known.deliveries[id]
            self.deleted.append(id)
        if known.asleep:
            self._delete_asleep(known, commit)
        for write in commit.instances:
            row = write.row
            id = row.id
            number = instances[id][0]
            if not number:
                numbers.instance = number = numbers.instance + 1
            row.number = number
            instances[id] = (number, row.version)
            self.processes += astuple(row)
        for reaction in commit.reactions:
            inputs, outputs = reaction.inputs, reaction.outputs
            self.reactions += (
                instances[reaction.instance.id][0],
                reaction.version,
                inputs[0].position if inputs else 0,
                len(inputs),
                outputs[0].position if outputs else 0,
                len(outputs),
            )
        for search in commit.search:
            self.search.append(instances[search.instance][0])
            self.search += astuple(search)
        self._add_rare(known, commit)

    def _add_rare_delivery(self, known: Known, delivery: Delivery) -> None:
        """One that carries its message, or is scheduled: the key of these is below zero."""
        key, envelope = delivery.id, delivery.envelope
        if delivery.state == "scheduled":
            key = -key
            known.asleep.add(delivery.id)
        self.rare_deliveries += _delivery_row(delivery, key)
        if envelope.position:
            self.rare_deliveries += (None, None, None, delivery.spent)
        else:
            self.rare_deliveries += (envelope.id, envelope.type, envelope.sender, delivery.spent)
            known.carry(envelope.id, key)

    def _delete_asleep(self, known: Known, commit: Commit) -> None:
        for fence in commit.done:
            if fence.delivery in known.asleep:
                known.asleep.remove(fence.delivery)
                self.deleted.append(-fence.delivery)

    def _change(self, known: Known, change: DeliveryChange) -> None:
        id = change.fence.delivery
        known.deliveries[id] = change.attempt
        before = -id if id in known.asleep else id
        key = -id if change.state == "scheduled" else id
        if key != before:
            known.asleep.symmetric_difference_update((id,))
        values = (change.state, change.attempt, change.due_at, change.crashes, change.error, change.spent)
        self.changed.append(("change_delivery" if key == before else "move_delivery", (key, *values, before)))
        if change.envelope is not None:
            known.carry_no_more(id)
            self.changed.append(("edit_delivery", (change.envelope.position, len(change.more), key)))

    def _add_rare(self, known: Known, commit: Commit) -> None:
        for change in commit.changes:
            self._change(known, change)
        for id in commit.withdrawn:
            known.remove(id)
            self.deleted += (id, -id)
        for message_id in commit.forgotten:
            self.deleted += [-id for id in known.forget(message_id)]
        for entry in commit.inbox:
            known.inbox[entry.scope, entry.key] = entry
            self.inbox += astuple(entry)
        for item in commit.items:
            self.items.append(known.instances[item.instance][0])
            self.items += astuple(item)[1:]
        if commit.pauses or commit.resumed:
            self._add_pauses(commit)
        for snapshot in commit.snapshots:
            self.snapshots += astuple(snapshot)
        for checkpoint in commit.checkpoints:
            known.checkpoints[checkpoint.consumer] = checkpoint.position
            self.checkpoints += (checkpoint.consumer, checkpoint.position)

    def _add_pauses(self, commit: Commit) -> None:
        for pause in commit.pauses:
            self.pauses[pause.scope, pause.name] = pause
        for resumed in commit.resumed:
            self.pauses.pop(resumed, None)
            self.resumed.append(resumed)


def numbered(commit: Commit) -> Iterator[tuple[Any, str]]:
    """The objects of a Commit that the store numbers, with the field that holds the number."""
    for message in commit.messages:
        yield message, "position"
    for delivery in commit.deliveries:
        yield delivery, "id"
    for write in commit.instances:
        if not write.expected:
            yield write.row, "number"


def _delivery_row(delivery: Delivery, key: int) -> tuple[Any, ...]:
    position, lane = delivery.envelope.position, delivery.lane
    return (
        key,
        position or None,
        len(delivery.more),
        delivery.consumer,
        lane,
        delivery.partition if delivery.partition >= 0 else crc32(lane.encode()) % PARTITIONS,
        delivery.state,
        delivery.due_at,
        delivery.attempt,
        delivery.crashes,
        delivery.error,
        None if position else msgspec.msgpack.encode(astuple(delivery.envelope)[:LOGGED]),
    )


def _mismatch(known: Known, commit: Commit) -> Rejected | None:
    """Why a Commit cannot be written, if so. Most have one fence, one instance and no stream: so those come cheap."""
    rejected = _gone(known, commit)
    if rejected is None and known.streaming:
        rejected = _stream_conflict(known, commit)
    if rejected is None:
        rejected = _instance_conflict(known, commit)
    if rejected is None and commit.checkpoints:
        rejected = _checkpoint_conflict(known, commit)
    if rejected is None and commit.inbox:
        rejected = _repeated(known, commit)
    return rejected


def _gone(known: Known, commit: Commit) -> Rejected | None:
    fences = commit.done
    if commit.changes:
        fences = [*fences, *(change.fence for change in commit.changes)]
    for fence in fences:
        if known.deliveries.get(fence.delivery) != fence.attempt:
            return Rejected("gone", f"delivery {fence.delivery}, attempt {fence.attempt}")
    if len(fences) > 1 and len({fence.delivery for fence in fences}) < len(fences):
        return Rejected("gone", "a delivery that it finishes twice")
    return None


def _stream_conflict(known: Known, commit: Commit) -> Rejected | None:
    found: dict[str, int] | None = None
    for message in commit.messages:
        stream = message.stream
        if stream is not None:
            found = {} if found is None else found
            version = found.get(stream) or known.streams[stream]
            if message.stream_version != version + 1:
                return Rejected("conflict", f"stream {stream} is at version {version}")
            found[stream] = version + 1
    return None


def _instance_conflict(known: Known, commit: Commit) -> Rejected | None:
    found: dict[str, int] = {}
    for write in commit.instances:
        row = write.row
        id = row.id
        version = found.get(id) or known.instances[id][1]
        if version != write.expected:
            return Rejected("conflict", f"instance {id} is at version {version}")
        found[id] = row.version
    for reaction in commit.reactions:
        id = reaction.instance.id
        if id not in found and not known.instances[id][0]:
            return Rejected("conflict", f"instance {id} is at version 0")
    for search in commit.search:
        id = search.instance
        if id not in found and not known.instances[id][0]:
            return Rejected("conflict", f"instance {id} is at version 0")
    for item in commit.items:
        id = item.instance
        if id not in found and not known.instances[id][0]:
            return Rejected("conflict", f"instance {id} is at version 0")
    return None


def _checkpoint_conflict(known: Known, commit: Commit) -> Rejected | None:
    found: dict[str, int] = {}
    for checkpoint in commit.checkpoints:
        consumer = checkpoint.consumer
        position = found.get(consumer, known.checkpoints.get(consumer, 0))
        if position != checkpoint.expected:
            return Rejected("conflict", f"checkpoint {consumer} is at position {position}")
        found[consumer] = checkpoint.position
    return None


def _repeated(known: Known, commit: Commit) -> Rejected | None:
    found: dict[tuple[str, str], Inbox] = {}
    for entry in commit.inbox:
        key = (entry.scope, entry.key)
        earlier = found.get(key) or known.inbox.get(key)
        if earlier is not None:
            return Rejected("repeated", f"{entry.scope} {entry.key}", earlier)
        found[key] = entry
    return None
