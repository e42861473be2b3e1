"""What is told of processes, messages and deliveries, over HTTP and by the command line's `--json`: the same."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from sagakit.core.commit import Delivery, Envelope, History
from sagakit.core.display import Sent, StepDisplay, display
from sagakit.core.queries import Listed
from sagakit.core.saga.batches.progress import Progress
from sagakit.errors import TerminalError

_T = TypeVar("_T", bound=Struct)


class UnknownPage(TerminalError):
    """A token that came with no page."""


class Page(Struct, Generic[_T]):
    """One page of a list; `next` asks for the one after it, null at the end."""

    items: Sequence[_T]
    next: str | None


class ProcessView(Struct):
    """A process instance as lists show it."""

    id: str
    type: str
    key: str
    status: str
    state: str | None
    cause: str | None
    reason: str | None
    waiting_for: list[str]
    progress: list[Progress]
    """How far its batches have come."""
    started_at: str
    updated_at: str
    ended_at: str | None
    correlation_id: str
    trace_id: str | None
    definition: int
    """The version of the process, as declared."""
    version: int
    """How many reactions the instance has had."""
    attributes: msgspec.Raw
    """What it can be searched by, an object."""


class AnswerView(Struct):
    """What a command led to."""

    events: list[str]
    failed: str | None


class SentView(Struct):
    """A command and its answer; null while there is none."""

    id: str
    message: str
    answer: AnswerView | None
    child: str | None = None
    """The id of the process that it has started."""


class ParentView(Struct):
    """The process that has started this one."""

    process: str
    id: str


class StepView(Struct):
    """A command of a process (null: the process as a whole) and what undoes it."""

    command: SentView | None
    state: str | None
    batch: Progress | None
    """It is a whole batch: the command stands for those of its items."""
    undo: SentView | None
    planned_undo: str | None
    undo_error: str | None


class DeliveryView(Struct):
    """A message that is still to be handled."""

    id: str
    """The message's."""
    message: str
    consumer: str
    lane: str
    state: str
    attempt: int
    due_at: str | None
    error: str | None


class ProcessDetail(ProcessView):
    """Everything known of one process instance."""

    steps: list[StepView]
    deliveries: list[DeliveryView]
    parent: ParentView | None
    """null: it was started by an event, or from outside."""


class MessageView(Struct, kw_only=True):
    """A message of the log."""

    id: str
    kind: str
    message: str
    causation_id: str | None
    undoes: str | None
    """The id of the command that this command undoes."""
    undoes_process: bool
    """Whether it undoes the process as a whole."""
    correlation_id: str
    stream: str | None
    stream_version: int | None
    recorded_at: str
    trace_id: str | None
    span_id: str | None
    """The span that it comes from, where its story is traced."""
    payload: msgspec.Raw


class HistoryItem(MessageView, kw_only=True):
    """A message that an instance took or sent."""

    ordinal: int
    """Its place in the instance's history, from 1."""
    reaction: int
    """The row version that the reaction led to."""
    direction: str
    """in: it took it; out: it sent it."""


def iso(at: int) -> str:
    """A recorded time for programs: ISO 8601, UTC."""
    return datetime.fromtimestamp(at / 1_000_000, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def trace_of(envelope: Envelope) -> tuple[str | None, str | None]:
    """The trace id and the span id of a message."""
    parts = envelope.trace.split("-") if envelope.trace else ()
    return (parts[1], parts[2]) if len(parts) >= 4 else (None, None)


def place(token: str | None, parts: int) -> tuple[int, ...] | None:
    """Where the page begins that a token asks for."""
    if token is None:
        return None
    numbers = token.split(".")
    if len(numbers) != parts or not all(number.isdecimal() and len(number) <= 18 for number in numbers):
        raise UnknownPage(f"{token}: no page came with that token")
    return tuple(int(number) for number in numbers)


def process_view(listed: Listed) -> ProcessView:
    """An instance as it is listed."""
    row, search = listed.row, listed.search
    shown = display(row)
    return ProcessView(
        id=row.id,
        type=row.type,
        key=row.key,
        status=row.status,
        state=shown.state or None,
        cause=search.cause or None,
        reason=search.reason or None,
        waiting_for=shown.waiting_for,
        progress=shown.progress,
        started_at=iso(search.started_at),
        updated_at=iso(search.updated_at),
        ended_at=None if search.ended_at is None else iso(search.ended_at),
        correlation_id=search.correlation_id,
        trace_id=search.trace_id,
        definition=row.definition,
        version=row.version,
        attributes=msgspec.Raw(search.attributes),
    )


def process_detail(
    listed: Listed, steps: Sequence[StepDisplay], deliveries: Sequence[Delivery], parent: str | None = None
) -> ProcessDetail:
    """An instance with its steps and what is still to be handled of it. `parent`: the lane of who started it."""
    return ProcessDetail(
        **msgspec.structs.asdict(process_view(listed)),
        steps=[
            StepView(_sent(step.command), step.state, step.batch, _sent(step.undo), step.planned_undo, step.undo_error)
            for step in steps
        ],
        deliveries=[delivery_view(delivery) for delivery in deliveries],
        parent=None if parent is None else ParentView(*parent.rsplit("/", 1)),
    )


def delivery_view(delivery: Delivery) -> DeliveryView:
    """A delivery with its message."""
    return DeliveryView(
        id=delivery.envelope.id,
        message=delivery.envelope.type,
        consumer=delivery.consumer,
        lane=delivery.lane,
        state=delivery.state,
        attempt=delivery.attempt,
        due_at=iso(delivery.due_at) if delivery.state in ("scheduled", "retrying") else None,
        error=delivery.error,
    )


def message_view(envelope: Envelope) -> MessageView:
    """A message as the log holds it."""
    return MessageView(**message_fields(envelope))


def history_items(history: Sequence[History], *, first: int) -> list[HistoryItem]:
    """The messages of these reactions in their order, numbered from `first`."""
    items: list[HistoryItem] = []
    for reaction in history:
        for direction, envelopes in (("in", reaction.inputs), ("out", reaction.outputs)):
            for envelope in envelopes:
                place = first + len(items)
                item = HistoryItem(
                    **message_fields(envelope), ordinal=place, reaction=reaction.version, direction=direction
                )
                items.append(item)
    return items


def message_fields(envelope: Envelope) -> dict[str, Any]:
    """A message as `MessageView` has it."""
    trace_id, span_id = trace_of(envelope)
    return {
        "id": envelope.id,
        "kind": envelope.kind,
        "message": envelope.type,
        "causation_id": envelope.causation_id,
        "undoes": envelope.undoes or None,
        "undoes_process": envelope.undoes == "",
        "correlation_id": envelope.correlation_id,
        "stream": envelope.stream,
        "stream_version": envelope.stream_version,
        "recorded_at": iso(envelope.recorded_at),
        "trace_id": trace_id,
        "span_id": span_id,
        "payload": msgspec.Raw(envelope.payload),
    }


def _sent(sent: Sent | None) -> SentView | None:
    if sent is None:
        return None
    answer = None if sent.answer is None else AnswerView(list(sent.answer.events), sent.answer.failed)
    return SentView(sent.id, sent.type, answer, sent.child)
