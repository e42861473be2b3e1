"""Every promise, broken on purpose: the ordinary tests find it.

Each fault is planted by a patch on one function, or at a port. The check is a test of this suite, called as it is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance import test_crash_everywhere as crash
from tests.acceptance import test_disorder as disorder
from tests.acceptance import test_slow_charge as slow
from tests.acceptance import test_three_ways as ways
from tests.each_store import IN_MEMORY, new_store
from tests.engine import test_inbox as inbox
from tests.engine.handlers import test_failures as failures
from tests.engine.handlers import test_process_handler as processes
from tests.engine.lanes import test_lanes as lanes
from tests.engine.time import test_clock as clocks
from tests.engine.time import test_firing as firings
from tests.engine.time import test_schedule as schedules
from tests.engine.time.stores import keeping

from sagakit import OutcomeUnknown, Refused
from sagakit.core.commit import Commit, Delivery, Rejected
from sagakit.core.messages import stable_id
from sagakit.core.saga.compensation import Compensation, Undoers
from sagakit.core.saga.settling.outcomes import judge
from sagakit.engine.committer import Committer
from sagakit.engine.draft import Draft
from sagakit.engine.handlers.context import Context
from sagakit.engine.handlers.failures import Failures
from sagakit.engine.handlers.process_handler import ProcessHandler
from sagakit.engine.handlers.runs import Runs
from sagakit.engine.handlers.service_handler import ServiceHandler
from sagakit.engine.handlers.withdrawing import Withdrawing
from sagakit.engine.lanes.lanes import Lanes
from sagakit.engine.recovery import Recovery
from sagakit.engine.routing import Router
from sagakit.engine.time.clock import SystemClock
from sagakit.engine.time.schedule import Schedule
from sagakit.engine.time.timers import Timers
from sagakit.stores.memory import MemoryData, matching, writing
from sagakit.stores.memory import store as memory
from sagakit.testing.faults import FaultyStore

Patch = pytest.MonkeyPatch
Check = Callable[[Patch, Path], Awaitable[None]]
PATIENCE = 0.5
"""Seconds of real time after which a check that hangs has failed: the suite has a limit as well."""


@dataclass(frozen=True)
class Fault:
    """A promise that is broken, and the test that finds it."""

    promise: int
    plant: Callable[[Patch], None]
    check: Check


# ---------------------------------------------------------------------- checks


def crashes(script: str, way: str = "code") -> Check:
    return lambda patch, folder: crash.test_a_crash_anywhere_changes_nothing(way, script, IN_MEMORY)


def ends(case: str, way: str = "code") -> Check:
    return lambda patch, folder: ways.test_ends_the_same(way, case)


def given_up(kind: str, way: str = "code") -> Check:
    return lambda patch, folder: slow.test_given_up_by_its_timeout(way, kind)


# ---------------------------------------------------------------------- 1: nothing acknowledged is lost


def acknowledged_before_the_commit(patch: Patch) -> None:
    submit = Committer.submit

    def submit_and_settle(self: Committer, draft: Draft) -> None:
        if draft.at_door:
            draft.on_settled(draft, None)
        submit(self, draft)

    patch.setattr(Committer, "submit", submit_and_settle)


def not_read_at_the_start(patch: Patch) -> None:
    patch.setattr(Recovery, "_take", lambda self, delivery: None)


def a_lost_answer_is_taken_for_written(patch: Patch) -> None:
    async def all_written(self: FaultyStore, commits: Sequence[Commit]) -> list[bool]:
        return [True] * len(commits)

    patch.setattr(FaultyStore, "_committed", all_written)


def fails_with_the_store(patch: Patch, folder: Path) -> Awaitable[None]:
    return crash.test_a_failure_of_the_store_changes_nothing("code", "success", IN_MEMORY)


# ---------------------------------------------------------------------- 2: handled once inside the store


def a_second_run_is_accepted(patch: Patch) -> None:
    mismatch = memory.mismatch

    def lenient(data: MemoryData, commit: Commit) -> Rejected | None:
        commit.done = [fence for fence in commit.done if fence.delivery in data.deliveries]
        return mismatch(data, commit)

    patch.setattr(memory, "mismatch", lenient)


def a_stale_attempt_is_accepted(patch: Patch) -> None:
    gone = matching._gone

    def whatever_the_attempt(data: MemoryData, commit: Commit) -> Rejected | None:
        for fence in commit.done:
            stored = data.deliveries.get(fence.delivery)
            if stored is not None:
                stored.attempt = fence.attempt
        return gone(data, commit)

    patch.setattr(matching, "_gone", whatever_the_attempt)


def what_is_dropped_leaves_its_messages(patch: Patch) -> None:
    mismatch = memory.mismatch

    def torn(data: MemoryData, commit: Commit) -> Rejected | None:
        rejected = mismatch(data, commit)
        if rejected is not None:
            for message in commit.messages:
                writing._append(data, message)
        return rejected

    patch.setattr(memory, "mismatch", torn)


def a_repeated_key_is_a_new_request(patch: Patch) -> None:
    patch.setattr(matching, "_repeated", lambda data, commit: None)


def a_second_start_is_another_instance(patch: Patch) -> None:
    counter = iter(range(1_000_000))
    patch.setattr("sagakit.engine.routing.instance_id", lambda name, key: stable_id(name, key, str(next(counter))))


# ---------------------------------------------------------------------- 3: at least once, with a stable key


def each_attempt_has_a_key_of_its_own(patch: Patch) -> None:
    begin = Context.__init__

    def begin_anew(self: Context, delivery: Delivery, *rest: Any) -> None:
        begin(self, delivery, *rest)
        self.idempotency_key += str(delivery.attempt)

    patch.setattr(Context, "__init__", begin_anew)


def ids_of_outputs_are_random(patch: Patch) -> None:
    patch.setattr("sagakit.core.saga.writing.derived_id", lambda *parts: stable_id(*map(str, parts), str(id(object()))))


# ---------------------------------------------------------------------- 4: in order per key, parallel across keys


def the_order_of_a_lane_is_ignored(patch: Patch) -> None:
    put = Lanes.put

    def put_first(self: Lanes, delivery: Delivery) -> None:
        put(self, delivery)
        self.get(delivery.lane).queue.rotate(1)

    patch.setattr(Lanes, "put", put_first)


def a_lane_is_handled_twice_at_the_same_time(patch: Patch) -> None:
    put = Lanes.put

    def put_and_wake(self: Lanes, delivery: Delivery) -> None:
        put(self, delivery)
        self.wake(self.get(delivery.lane))

    patch.setattr(Lanes, "put", put_and_wake)


def all_keys_share_a_lane(patch: Patch) -> None:
    patch.setattr("sagakit.engine.routing.lane_name", lambda consumer, key: consumer)


def every_command_has_its_own_lane(patch: Patch) -> None:
    patch.setattr(Router, "lane", lambda self, consumer, envelope: envelope.id)


def a_reaction_overtakes_a_delivery(patch: Patch) -> None:
    deliver = ProcessHandler.deliver

    def deliver_and_forget(self: ProcessHandler, draft: Draft, *rest: Any) -> Delivery:
        delivery = deliver(self, draft, *rest)
        self.came(draft)
        return delivery

    patch.setattr(ProcessHandler, "deliver", deliver_and_forget)


# ---------------------------------------------------------------------- 5: every process ends, or says why not


def a_failed_step_is_not_told(patch: Patch) -> None:
    async def nothing(*args: Any, **named: Any) -> None:
        pass

    patch.setattr(Router, "failure", nothing)


def an_outcome_without_events_is_not_told(patch: Patch) -> None:
    outcome = Router.outcome

    async def only_events(self: Router, draft: Draft, command: Any, events: Sequence[Any]) -> None:
        if events:
            await outcome(self, draft, command, events)

    patch.setattr(Router, "outcome", only_events)


def a_parked_instance_says_nothing(patch: Patch) -> None:
    async def nothing(*args: Any) -> None:
        pass

    patch.setattr("sagakit.engine.handlers.processes.parking.Parking.write", nothing)


# ---------------------------------------------------------------------- 6: compensation is never forgotten


def the_undo_is_recorded_late(patch: Patch) -> None:
    """Only once its step has succeeded."""

    def learn_nothing(self: Undoers, step: Any, undo: Any) -> None:
        if not step.id:
            learn(self, step, undo)
            return
        later[step.ordinal] = undo

    def succeeded_and_learnt(self: Compensation, step: Any, outcome: Any) -> None:
        undo = later.pop(step.ordinal, None)
        if undo is not None:
            learn(self.undoers, step, undo)
        succeeded(self, step, outcome)

    later: dict[int, Any] = {}
    learn, succeeded = Undoers.learn, Compensation.succeeded
    patch.setattr(Undoers, "learn", learn_nothing)
    patch.setattr(Compensation, "succeeded", succeeded_and_learnt)


def an_undo_does_not_wait_for_its_do(patch: Patch) -> None:
    patch.setattr(Runs, "before", lambda self, envelope: None)


def a_step_that_is_given_up_runs_on(patch: Patch) -> None:
    patch.setattr(Runs, "withdraw", lambda self, message_id: message_id in self._runs)


def a_step_that_is_given_up_is_tried_again(patch: Patch) -> None:
    patch.setattr(Withdrawing, "carry_out", lambda self, draft: None)


def an_unknown_outcome_counts_as_refused(patch: Patch) -> None:
    def optimistic(*args: Any) -> Any:
        verdict = judge(*args)
        return Refused(verdict.reason) if isinstance(verdict, OutcomeUnknown) else verdict

    patch.setattr("sagakit.core.saga.settling.settling.judge", optimistic)


def the_first_step_is_undone_first(patch: Patch) -> None:
    undo_next = Compensation.undo_next

    def in_their_order(self: Compensation, *args: Any) -> bool:
        self.record.steps.reverse()
        try:
            return undo_next(self, *args)
        finally:
            self.record.steps.reverse()

    patch.setattr(Compensation, "undo_next", in_their_order)


def nothing_is_undone(patch: Patch) -> None:
    patch.setattr(Compensation, "undo_next", lambda self, among=None: False)


def a_failed_undo_counts_as_done(patch: Patch) -> None:
    patch.setattr(Compensation, "failed", lambda self, step, reason: self.answered(step))
    patch.setattr("sagakit.core.saga.settling.undoing.Undoing.failed", lambda self, step, reason: self.next())


# ---------------------------------------------------------------------- 7: state and message are one Commit


def the_state_is_written_without_its_deliveries(patch: Patch) -> None:
    write = writing._write_deliveries

    def torn(data: MemoryData, commit: Commit) -> None:
        write(data, commit)
        if commit.instances:
            for delivery in commit.deliveries:
                del data.deliveries[delivery.id]

    patch.setattr(writing, "_write_deliveries", torn)


def the_deliveries_are_written_without_the_state(patch: Patch) -> None:
    write = memory.write

    def torn(data: MemoryData, commit: Commit) -> None:
        before = {known.row.id: data.instances.get(known.row.id) for known in commit.instances}
        write(data, commit)
        for id, row in before.items():
            if row is not None:
                data.instances[id].state = row.state

    patch.setattr(memory, "write", torn)


def the_outcome_is_written_without_the_end_of_its_delivery(patch: Patch) -> None:
    write = writing._write_deliveries

    def torn(data: MemoryData, commit: Commit) -> None:
        kept = [(fence.delivery, data.deliveries[fence.delivery]) for fence in commit.done]
        write(data, commit)
        data.deliveries.update(kept)

    patch.setattr(writing, "_write_deliveries", torn)


# ---------------------------------------------------------------------- 8: never early, and late by little


def a_retry_comes_early(patch: Patch) -> None:
    patch.setattr(Failures, "wait", lambda self, lane, delivery: self._due(lane, delivery))


def a_retry_never_comes(patch: Patch) -> None:
    patch.setattr(Failures, "wait", lambda self, lane, delivery: None)


def a_timeout_comes_early(patch: Patch) -> None:
    at = Timers.at
    patch.setattr(Timers, "at", lambda self, due, call: at(self, due - 1_000_000, call))


def a_timeout_never_comes(patch: Patch) -> None:
    in_time = ServiceHandler._in_time

    async def for_ever(self: ServiceHandler, future: Any, consumer: Any) -> bool:
        await asyncio.wait([future])
        return await in_time(self, future, consumer)

    patch.setattr(ServiceHandler, "_in_time", for_ever)


def the_clock_goes_back(patch: Patch) -> None:
    patch.setattr(SystemClock, "now", lambda self: time.time_ns() // 1000)


def a_timer_comes_early(patch: Patch) -> None:
    put = Schedule.put

    def put_early(self: Schedule, delivery: Delivery) -> None:
        delivery.due_at -= 1_000_000
        put(self, delivery)

    patch.setattr(Schedule, "put", put_early)


def sleepers_are_not_found_at_the_start(patch: Patch) -> None:
    async def nothing(self: object, **_: object) -> list[Delivery]:
        return []

    patch.setattr(memory.MemoryStore, "read_scheduled", nothing)


def a_timer_that_fires_stays(patch: Patch) -> None:
    patch.setattr(Draft, "finish", lambda self, delivery: None)


def a_timer_that_is_forgotten_stays(patch: Patch) -> None:
    write = writing.write

    def write_without(data: MemoryData, commit: Commit) -> None:
        kept, commit.forgotten = commit.forgotten, []
        write(data, commit)
        commit.forgotten = kept

    patch.setattr(memory, "write", write_without)


async def at_once(check: Callable[[Patch], None], patch: Patch) -> None:
    """A check without anything to wait for."""
    check(patch)


FAULTS: dict[str, Fault] = {
    fault.plant.__name__: fault
    for fault in (
        Fault(1, acknowledged_before_the_commit, crashes("success")),
        Fault(1, not_read_at_the_start, crashes("success")),
        Fault(1, a_lost_answer_is_taken_for_written, fails_with_the_store),
        Fault(
            2, a_second_run_is_accepted, lambda patch, _: disorder.test_every_delivery_three_times("code", "", patch)
        ),
        Fault(
            2,
            a_stale_attempt_is_accepted,
            lambda *_: processes.test_what_reacted_in_a_commit_that_was_dropped_is_forgotten(),
        ),
        Fault(
            2,
            what_is_dropped_leaves_its_messages,
            lambda patch, _: disorder.test_every_delivery_three_times("steps", "", patch),
        ),
        Fault(
            2,
            a_repeated_key_is_a_new_request,
            lambda *_: inbox.test_a_key_gives_the_first_receipt_again_also_after_a_restart(),
        ),
        Fault(2, a_second_start_is_another_instance, lambda *_: processes.test_starts_once_for_a_key()),
        Fault(3, each_attempt_has_a_key_of_its_own, crashes("success")),
        Fault(3, ids_of_outputs_are_random, crashes("refusal")),
        Fault(
            4,
            the_order_of_a_lane_is_ignored,
            lambda *_: lanes.test_commands_of_other_keys_run_while_one_waits(),
        ),
        Fault(
            4,
            a_lane_is_handled_twice_at_the_same_time,
            lambda *_: lanes.test_commands_of_other_keys_run_while_one_waits(),
        ),
        Fault(4, all_keys_share_a_lane, lambda *_: lanes.test_one_poisoned_lane_holds_no_other(KeyError("a bug"))),
        Fault(
            4,
            every_command_has_its_own_lane,
            lambda *_: lanes.test_commands_of_other_keys_run_while_one_waits(),
        ),
        Fault(
            4,
            a_reaction_overtakes_a_delivery,
            lambda *_: processes.test_nothing_overtakes_a_delivery_that_is_being_written(),
        ),
        Fault(5, a_failed_step_is_not_told, ends("a step breaks before its effect")),
        Fault(5, an_outcome_without_events_is_not_told, ends("a step leads to no event")),
        Fault(
            5,
            a_parked_instance_says_nothing,
            lambda *_: processes.test_an_inline_reaction_that_fails_parks_and_the_commit_of_its_event_stands(),
        ),
        Fault(6, the_undo_is_recorded_late, ends("a step breaks after its effect", "steps")),
        Fault(6, an_undo_does_not_wait_for_its_do, given_up("threaded")),
        Fault(
            6,
            a_step_that_is_given_up_runs_on,
            lambda *_: slow.test_cancelled_while_it_runs("code", "obedient", None),
        ),
        Fault(
            6,
            a_step_that_is_given_up_is_tried_again,
            lambda *_: slow.test_cancelled_while_the_next_attempt_waits_for_the_one_before("code", "stubborn"),
        ),
        Fault(6, an_unknown_outcome_counts_as_refused, ends("a step breaks after its effect")),
        Fault(6, the_first_step_is_undone_first, ends("the last step is refused")),
        Fault(6, nothing_is_undone, ends("the last step is refused", "steps")),
        Fault(
            6,
            a_failed_undo_counts_as_done,
            lambda *_: ways.test_an_undo_that_is_given_up_waits_for_a_person("code"),
        ),
        Fault(7, the_state_is_written_without_its_deliveries, crashes("success")),
        Fault(7, the_deliveries_are_written_without_the_state, crashes("refusal", "manager")),
        Fault(7, the_outcome_is_written_without_the_end_of_its_delivery, crashes("success")),
        Fault(8, a_retry_comes_early, lambda *_: failures.test_a_technical_error_is_tried_again_under_the_same_key()),
        Fault(8, a_retry_never_comes, lambda *_: failures.test_a_technical_error_is_tried_again_under_the_same_key()),
        Fault(8, a_timeout_comes_early, lambda *_: slow.test_not_given_up_before_its_timeout("code", "obedient")),
        Fault(8, a_timeout_never_comes, given_up("obedient")),
        Fault(
            8,
            a_timer_comes_early,
            lambda _, folder: schedules.test_a_command_for_later_is_handled_when_it_is_due_and_not_before(
                keeping(new_store())
            ),
        ),
        Fault(
            8,
            sleepers_are_not_found_at_the_start,
            lambda _, folder: schedules.test_it_survives_a_restart(keeping(new_store())),
        ),
        Fault(
            8,
            a_timer_that_fires_stays,
            lambda _, folder: firings.test_a_month_passes_in_a_moment(keeping(new_store())),
        ),
        Fault(
            8,
            a_timer_that_is_forgotten_stays,
            lambda _, folder: firings.test_the_outcome_is_committed_first_and_the_timer_leaves_no_trace(
                keeping(new_store())
            ),
        ),
        Fault(
            8,
            the_clock_goes_back,
            lambda patch, _: at_once(clocks.test_the_clock_never_goes_back, patch),
        ),
    )
}


@pytest.fixture
def impatient(monkeypatch: Patch) -> None:
    """What would hang until the suite's own limit fails at once."""
    monkeypatch.setattr("tests.engine.stage.PATIENCE", PATIENCE)
    monkeypatch.setattr("sagakit.testing.manual.PATIENCE", PATIENCE)
    stop = Lanes.stop
    monkeypatch.setattr(Lanes, "stop", lambda self, within: stop(self, min(within, 0.01)))


async def passes(check: Awaitable[None]) -> bool:
    """Whether a check finds nothing."""
    try:
        async with asyncio.timeout(10 * PATIENCE):
            await check
    except KeyboardInterrupt:
        raise
    except BaseException:
        return False
    return True


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.usefixtures("impatient")
async def test_the_suite_finds(name: str, tmp_path: Path) -> None:
    fault = FAULTS[name]
    before = asyncio.all_tasks()
    with Patch.context() as patch:
        fault.plant(patch)
        assert not await passes(fault.check(patch, tmp_path)), f"promise {fault.promise}: nothing was found"
    leftover = asyncio.all_tasks() - before
    for task in leftover:
        task.cancel()
    await asyncio.gather(*leftover, return_exceptions=True)


@pytest.mark.parametrize("name", FAULTS)
async def test_without_the_fault_the_same_check_finds_nothing(name: str, tmp_path: Path) -> None:
    with Patch.context() as patch:
        await FAULTS[name].check(patch, tmp_path)


def test_every_promise_has_a_fault() -> None:
    assert {fault.promise for fault in FAULTS.values()} == set(range(1, 9))
