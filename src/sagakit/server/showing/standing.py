"""What people see of what stands still: explanations, deliveries, pauses; over HTTP and by --json."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from sagakit.core.commit import Delivery, Pause
from sagakit.engine.operating.detector import Stuck
from sagakit.engine.operating.explanation import Explanation, Situation, Wait


class WaitView(Struct):
    """One thing that is waited for."""

    kind: str
    what: str
    id: str | None
    since: str | None
    attempts: int
    last_error: str | None
    due_at: str | None


class BlockerView(Struct):
    """The head of a lane that others wait behind."""

    delivery: int
    message: str
    state: str
    lane: str
    last_error: str | None


class ExplanationView(Struct):
    """Why an instance or a delivery stands where it stands."""

    id: str
    type: str
    key: str
    status: str
    situation: Situation
    why: str
    since: str | None
    waits_for: list[WaitView]
    blocked_by: BlockerView | None
    who: str
    mend: list[str]
    """Command lines that mend it; the first is the one to try first."""
    next_step: str
    engine: bool
    """Whether an engine runs on the database."""


class OutstandingView(Struct):
    """A message that is still to be handled by a consumer."""

    delivery: int
    """What actions name it by."""
    id: str
    """The message's."""
    message: str
    kind: str
    consumer: str
    lane: str
    state: str
    attempt: int
    """Of the round that is under way: an operator's retry begins a new one."""
    due_at: str | None
    error: str | None
    sender: str | None
    correlation_id: str
    recorded_at: str


class OutstandingDetail(OutstandingView, kw_only=True):
    """The same with its message, and why it stands where it stands."""

    payload: msgspec.Raw
    explanation: ExplanationView


class PauseView(Struct):
    """What stands still until somebody resumes it."""

    scope: str
    name: str
    by: str
    reason: str
    since: str


class StuckView(Struct):
    """An instance that does not move."""

    id: str
    type: str
    key: str
    status: str
    since: str
    why: str
    waiting_for: list[str]


def explanation_view(explained: Explanation) -> ExplanationView:
    """An explanation."""
    blocked = explained.blocked_by
    return ExplanationView(
        explained.id,
        explained.type,
        explained.key,
        explained.status,
        explained.situation,
        explained.why,
        moment(explained.since),
        [_wait(one) for one in explained.waits_for],
        None if blocked is None else BlockerView(*msgspec.structs.astuple(blocked)),
        explained.who,
        explained.mend,
        explained.next_step,
        explained.engine,
    )


def outstanding_view(delivery: Delivery) -> OutstandingView:
    """A delivery as it is listed."""
    envelope = delivery.envelope
    return OutstandingView(
        delivery.id,
        envelope.id,
        envelope.type,
        envelope.kind,
        delivery.consumer,
        delivery.lane,
        delivery.state,
        delivery.attempt - delivery.spent,
        moment(delivery.due_at) if delivery.state in ("scheduled", "retrying") else None,
        delivery.error,
        envelope.sender,
        envelope.correlation_id,
        moment(envelope.recorded_at) or "",
    )


def outstanding_detail(delivery: Delivery, explained: Explanation) -> OutstandingDetail:
    """A delivery with all about it."""
    return OutstandingDetail(
        **msgspec.structs.asdict(outstanding_view(delivery)),
        payload=msgspec.Raw(delivery.envelope.payload),
        explanation=explanation_view(explained),
    )


def pause_view(pause: Pause) -> PauseView:
    """A pause."""
    return PauseView(pause.scope, pause.name, pause.by, pause.reason, moment(pause.since) or "")


def stuck_view(stuck: Stuck) -> StuckView:
    """An instance that does not move."""
    since = moment(stuck.since) or ""
    return StuckView(stuck.id, stuck.type, stuck.key, stuck.status, since, stuck.why, stuck.waiting_for)


def moment(at: int | None) -> str | None:
    """A time as ISO 8601, in UTC."""
    if at is None:
        return None
    return datetime.fromtimestamp(at / 1_000_000, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _wait(wait: Wait) -> WaitView:
    return WaitView(
        wait.kind, wait.what, wait.id or None, moment(wait.since), wait.attempts, wait.last_error, moment(wait.due_at)
    )
