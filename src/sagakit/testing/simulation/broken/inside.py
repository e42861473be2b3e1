"""Faults in what is kept in the store: promises 1, 2, 3 and 7."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

from sagakit.core.commit import Commit, Delivery, Rejected
from sagakit.core.messages import stable_id
from sagakit.engine.committer import Committer
from sagakit.engine.draft import Draft
from sagakit.engine.handlers.context import Context
from sagakit.stores.memory import MemoryStore
from sagakit.stores.memory.data import MemoryData
from sagakit.testing.simulation.broken.planting import Broken, nothing


def acknowledged_before_the_commit(submit: Any) -> Any:
    def submit_and_settle(self: Committer, draft: Draft) -> None:
        if draft.at_door:
            draft.on_settled(draft, None)
        submit(self, draft)

    return submit_and_settle


def what_is_outstanding_is_not_read_at_the_start(take: Any) -> Any:
    return nothing


def a_lost_answer_is_taken_for_written(committed: Any) -> Any:
    async def all_written(self: object, commits: Sequence[Commit]) -> list[bool]:
        return [True] * len(commits)

    return all_written


def a_second_run_is_accepted(mismatch: Any) -> Any:
    def lenient(data: MemoryData, commit: Commit) -> Rejected | None:
        commit.done = [fence for fence in commit.done if fence.delivery in data.deliveries]
        return mismatch(data, commit)

    return lenient


def what_is_dropped_leaves_its_messages(mismatch: Any) -> Any:
    def torn(data: MemoryData, commit: Commit) -> Rejected | None:
        rejected = mismatch(data, commit)
        if rejected is not None:
            data.messages += [message for message in commit.messages if not message.position]
            for position, message in enumerate(data.messages, 1):
                message.position = position
        return rejected

    return torn


def a_repeated_key_is_a_new_request(repeated: Any) -> Any:
    return nothing


def a_zombie_may_write(owned: Any) -> Any:
    def ask_nobody(self: MemoryStore) -> MemoryData:
        return self.data

    return ask_nobody


def each_attempt_has_a_key_of_its_own(begin: Any) -> Any:
    def begin_anew(self: Context, delivery: Delivery, *rest: Any) -> None:
        begin(self, delivery, *rest)
        self.idempotency_key += str(delivery.attempt)

    return begin_anew


def a_second_run_makes_other_ids(derived_id: Any) -> Any:
    numbers = count()

    def other_ids(*parts: object) -> str:
        return stable_id(*map(str, parts), str(next(numbers)))

    return other_ids


def an_attempt_is_lost_at_a_crash(read: Any) -> Any:
    async def without_those_that_ran(self: Any, **named: Any) -> list[Delivery]:
        return [delivery for delivery in await read(self, **named) if delivery.attempt == 1]

    return without_those_that_ran


def the_state_is_written_without_its_deliveries(write: Any) -> Any:
    def torn(data: MemoryData, commit: Commit) -> None:
        write(data, commit)
        if commit.instances:
            for delivery in commit.deliveries:
                data.deliveries.pop(delivery.id, None)

    return torn


def the_deliveries_are_written_without_the_state(write: Any) -> Any:
    def torn(data: MemoryData, commit: Commit) -> None:
        before = {known.row.id: data.instances.get(known.row.id) for known in commit.instances}
        write(data, commit)
        for id, row in before.items():
            if row is not None:
                data.instances[id].state = row.state

    return torn


def the_outcome_is_written_without_the_end_of_its_delivery(write: Any) -> Any:
    def torn(data: MemoryData, commit: Commit) -> None:
        kept = [(fence.delivery, data.deliveries[fence.delivery]) for fence in commit.done]
        write(data, commit)
        data.deliveries.update(kept)

    return torn


def history_is_not_written(write: Any) -> Any:
    def forgetful(data: MemoryData, commit: Commit) -> None:
        commit.reactions = commit.reactions[1:]
        write(data, commit)

    return forgetful


INSIDE = (
    Broken(1, "sagakit.engine.committer:Committer.submit", acknowledged_before_the_commit),
    Broken(1, "sagakit.engine.recovery:Recovery._take", what_is_outstanding_is_not_read_at_the_start),
    Broken(1, "sagakit.testing.faults:FaultyStore._committed", a_lost_answer_is_taken_for_written),
    Broken(2, "sagakit.stores.memory.store:mismatch", a_second_run_is_accepted),
    Broken(2, "sagakit.stores.memory.store:mismatch", what_is_dropped_leaves_its_messages),
    Broken(2, "sagakit.stores.memory.matching:_repeated", a_repeated_key_is_a_new_request),
    Broken(2, "sagakit.stores.memory.store:MemoryStore._owned", a_zombie_may_write),
    Broken(3, "sagakit.engine.handlers.context:Context.__init__", each_attempt_has_a_key_of_its_own),
    Broken(3, "sagakit.core.saga.writing:derived_id", a_second_run_makes_other_ids),
    Broken(3, "sagakit.stores.memory.store:MemoryStore.read_deliveries", an_attempt_is_lost_at_a_crash),
    Broken(7, "sagakit.stores.memory.writing:_write_deliveries", the_state_is_written_without_its_deliveries),
    Broken(7, "sagakit.stores.memory.store:write", the_deliveries_are_written_without_the_state),
    Broken(
        7, "sagakit.stores.memory.writing:_write_deliveries", the_outcome_is_written_without_the_end_of_its_delivery
    ),
    Broken(7, "sagakit.stores.memory.store:write", history_is_not_written),
)
