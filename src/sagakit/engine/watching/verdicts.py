"""Why what somebody waits for cannot come any more: the error that a waiter is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sagakit.core.commit import Commit, Delivery, Envelope, Search
from sagakit.engine.watching.story import Story, Waiter
from sagakit.errors import OutcomeUnknown, Refused, TimedOut


class Handled(NamedTuple):
    """A command of no process that was handled: what it might have led to, and the events that it has led to."""

    command: str
    reach: frozenset[type]
    events: list[Envelope]


def judge(story: Story, *, failure: Exception | None = None, handled: Sequence[Handled] = ()) -> None:
    """Tell those who wait in vain. `failure` and `handled` are news: the nearest reason counts."""
    if not story.known:
        return
    over = None
    for waiter in story.waiters:
        if waiter.looking_back or waiter.settled:
            continue
        if story.may_lead_to(waiter.until):
            waiter.reachable = True
            continue
        over = story.status != "running" if over is None else over
        # what was never declared may come all the same, as long as anything goes on
        if waiter.reachable or over:
            nearest = failure or refusal(waiter, handled) or story.failure or waiter.reason
            waiter.fail(nearest or _ended(waiter))


def refusal(waiter: Waiter, handled: Sequence[Handled]) -> Refused | None:
    """The refusal by which a chain came to its end."""
    for command, reach, events in handled:
        if not reach.isdisjoint(waiter.until):
            return Refused(reason_of(events[0]), events[0].message) if events else Refused(f"{command} led to no event")
    return None


def failure_of(search: Search) -> Exception | None:
    """Why an instance leads to nothing any more, if so."""
    if search.status in ("running", "completed"):
        return None
    if search.status == "parked":
        return OutcomeUnknown(f"{search.type} is parked: {search.reason}")
    if search.cause == "refused":
        return Refused(search.reason)
    return TimedOut(search.reason) if search.cause == "timed_out" else OutcomeUnknown(search.reason)


def failure_of_parked(delivery: Delivery, error: str | None) -> Exception:
    """Why a delivery waits for a person."""
    envelope = delivery.envelope
    if envelope.id == envelope.correlation_id and envelope.kind == "command":
        return OutcomeUnknown(error or "")
    return OutcomeUnknown(f"{envelope.type} for {delivery.consumer} is parked: {error or ''}")


def outcome_in(commit: Commit, command: Envelope) -> list[Envelope]:
    """The events of a command; one with a sender is none of them: a process that it started has published it."""
    id = command.id
    return [one for one in commit.messages if one.causation_id == id and one.kind == "event" and one.sender is None]


def reason_of(refusal: Envelope) -> str:
    """A refusal in words."""
    try:
        return str(getattr(refusal.message, "reason", "") or refusal.type)
    except Exception:  # a property of the user's may raise
        return refusal.type


def _ended(waiter: Waiter) -> OutcomeUnknown:
    return OutcomeUnknown(f"the story has come to its end without {waiter.wanted}")
