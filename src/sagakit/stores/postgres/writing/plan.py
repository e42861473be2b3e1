"""A group of Commits made ready: which of them match, and the arrays that write_1 is given.

What gets its number only in the database is spoken of by its place, below zero: -1 is the first message, or the
first new instance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import astuple

from sagakit.core.cluster.members import WITHDRAW
from sagakit.core.commit import Commit, Delivery, InstanceWrite, Pause, PauseScope, Rejected
from sagakit.core.streams import partition_of
from sagakit.stores.postgres.carried import LOGGED, encode_carried
from sagakit.stores.postgres.writing.known import Known
from sagakit.stores.postgres.writing.matching import mismatch, move_on

MOST_ROWS = 20_000
"""Messages and items of one transaction, about."""


class Plan:
    """As many of these Commits, from the first, as one call can write, and the answers to them."""

    def __init__(
        self, known: Known, commits: Sequence[Commit], routing: int, is_foreign: Callable[[str, int], bool]
    ) -> None:
        self._known = known
        self._is_foreign = is_foreign
        self.routing = routing
        self.covered = 0
        """How many of the Commits it is about."""
        self.written: list[Commit] = []
        self.answers: list[Rejected | None] = []
        self.done: dict[int, int] = {}
        self.withdrawn: list[int] = []
        self.forgotten: list[str] = []
        self.heads: dict[str, int] = {}
        self._streams: set[str] = set()
        self.messages: list[tuple[Any, ...]] = []
        self.deliveries: list[tuple[Any, ...]] = []
        self.plain = True
        """All deliveries are as new ones mostly are: to be handled at once, of a message in the log."""
        self.instances: dict[int, tuple[int, InstanceWrite]] = {}
        """By number: the version that is expected, and what is written last."""
        self.started: list[InstanceWrite] = []
        self.reactions: list[tuple[Any, ...]] = []
        self.search: dict[int, tuple[Any, ...]] = {}
        self.changes: list[tuple[Any, ...]] = []
        self._changed: set[int] = set()
        self._carried: set[str] = set()
        self.inbox: list[tuple[Any, ...]] = []
        self.items: dict[tuple[int, int, int], tuple[Any, ...]] = {}
        self.pauses: dict[tuple[PauseScope, str], Pause] = {}
        self.resumed: dict[tuple[PauseScope, str], None] = {}
        self.snapshots: dict[str, tuple[Any, ...]] = {}
        self.checkpoints: dict[str, tuple[int, int]] = {}
        for commit in commits:
            if self.covered and self._must_wait(commit):
                break
            self.covered += 1
            rejected = mismatch(known, routing, commit)
            if rejected is None:
                self._add(commit)
            self.answers.append(rejected)

    @property
    def all_match(self) -> bool:
        """Whether no Commit is dropped."""
        return len(self.written) == self.covered

    def _must_wait(self, commit: Commit) -> bool:
        """Whether the order of this Commit and the ones before matters to a call, which does all of a kind at once."""
        if len(self.messages) + len(self.items) > MOST_ROWS:
            return True
        if self._changed and any(fence.delivery in self._changed for fence in commit.done):
            return True
        if commit.changes:
            if any(change.fence.delivery in self._changed for change in commit.changes):
                return True
            if (self.forgotten or commit.forgotten) and any(one.state == "scheduled" for one in commit.changes):
                return True
        if commit.forgotten and (self._changed or not self._carried.isdisjoint(commit.forgotten)):
            return True
        return bool(self.forgotten) and any(one.envelope.id in self.forgotten for one in commit.deliveries)

    def _add(self, commit: Commit) -> None:
        self.written.append(commit)
        for message in commit.messages:
            if message.stream is not None and message.stream not in self._streams:
                self._streams.add(message.stream)
                if (message.stream_version or 0) > 1:
                    self.heads[message.stream] = (message.stream_version or 0) - 1
            self.messages.append(astuple(message)[:LOGGED])
            message.position = -len(self.messages)
        for delivery in commit.deliveries:
            self.deliveries.append(self._delivery_row(delivery))
        for fence in commit.done:
            self.done[fence.delivery] = fence.attempt
        for write in commit.instances:
            self._add_instance(write)
        for reaction in commit.reactions:
            inputs, outputs = reaction.inputs, reaction.outputs
            self.reactions.append(
                (
                    self._known.instances[reaction.instance.id][0],
                    reaction.version,
                    inputs[0].position if inputs else 0,
                    len(inputs),
                    outputs[0].position if outputs else 0,
                    len(outputs),
                )
            )
        for search in commit.search:
            self._add_search(self._known.instances[search.instance][0], astuple(search))
        self._add_rare(commit)
        move_on(self._known, commit)

    def _delivery_row(self, delivery: Delivery) -> tuple[Any, ...]:
        envelope, partition = delivery.envelope, partition_of(delivery)
        position, consumer = envelope.position, delivery.consumer
        row = (
            position or None,
            consumer,
            delivery.lane,
            partition,
            self._is_foreign(consumer, partition),
            len(delivery.more),
            delivery.state,
            delivery.due_at,
            delivery.attempt,
            delivery.crashes,
            delivery.error,
        )
        if position:
            if self.plain and (row[6:] != ("ready", 0, 1, 0, None) or delivery.spent):
                self.plain = False
            if consumer == WITHDRAW:  # found by what it carries
                self.plain = False
                return (*row, None, envelope.id, None, None, delivery.spent)
            return (*row, None, None, None, None, delivery.spent)
        self.plain = False
        self._carried.add(envelope.id)
        carried = encode_carried(envelope)
        return (*row, carried, envelope.id, envelope.type, envelope.sender, delivery.spent)

    def _add_instance(self, write: InstanceWrite) -> None:
        row, known = write.row, self._known.instances
        number, _ = known.get(row.id, (0, 0))
        if not number:
            self.started.append(write)
            number = -len(self.started)
        elif number < 0:
            self.started[-number - 1] = write
        else:
            expected, _ = self.instances.get(number, (write.expected, write))
            self.instances[number] = (expected, write)
        known[row.id] = (number, row.version)

    def _add_search(self, number: int, row: tuple[Any, ...]) -> None:
        (instance, type, key, status, story, started, updated, ended, cause, reason, trace, attributes) = row
        if number in self.search:  # what it is stays as it was written first
            type, key, story = (self.search[number][place] for place in (5, 6, 8))
        self.search[number] = (
            number, started, updated, ended, instance, type, key, status, story, cause, reason, trace, attributes
        )  # fmt: skip

    def _add_rare(self, commit: Commit) -> None:
        for change in commit.changes:
            fence, to = change.fence, change.envelope
            self._changed.add(fence.delivery)
            edited = (to is not None, to.position if to else None, len(change.more))
            values = (change.state, change.attempt, change.due_at, change.crashes, change.error, change.spent)
            self.changes.append((fence.delivery, fence.attempt, *values, *edited))
        self.withdrawn += commit.withdrawn
        if commit.forgotten:
            self._add_forgotten(commit)
        for entry in commit.inbox:
            self.inbox.append(astuple(entry))
        for item in commit.items:
            number = self._known.instances[item.instance][0]
            self.items[number, item.step, item.index] = (number, *astuple(item)[1:])
        for pause in commit.pauses:
            self.pauses[pause.scope, pause.name] = pause
        for resumed in commit.resumed:
            self.pauses.pop(resumed, None)
            self.resumed[resumed] = None
        for snapshot in commit.snapshots:
            known = self.snapshots.get(snapshot.stream)
            if known is None or known[1] <= snapshot.version:
                self.snapshots[snapshot.stream] = astuple(snapshot)
        for checkpoint in commit.checkpoints:
            expected, _ = self.checkpoints.get(checkpoint.consumer, (checkpoint.expected, 0))
            self.checkpoints[checkpoint.consumer] = (expected, checkpoint.position)

    def _add_forgotten(self, commit: Commit) -> None:
        """Where it was asked who carries them, by delivery; else by message, which the database looks for itself."""
        if self._known.carried is None:
            self.forgotten += commit.forgotten
            return
        for message_id in commit.forgotten:
            self.withdrawn += self._known.forget(message_id)
            if message_id in self._carried:
                self.forgotten.append(message_id)

    def number(self, zero: int) -> None:
        """Give everything that is new its number, in the order in which write_1 takes them."""
        position = zero + len(self.started)
        delivery = position + len(self.messages)
        for commit in self.written:
            for message in commit.messages:
                message.position = position = position + 1
            for one in commit.deliveries:
                one.id = delivery = delivery + 1
            for write in commit.instances:
                number = self._known.instances[write.row.id][0]
                write.row.number = zero - number if number < 0 else number

    def give_up(self) -> None:
        """It was not written: nothing has a number."""
        for commit in self.written:
            for message in commit.messages:
                message.position = 0
