"""Words and commands of explanations: what is waited for, who can unblock it, and how."""

from __future__ import annotations

from datetime import UTC, datetime

from sagakit.core.commit import Delivery, Pause
from sagakit.core.process import PendingTimer, words_of
from sagakit.engine.limiting.throttle import Waiting
from sagakit.engine.operating.explanation import Blocker, Wait
from sagakit.engine.operating.facts import Standing

REASON = '--reason "..."'
PAYLOAD = "--payload '{...}'"
RUN = "sagakit run MODULE:APP"


def mends_of(standing: Standing) -> list[str]:
    """The commands that set a parked or retrying delivery going."""
    delivery = standing.delivery
    id, key = delivery.id, " --keep-key" if standing.touches else ""
    retry = f"sagakit deliveries retry {id} {REASON}"
    if delivery.state == "retrying":
        return [retry]
    if delivery.state != "parked":
        return []
    edit = f"sagakit deliveries edit {id} {PAYLOAD}{key} {REASON}"
    drop = f"sagakit deliveries drop {id} {REASON}"
    return [edit, drop] if standing.unreadable else [retry, edit, drop]


def resume_command(pause: Pause) -> str:
    """The command that ends a pause."""
    if pause.scope == "instance":
        return f"sagakit processes resume {pause.name} {REASON}"
    thing = "all" if pause.scope == "all" else f"{pause.scope} {pause.name}"
    return f"sagakit resume {thing} {REASON}"


def what_is_paused(pause: Pause) -> str:
    return {"all": "everything", "instance": "the instance"}.get(pause.scope, f"the {pause.scope} {pause.name}")


def urgency(one: Standing) -> int:
    """What is to be told first: nobody's code, what cannot be read, what is blocked, what fails, what runs."""
    head = one.head.delivery if one.head else one.delivery
    if one.undeclared:
        return 0
    if one.unreadable:
        return 1
    return {"parked": 2, "retrying": 3}.get(head.state, 4)


def who_mends(delivery: Delivery) -> str:
    if delivery.state == "parked":
        return "a person"
    return f"the service that handles {delivery.envelope.type} ({delivery.consumer})"


def wait_of(one: Standing, kind: str = "delivery") -> Wait:
    delivery = one.delivery
    return Wait(
        "person" if kind == "person" else "delivery",
        delivery.envelope.type,
        str(delivery.id),
        delivery.envelope.recorded_at,
        # the attempt number is that of the next one where it waits for that
        delivery.attempt - 1 if delivery.state == "retrying" else delivery.attempt if delivery.state == "parked" else 0,
        delivery.error,
        delivery.due_at if delivery.state in ("retrying", "scheduled") else None,
    )


def timer_of(timer: PendingTimer) -> Wait:
    return Wait("timer", words_of(timer), timer.id, timer.due_at - timer.after, due_at=timer.due_at)


def blocker_of(head: Delivery) -> Blocker:
    return Blocker(head.id, head.envelope.type, head.state, head.lane, head.error)


def short(name: str) -> str:
    return name.rpartition(".")[2]


def time_of(at: int) -> str:
    return f"{datetime.fromtimestamp(at / 1_000_000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def why_limited(type: str, consumer: str, limit: Waiting) -> str:
    """That something waits for a limit, in a sentence."""
    return f"{type} waits since {time_of(limit.since)} for a limit of {consumer}: {limit.words}"


def who_opens(limit: Waiting) -> str:
    """Who lets through what waits for a limit."""
    by_itself = "when others have ended" if limit.due_at is None else f"at {time_of(limit.due_at)} at the earliest"
    return f"nobody: it begins by itself, {by_itself}; a deployment may declare a greater limit"
