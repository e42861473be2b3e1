"""What the owner of the file knows without asking it: the versions and attempts that Commits are checked by.

A file has one owner, so what it wrote itself is true; what it does not know is read, for a whole group at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, TypeVar

import msgspec

from sagakit.core.commit import Commit, Inbox
from sagakit.stores.sqlite.connection import Connection
from sagakit.stores.sqlite.queries import QUERIES

K = TypeVar("K")
V = TypeVar("V")

LIMIT = 50_000
"""Entries kept of each kind."""


class Known:
    """Attempts of deliveries, (number, version) of instances, versions of streams, positions of checkpoints.

    A version of 0 stands for something that is known not to be there.
    """

    def __init__(self) -> None:
        self.deliveries: dict[int, int] = {}
        self.instances: dict[str, tuple[int, int]] = {}
        self.streams: dict[str, int] = {}
        self.checkpoints: dict[str, int] = {}
        self.inbox: dict[tuple[str, str], Inbox] = {}
        """Of the group at hand only, as `carried` and `asleep` are."""
        self.carried: dict[str, list[int]] = {}
        """Deliveries that carry their message, by its id."""
        self.streaming = False
        """Whether a message of the group is of a stream."""
        self.asleep: set[int] = set()
        """Deliveries that are scheduled. No other one in `deliveries` is."""

    def clear(self) -> None:
        """Forget everything: what was told of a transaction that failed is not true."""
        for kind in (self.deliveries, self.instances, self.streams, self.checkpoints):
            kind.clear()
        self._end_group()

    def trim(self) -> None:
        """Forget the oldest where there is too much."""
        self._end_group()
        _trim(self.deliveries)
        _trim(self.instances)
        _trim(self.streams)

    def _end_group(self) -> None:
        for id in self.asleep:  # many sleep, and for long: they would push out what is at work
            self.deliveries.pop(id, None)
        self.inbox.clear()
        self.carried.clear()
        self.asleep.clear()

    def load(self, connection: Connection, commits: Sequence[Commit]) -> None:
        """Read what these Commits will be checked by and is not known yet."""
        for commit in commits:
            if commit.inbox:
                self._load_inbox(connection, commit.inbox)
            if commit.checkpoints and not self.checkpoints:
                self.checkpoints.update(_read(connection, "known_checkpoints"))
        if forgotten := [id for commit in commits for id in commit.forgotten]:
            for message_id, key in _read(connection, "known_carried", forgotten):
                self.carry(message_id, key)
        if unknown := self._unknown_deliveries(commits):
            found = _read(connection, "known_deliveries", unknown)
            self.deliveries.update((abs(key), attempt) for key, attempt in found)
            self.asleep.update(-key for key, _ in found if key < 0)
        if unknown := self._unknown_streams(commits):
            found = _read(connection, "known_streams", unknown)
            self.streams.update((stream, version or 0) for stream, version in found)
        if unknown := self._unknown_instances(commits):
            self.instances.update(dict.fromkeys(unknown, (0, 0)))
            found = _read(connection, "known_instances", unknown)
            self.instances.update((id, (number, version)) for id, number, version in found)

    def _unknown_deliveries(self, commits: Sequence[Commit]) -> list[int]:
        known = self.deliveries
        unknown = [fence.delivery for commit in commits for fence in commit.done if fence.delivery not in known]
        for commit in commits:
            if commit.changes:
                unknown += [change.fence.delivery for change in commit.changes]
        return unknown

    def _unknown_streams(self, commits: Sequence[Commit]) -> set[str]:
        streams = {message.stream for commit in commits for message in commit.messages if message.stream is not None}
        self.streaming = bool(streams)
        return streams.difference(self.streams) if streams else streams

    def _unknown_instances(self, commits: Sequence[Commit]) -> set[str]:
        known, ids = self.instances, set[str]()
        for commit in commits:
            for write in commit.instances:
                if write.row.id not in known:
                    ids.add(write.row.id)
            for reaction in commit.reactions:
                if reaction.instance.id not in known:
                    ids.add(reaction.instance.id)
            for search in commit.search:
                if search.instance not in known:
                    ids.add(search.instance)
            for item in commit.items:
                if item.instance not in known:
                    ids.add(item.instance)
        return ids

    def carry(self, message_id: str, key: int) -> None:
        """The delivery with this key carries this message."""
        self.carried.setdefault(message_id, []).append(abs(key))
        if key < 0:
            self.asleep.add(-key)

    def carry_no_more(self, id: int) -> None:
        """The delivery has another message, which is in the log."""
        for carrying in self.carried.values():
            if id in carrying:
                carrying.remove(id)

    def forget(self, message_id: str) -> list[int]:
        """The deliveries that are scheduled for this message: they are there no more."""
        forgotten = [id for id in self.carried.get(message_id, ()) if id in self.asleep]
        for id in forgotten:
            self.remove(id)
        return forgotten

    def remove(self, id: int) -> None:
        """This delivery is there no more."""
        self.deliveries.pop(id, None)
        self.asleep.discard(id)

    def _load_inbox(self, connection: Connection, entries: Iterable[Inbox]) -> None:
        for entry in entries:
            row = connection.execute(QUERIES["read_inbox"], {"scope": entry.scope, "key": entry.key}).fetchall()
            if row:
                self.inbox[entry.scope, entry.key] = Inbox(*row[0])


def _trim(kind: dict[K, V]) -> None:
    if len(kind) > LIMIT:
        for key in list(islice(kind, len(kind) - LIMIT * 3 // 4)):
            del kind[key]


def _read(connection: Connection, query: str, keys: Iterable[Any] | None = None) -> list[Any]:
    """One row that holds everything: each step back into Python would have to wait for the interpreter's lock."""
    bindings = () if keys is None else (msgspec.json.encode(list(keys)).decode(),)
    return msgspec.json.decode(connection.execute(QUERIES[query], bindings).get)
