"""What a Commit must match to be written."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy

from sagakit.core.commit import Commit, Instance, Rejected
from sagakit.stores.memory.data import MemoryData


def mismatch(data: MemoryData, commit: Commit) -> Rejected | None:
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
    for id in _named(commit):
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


def _named(commit: Commit) -> Iterator[str]:
    """The instances that have to be there, since something is written of them."""
    for reaction in commit.reactions:
        yield reaction.instance.id
    for entry in (*commit.search, *commit.items):
        yield entry.instance
