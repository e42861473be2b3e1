"""What a Commit must match to be written."""

from __future__ import annotations

from itertools import chain

from sagakit.core.commit import Commit, Inbox, Rejected
from sagakit.stores.postgres.writing.known import Known, fences, named


def mismatch(known: Known, routing: int, commit: Commit) -> Rejected | None:
    """Why a Commit cannot be written, if so."""
    if commit.routing and commit.routing != routing:
        return Rejected("conflict", "routing")
    rejected = _gone(known, commit) or _stream_conflict(known, commit) or _instance_conflict(known, commit)
    if rejected is None and commit.checkpoints:
        rejected = _checkpoint_conflict(known, commit)
    if rejected is None and commit.inbox:
        rejected = _repeated(known, commit)
    return rejected


def _gone(known: Known, commit: Commit) -> Rejected | None:
    wanted = fences(commit)
    for fence in wanted:
        if known.deliveries.get(fence.delivery) != fence.attempt:
            return Rejected("gone", f"delivery {fence.delivery}, attempt {fence.attempt}")
    if len(wanted) > 1 and len({fence.delivery for fence in wanted}) < len(wanted):
        return Rejected("gone", "a delivery that it finishes twice")
    return None


def _stream_conflict(known: Known, commit: Commit) -> Rejected | None:
    found: dict[str, int] = {}
    for message in commit.messages:
        stream = message.stream
        if stream is not None:
            version = found.get(stream) or known.streams.get(stream, 0)
            if message.stream_version != version + 1:
                return Rejected("conflict", f"stream {stream} is at version {version}")
            found[stream] = version + 1
    return None


def _instance_conflict(known: Known, commit: Commit) -> Rejected | None:
    found: dict[str, int] = {}
    for write in commit.instances:
        id = write.row.id
        version = found.get(id) or known.instances.get(id, (0, 0))[1]
        if version != write.expected:
            return Rejected("conflict", f"instance {id} is at version {version}")
        found[id] = write.row.version
    for id in named((commit,)):
        if id not in found and id not in known.instances:
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


def move_on(known: Known, commit: Commit) -> None:
    """What is known once this Commit is written. Nobody speaks of its deliveries yet: they have no ids."""
    for message in commit.messages:
        if message.stream is not None:
            known.streams[message.stream] = message.stream_version or 0
    for change in commit.changes:
        id = change.fence.delivery
        known.deliveries[id] = change.attempt
        if change.state == "scheduled":
            known.asleep.add(id)
        else:
            known.asleep.discard(id)
        if change.envelope is not None:
            known.carries_no_more(id)
    for id in chain((fence.delivery for fence in commit.done), commit.withdrawn):
        known.remove(id)
    for checkpoint in commit.checkpoints:
        known.checkpoints[checkpoint.consumer] = checkpoint.position
    for entry in commit.inbox:
        known.inbox[entry.scope, entry.key] = entry
