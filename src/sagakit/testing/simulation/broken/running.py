"""Faults in what runs: promises 4, 5, 6 and 8."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sagakit.core.commit import Delivery, Envelope
from sagakit.core.saga.compensation import Compensation
from sagakit.engine.draft import Draft
from sagakit.engine.lanes.lanes import Lanes
from sagakit.engine.routing import Router
from sagakit.errors import OutcomeUnknown, Refused
from sagakit.testing.simulation.broken.planting import Broken, nothing


def the_order_of_a_lane_is_ignored(put: Any) -> Any:
    def put_first(self: Lanes, delivery: Delivery) -> None:
        put(self, delivery)
        self.get(delivery.lane).queue.rotate(1)

    return put_first


def a_lane_is_handled_twice_at_the_same_time(put: Any) -> Any:
    def put_and_wake(self: Lanes, delivery: Delivery) -> None:
        put(self, delivery)
        self.wake(self.get(delivery.lane))

    return put_and_wake


def all_keys_share_a_lane(lane: Any) -> Any:
    def of_all(self: Router, consumer: Any, envelope: Any) -> str:
        found: str = lane(self, consumer, envelope)
        return found if consumer.key is None or hasattr(consumer, "snapshot_every") else f"{consumer.name}/all"

    return of_all


def every_command_has_its_own_lane(lane: Any) -> Any:
    def of_one(self: Router, consumer: Any, envelope: Envelope) -> str:
        return envelope.id

    return of_one


def a_failed_step_is_not_told(failure: Any) -> Any:
    async def say_nothing(*args: Any, **named: Any) -> None:
        pass

    return say_nothing


def an_outcome_without_events_is_not_told(outcome: Any) -> Any:
    async def only_events(self: Router, draft: Draft, command: Any, events: Sequence[Any]) -> None:
        if events:
            await outcome(self, draft, command, events)

    return only_events


def an_event_for_a_busy_instance_is_dropped(deliver: Any) -> Any:
    def drop(self: Any, draft: Draft, *rest: Any) -> Delivery:
        delivery = deliver(self, draft, *rest)
        draft.commit.deliveries.remove(delivery)
        return delivery

    return drop


def an_undo_does_not_wait_for_its_do(before: Any) -> Any:
    return nothing


def a_step_that_is_given_up_is_tried_again(carry_out: Any) -> Any:
    return nothing


def an_unknown_outcome_counts_as_refused(judge: Any) -> Any:
    def optimistic(*args: Any) -> Any:
        verdict = judge(*args)
        return Refused(verdict.reason) if isinstance(verdict, OutcomeUnknown) else verdict

    return optimistic


def the_first_step_is_undone_first(undo_next: Any) -> Any:
    def in_their_order(self: Compensation, *args: Any) -> bool:
        self.record.steps.reverse()
        try:
            return undo_next(self, *args)
        finally:
            self.record.steps.reverse()

    return in_their_order


def nothing_is_undone(undo_next: Any) -> Any:
    return nothing


def a_late_success_is_not_undone(late_success: Any) -> Any:
    return nothing


def the_undo_of_what_is_in_flight_is_forgotten(unknown: Any) -> Any:
    def forget(self: Compensation, step: Any, then: Any) -> None:
        step.undo = None
        unknown(self, step, then)

    return forget


def a_retry_comes_early(wait: Any) -> Any:
    def at_once(self: Any, lane: Any, delivery: Delivery) -> None:
        self._due(lane, delivery, delivery.due_at)

    return at_once


def a_retry_never_comes(wait: Any) -> Any:
    return nothing


def a_timeout_never_comes(at: Any) -> Any:
    def forget(self: Any, due: int, call: Any) -> Any:
        return at(self, due if call.__name__ != "wake" else due + 10**15, call)

    return forget


def a_timer_fires_early(put: Any) -> Any:
    def put_early(self: Any, delivery: Delivery) -> None:
        delivery.due_at -= 3_000_000
        put(self, delivery)

    return put_early


def a_timer_never_fires(put: Any) -> Any:
    return nothing


def a_clock_that_was_set_back_is_believed(has_been: Any) -> Any:
    return nothing


RUNNING = (
    Broken(4, "sagakit.engine.lanes.lanes:Lanes.put", the_order_of_a_lane_is_ignored),
    Broken(4, "sagakit.engine.lanes.lanes:Lanes.put", a_lane_is_handled_twice_at_the_same_time),
    Broken(4, "sagakit.engine.routing:Router.lane", all_keys_share_a_lane),
    Broken(4, "sagakit.engine.routing:Router.lane", every_command_has_its_own_lane),
    Broken(5, "sagakit.engine.routing:Router.failure", a_failed_step_is_not_told),
    Broken(5, "sagakit.engine.routing:Router.outcome", an_outcome_without_events_is_not_told),
    Broken(
        5, "sagakit.engine.handlers.process_handler:ProcessHandler.deliver", an_event_for_a_busy_instance_is_dropped
    ),
    Broken(6, "sagakit.engine.handlers.runs:Runs.before", an_undo_does_not_wait_for_its_do),
    Broken(6, "sagakit.engine.handlers.withdrawing:Withdrawing.carry_out", a_step_that_is_given_up_is_tried_again),
    Broken(6, "sagakit.core.saga.settling.settling:judge", an_unknown_outcome_counts_as_refused),
    Broken(6, "sagakit.core.saga.compensation:Compensation.undo_next", the_first_step_is_undone_first),
    Broken(6, "sagakit.core.saga.compensation:Compensation.undo_next", nothing_is_undone),
    Broken(6, "sagakit.core.saga.compensation:Compensation.late_success", a_late_success_is_not_undone),
    Broken(6, "sagakit.core.saga.compensation:Compensation.unknown", the_undo_of_what_is_in_flight_is_forgotten),
    Broken(8, "sagakit.engine.handlers.failures:Failures.wait", a_retry_comes_early),
    Broken(8, "sagakit.engine.handlers.failures:Failures.wait", a_retry_never_comes),
    Broken(8, "sagakit.engine.time.timers:Timers.at", a_timeout_never_comes),
    Broken(8, "sagakit.engine.time.window:Window.put", a_timer_fires_early),
    Broken(8, "sagakit.engine.time.window:Window.put", a_timer_never_fires),
    Broken(8, "sagakit.engine.time.clock:SystemClock.has_been", a_clock_that_was_set_back_is_believed),
)
