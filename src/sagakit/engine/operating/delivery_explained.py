"""From what keeps a delivery to an explanation: pure."""

from __future__ import annotations

from sagakit.engine.operating.explanation import Explanation, Situation
from sagakit.engine.operating.facts import Standing
from sagakit.engine.operating.mending import (
    blocker_of,
    mends_of,
    resume_command,
    time_of,
    wait_of,
    what_is_paused,
    who_mends,
    who_opens,
    why_limited,
)


def explain_delivery(standing: Standing, *, engine: bool) -> Explanation:
    """Why a delivery stands where it stands."""
    delivery, ahead = standing.delivery, standing.head
    head = None if ahead is None else ahead.delivery
    envelope = delivery.envelope
    situation: Situation = "under_way"
    perhaps = standing.perhaps if engine else ""
    why, who, mend = f"it is to be handled by {delivery.consumer}{perhaps}", delivery.consumer, mends_of(standing)
    if standing.pause is not None:
        situation, why = (
            "paused",
            f"{what_is_paused(standing.pause)} is paused by {standing.pause.by}: {standing.pause.reason}",
        )
        who, mend = "a person", [resume_command(standing.pause)]
    elif delivery.state == "scheduled":
        situation, why, who = "sleeping", f"it is due at {time_of(delivery.due_at)}", "nobody: it comes by itself"
    elif standing.undeclared:
        situation, why = "no_code", f"no worker has the code: {delivery.consumer} is not declared"
        who = "a deployment that declares it again"
    elif standing.unreadable:
        situation, why, who = "unreadable", f"nobody can decode it: {standing.unreadable}", "a person"
    elif ahead is not None and head is not None and standing.limit is None:
        situation, why = (
            "behind_another",
            f"it waits behind {head.envelope.type} (delivery {head.id}), which is {head.state}",
        )
        who, mend = who_mends(head), mends_of(ahead)
    elif standing.limit is not None:
        situation, why = "waiting_for_limit", why_limited(envelope.type, delivery.consumer, standing.limit)
        who = who_opens(standing.limit)
    elif delivery.state == "retrying":
        situation, why, who = "retrying", f"it failed and is tried again: {delivery.error}", who_mends(delivery)
    elif delivery.state == "parked":
        situation = "parked_command" if envelope.kind == "command" else "parked_event"
        why, who = f"it was given up: {delivery.error}", "a person"
    return Explanation(
        id=str(delivery.id),
        type=envelope.type,
        status=delivery.state,
        situation=situation,
        why=why,
        since=envelope.recorded_at,
        waits_for=[wait_of(standing, "person" if delivery.state == "parked" else "delivery")],
        blocked_by=None if head is None else blocker_of(head),
        who=who,
        mend=mend,
        engine=engine,
    )
