"""What a group of Commits is checked by: assumed to be as they expect, or read from the database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sagakit.core.commit import Commit, Fence, Inbox
from sagakit.stores.postgres.connection import Connection
from sagakit.stores.postgres.queries import QUERIES


class Known:
    """Attempts of deliveries, (number, version) of instances, versions of streams, positions of checkpoints.

    What is not in it is not there. It moves on with each Commit of the group, so that a later one sees the earlier.
    """

    def __init__(self) -> None:
        self.deliveries: dict[int, int] = {}
        self.instances: dict[str, tuple[int, int]] = {}
        """A number below zero: the row is new in this group."""
        self.streams: dict[str, int] = {}
        self.checkpoints: dict[str, int] = {}
        self.inbox: dict[tuple[str, str], Inbox] = {}
        self.carried: dict[str, list[int]] | None = None
        """Deliveries that carry their message, by its id; None: it was not asked."""
        self.asleep: set[int] = set()
        """Those of them that are scheduled."""

    def forget(self, message_id: str) -> list[int]:
        """The deliveries that are scheduled for this message: they are there no more."""
        assert self.carried is not None
        forgotten = [id for id in self.carried.get(message_id, ()) if id in self.asleep]
        for id in forgotten:
            self.remove(id)
        return forgotten

    def remove(self, id: int) -> None:
        """This delivery is there no more."""
        self.deliveries.pop(id, None)
        self.asleep.discard(id)

    def carries_no_more(self, id: int) -> None:
        """The delivery has another message, which is in the log."""
        for carrying in (self.carried or {}).values():
            if id in carrying:
                carrying.remove(id)


def fences(commit: Commit) -> list[Fence]:
    """The deliveries that have to be there."""
    return [*commit.done, *[change.fence for change in commit.changes]] if commit.changes else commit.done


def assume(commits: Sequence[Commit], numbers: Mapping[str, int]) -> Known | None:
    """Everything as the first Commit that speaks of it expects it: right if the database then agrees.

    None: the number of an instance is not known.
    """
    known = Known()
    deliveries, streams, instances = known.deliveries, known.streams, known.instances
    for commit in commits:
        for fence in fences(commit):
            deliveries.setdefault(fence.delivery, fence.attempt)
        for message in commit.messages:
            if message.stream is not None:
                streams.setdefault(message.stream, max((message.stream_version or 0) - 1, 0))
        for write in commit.instances:
            row = write.row
            if write.expected and row.id not in instances:
                number = row.number or numbers.get(row.id)
                if not number:
                    return None
                instances[row.id] = (number, write.expected)
        for checkpoint in commit.checkpoints:
            known.checkpoints.setdefault(checkpoint.consumer, checkpoint.expected)
    written = {write.row.id for commit in commits for write in commit.instances}
    for id in named(commits):
        if id not in written and id not in instances:
            number = numbers.get(id)
            if not number:
                return None
            instances[id] = (number, 1)
    return known


def named(commits: Sequence[Commit]) -> Iterator[str]:
    """The instances that have to be there, since something is written of them."""
    for commit in commits:
        for reaction in commit.reactions:
            yield reaction.instance.id
        for search in commit.search:
            yield search.instance
        for item in commit.items:
            yield item.instance


async def load(connection: Connection, commits: Sequence[Commit]) -> Known:
    """Read what these Commits are checked by."""
    known = Known()
    known.carried = {}
    if forgotten := [id for commit in commits for id in commit.forgotten]:
        for message_id, id, state in await _rows(connection, "known_carried", forgotten):
            known.carried.setdefault(message_id, []).append(id)
            if state == "scheduled":
                known.asleep.add(id)
    if deliveries := [fence.delivery for commit in commits for fence in fences(commit)]:
        known.deliveries.update(await _rows(connection, "known_deliveries", deliveries))
    if streams := {one.stream for commit in commits for one in commit.messages if one.stream is not None}:
        known.streams.update(await _rows(connection, "known_streams", list(streams)))
    if ids := {*named(commits), *(write.row.id for commit in commits for write in commit.instances)}:
        for id, number, version in await _rows(connection, "known_instances", list(ids)):
            known.instances[id] = (number, version)
    if consumers := [one.consumer for commit in commits for one in commit.checkpoints]:
        known.checkpoints.update(await _rows(connection, "known_checkpoints", consumers))
    if entries := [entry for commit in commits for entry in commit.inbox]:
        scopes, keys = [entry.scope for entry in entries], [entry.key for entry in entries]
        found = await _rows(connection, "known_inbox", scopes, keys)
        known.inbox.update({(row[0], row[1]): Inbox(*row) for row in found})
    return known


async def _rows(connection: Connection, query: str, *values: list[Any]) -> list[Any]:
    return await connection.fetch(QUERIES[query], *values)
