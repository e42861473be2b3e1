"""What people see of an instance: where it stands, what it waits for, and its steps with their undos."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from types import MappingProxyType

import msgspec
from msgspec import Struct

from sagakit.core.commit import ENDED, Envelope, History, Instance
from sagakit.core.lifecycle import ACTED, CommandFailed, CommandLedToNothing, OperatorActed
from sagakit.core.messages import WIRE
from sagakit.core.process import TimerKind, words_of
from sagakit.core.process_manager.record import ManagerRecord, SentCommand
from sagakit.core.saga.batch import MARK, Batch, mark_of
from sagakit.core.saga.batches.progress import Progress, progress_of
from sagakit.core.saga.compensation import CANCEL_CHILD, OUTSTANDING, SagaRecord, Step


class Display(Struct, frozen=True):
    """What people see of an instance: the name of its state, and what it waits for."""

    state: str
    waiting_for: list[str]
    progress: list[Progress] = []
    """Of its batches."""


class Answer(Struct, frozen=True):
    """What a command led to: the types of its events, or why it failed; nothing at all where it led to no event."""

    events: tuple[str, ...] = ()
    failed: str | None = None


class Sent(Struct):
    """A command of an instance and its answer, None while there is none."""

    id: str
    type: str
    answer: Answer | None = None
    child: str | None = None
    """The id of the instance that it has started."""


class StepDisplay(Struct):
    """A step: its command (None: the process as a whole) and what undoes it; of several undos the last one counts."""

    command: Sent | None
    state: str | None = None
    """As the saga has it; None where it keeps no state of the step (any more)."""
    undo: Sent | None = None
    planned_undo: str | None = None
    """The type of the undo that is recorded and not sent yet."""
    undo_error: str | None = None
    batch: Progress | None = None
    """It is a batch: `command` stands for those of all its items."""


_BESIDE: frozenset[TimerKind] = frozenset({"deadline", "warning"})
"""Times that pass beside what an instance waits for."""

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_saga = msgspec.json.Decoder(SagaRecord).decode
_manager = msgspec.json.Decoder(ManagerRecord).decode
_failed = msgspec.json.Decoder(CommandFailed).decode
_acted = msgspec.json.Decoder(OperatorActed).decode
_FAILED, _NOTHING = (getattr(cls, WIRE)[0] for cls in (CommandFailed, CommandLedToNothing))


def record_of(row: Instance) -> SagaRecord | ManagerRecord:
    """The stored state of an instance, whichever way its process was written."""
    return _manager(row.state) if "state" in _fields(row.state) else _saga(row.state)


def display(row: Instance) -> Display:
    """Where an instance stands, from its row alone. What has ended stands nowhere and waits for nothing."""
    if row.status in ENDED:
        return Display("", [], progress_of(_batches(record_of(row))) if b'"batches"' in row.state else [])
    record = record_of(row)
    progress = progress_of(_batches(record))
    timers = record.reminders if isinstance(record, ManagerRecord) else record.timers
    times = [f"{words_of(timer)}, {_at(timer.due_at)}" for timer in timers if timer.kind not in _BESIDE]
    if isinstance(record, ManagerRecord):
        undoing = [(sent.type, _undo_of(sent)) for sent in record.sent if _is_undoing(sent)]
        waiting = [sent.type for sent in record.sent if not sent.settled and sent.undo is None]
    else:
        undoing = [(step.type, _undo_of(step)) for step in record.steps if step.state in ("undoing", "undo_failed")]
        waiting = [step.type for step in record.steps if step.state == "sent"] + record.receiving
    waiting += [undo for _, undo in undoing if undo]
    if undoing:
        return Display(f"undoing {undoing[-1][0] or row.type}", waiting + times, progress)
    asleep = any(timer.kind == "sleep" for timer in timers)
    return Display(waiting[-1] if waiting else "sleeping" if asleep else "", waiting + times, progress)


def _batches(record: SagaRecord | ManagerRecord) -> list[Batch]:
    return record.batches if isinstance(record, SagaRecord) else []


def _is_undoing(sent: SentCommand) -> bool:
    return bool(sent.undo_id or sent.cancel_id) and not sent.undone


def _undo_of(sent: SentCommand | Step) -> str:
    """The wire name of what undoes a command: while its child may run, what cancels that."""
    if sent.child:
        return CANCEL_CHILD
    return "" if sent.undo is None else sent.undo.type


def _at(time: int) -> str:
    return f"{datetime.fromtimestamp(time / 1_000_000, UTC):%Y-%m-%d %H:%M:%S}"


def undos_of(row: Instance) -> list[str]:
    """The wire names of the undos of an instance that are out or still to be sent, from its row alone.

    Where a child is to be undone first, also that of the command that started it: the child may lead to more.
    """
    record = record_of(row)
    if isinstance(record, ManagerRecord):
        owing: list[SentCommand] | list[Step] = [sent for sent in record.sent if sent.undo and not sent.undone]
    else:
        owing = [step for step in record.steps if step.state in OUTSTANDING]
    of_batches = {one.step: one.undo for one in _batches(record)}
    items = [of_batches[one.ordinal] for one in owing if isinstance(one, Step) and one.batch]
    undos = [sent.undo.type for sent in owing if sent.undo] + [undo for undo in items if undo]
    return undos + [sent.type for sent in owing if sent.child]


def steps(
    row: Instance, history: Iterable[History], children: Mapping[str, str] = MappingProxyType({})
) -> list[StepDisplay]:
    """The commands that an instance sent, in order, with their answers and undos.

    `children`: the ids of the instances that commands have started, by the ids of these commands.
    """
    sent, undos, answers = _read(history)
    record = record_of(row)
    known = {step.id: step for step in record.steps if step.id} if isinstance(record, SagaRecord) else {}
    shown = [_registered(step, undos) for step in _whole(record)]
    batches = {mark_of(row.id, one.step): one for one in progress_of(_batches(record))}
    marks = _marks(row, record) if batches else frozenset[str]()
    seen: set[str] = set()
    for command in sent:
        id = command.id[:MARK] if command.id[:MARK] in marks else command.id
        if id in seen:
            continue  # one more item of a batch that is shown
        seen.add(id)
        step = StepDisplay(Sent(id, command.type), undo=undos.get(id), batch=batches.get(id))
        if id in known:
            _as_recorded(step, known[id])
        shown.append(step)
    for step in shown:
        for message in (step.command, step.undo):
            if message is not None:
                message.answer = answers.get(message.id)
                message.child = children.get(message.id)
        if step.undo and step.undo.type == CANCEL_CHILD and step.undo.answer is None and step.command:
            step.undo.answer = step.command.answer and Answer()  # the end of the child answers both
    return shown


def _marks(row: Instance, record: SagaRecord | ManagerRecord) -> frozenset[str]:
    """What the ids of items begin with, also of batches that the state tells nothing of any more."""
    steps = record.sent if isinstance(record, SagaRecord) else 0
    return frozenset(mark_of(row.id, ordinal) for ordinal in range(1, steps + 1))


def _read(history: Iterable[History]) -> tuple[list[Envelope], dict[str, Sent], dict[str, Answer]]:
    """The commands that are no undos; the newest undo by what it undoes (and by its own id); answers by command."""
    sent: list[Envelope] = []
    undos: dict[str, Sent] = {}
    answers: dict[str, Answer] = {}
    for reaction in history:
        for given in reaction.inputs:
            if given.type == ACTED:
                _by_hand(given, answers)
            elif given.causation_id is not None and given.sender is None:
                answers[given.causation_id] = _answered(answers.get(given.causation_id, Answer()), given)
        for output in reaction.outputs:
            if output.kind == "command" and output.undoes is None:
                sent.append(output)
            elif output.undoes is not None:
                undos[output.undoes or output.id] = Sent(output.id, output.type)
    for undo in undos.values():
        known = answers.get(undo.id)
        if known is not None and known.events:  # it failed, and was tried anew by a person: any answer is done
            answers[undo.id] = Answer(known.events)
    return sent, undos, answers


def _answered(before: Answer, event: Envelope) -> Answer:
    if event.type == _NOTHING:
        return before
    if event.type == _FAILED:
        return Answer(before.events, _failed(event.payload).reason)
    return Answer((*before.events, event.type))


def _by_hand(given: Envelope, answers: dict[str, Answer]) -> None:
    """What an operator has done counts as an answer, where it stands for one."""
    acted = _acted(given.payload)
    if acted.command_id and acted.action in ("give_result", "skip_step", "drop"):
        answers[acted.command_id] = Answer((acted.type,) if acted.type else ())


def _whole(record: SagaRecord | ManagerRecord) -> Iterator[Step]:
    """What a saga registered to undo it as a whole."""
    if isinstance(record, SagaRecord):
        yield from (step for step in record.steps if not step.id)


def _registered(step: Step, undos: dict[str, Sent]) -> StepDisplay:
    shown = StepDisplay(None, undo=undos.get(step.undo_id))
    _as_recorded(shown, step)
    return shown


def _as_recorded(shown: StepDisplay, step: Step) -> None:
    shown.state = step.state
    shown.undo_error = step.undo_error or None
    if shown.undo is None and step.undo is not None:
        shown.planned_undo = step.undo.type


def log_fields(envelope: Envelope) -> dict[str, str]:
    """What a log line says of a message: by these it is found in the log, in a trace, and among the processes."""
    fields = {"message": envelope.type, "message_id": envelope.id, "correlation_id": envelope.correlation_id}
    parts = envelope.trace.split("-") if envelope.trace else ()
    if len(parts) >= 4:
        fields["trace_id"] = parts[1]
    if envelope.sender:
        fields["process"], _, fields["instance"] = envelope.sender.rpartition("/")
    return fields
