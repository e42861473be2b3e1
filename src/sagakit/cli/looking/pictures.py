"""What people read: lists, one process on one screen, its history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from rich.console import Console, Group, RenderableType
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sagakit.cli.terminal import counted, lasting, note, show, state, table, terminal, text, time, width
from sagakit.core.commit import ENDED, Delivery
from sagakit.core.display import Display, Sent, StepDisplay, display, record_of
from sagakit.core.lifecycle import ACTED, OperatorActed
from sagakit.core.queries import Listed
from sagakit.server.showing.transitions import Transition
from sagakit.server.showing.views import HistoryItem, iso

STEPS_SHOWN = 50
WAITING_SHOWN = 5
FOR_A_PERSON = ("parked", "compensation_failed")


def processes(page: Sequence[Listed], rest: str | None) -> None:
    """A page of processes: a row each, or a block each where the rows are wider than the terminal."""
    if not page:
        note("no process")
        return
    rows = table("ID", "TYPE", "KEY", "STATUS", "STARTED (UTC)", "NOW", copied=("ID", "KEY", "STARTED (UTC)"))
    for listed in page:
        rows.add_row(*_cells(listed))
    show(rows if not terminal() or _natural(rows) <= width() else Group(*map(_block, page)))
    _more(rest)


def process(
    listed: Listed, steps: Sequence[StepDisplay], deliveries: Sequence[Delivery], parent: str | None = None
) -> None:
    """Everything known of one process. `parent`: the lane of who started it."""
    facts = Table.grid(padding=(0, 2, 0, 0))
    for name, value in _facts(listed, steps, parent):
        facts.add_row(Text(name, "dim"), value)
    parts: list[RenderableType] = [_title(listed), Padding(facts, (0, 0, 0, 2))]
    if steps:
        parts += ["", *_steps(steps)]
    if deliveries:
        parts += ["", *_deliveries(deliveries)]
    show(*parts)


def history(listed: Listed, items: Sequence[HistoryItem], rest: str | None) -> None:
    """The messages that an instance took and sent."""
    rows = table("#", "RECORDED", "TOOK", "SENT", "")
    places = {item.id: item.ordinal for item in items}
    before, known = iso(listed.search.started_at)[:10], ""  # the day alone
    for item in items:
        reason = _reason(item.payload)
        at = _moment(item.recorded_at, before)
        took, sent = (text(item.message), "") if item.direction == "in" else ("", text(item.message))
        rows.add_row(str(item.ordinal), at, took, sent, text(_relation(item, places, reason, known), "dim"))
        before, known = item.recorded_at, reason or known
    show(_title(listed), Text(f"from {time(listed.search.started_at)} UTC", "dim"), "", rows)
    _more(rest)


def saga_log(listed: Listed, lines: Sequence[Transition]) -> None:
    """The transitions of an instance."""
    rows = table("AT", "STATUS", "STEP", "ERROR", "SPAN")
    before = iso(listed.search.started_at)[:10]
    for line in lines:
        at = _moment(line.at, before)
        rows.add_row(at, line.status, text(line.step or ""), text(line.error or ""), line.span_id or "")
        before = line.at
    trace = f", trace {listed.search.trace_id}" if listed.search.trace_id else ""
    show(_title(listed), Text(f"from {time(listed.search.started_at)} UTC{trace}", "dim"), "", rows)


def _title(listed: Listed) -> Text:
    return Text.assemble(text(listed.row.type, "bold"), "  ", text(listed.row.key), "  ", state(listed.row.status))


def _moment(at: str, before: str) -> str:
    """A time as short as it can be after the one before."""
    if at == before:
        return ""
    day, clock = at[:10], at[11:23]
    return clock if day == before[:10] else f"{day} {clock}"


def _more(rest: str | None) -> None:
    if rest is not None:
        note(f"there is more: --next {rest}")


def _natural(rows: Table) -> int:
    wide = Console(width=10_000)
    return Measurement.get(wide, wide.options, rows).maximum


def _cells(listed: Listed) -> tuple[Text, ...]:
    row = listed.row
    started = text(time(listed.search.started_at))
    return text(row.id), text(row.type), text(row.key), state(row.status), started, text(_now(listed))


def _block(listed: Listed) -> Group:
    row = listed.row
    first = Text.assemble(text(row.id), "  ", text(row.type, "bold"), "  ", state(row.status))
    details = "  ".join(part for part in (f"{time(listed.search.started_at)} UTC", row.key, _now(listed)) if part)
    return Group(first, Padding(text(details, "dim"), (0, 0, 0, 2)))


def _now(listed: Listed) -> str:
    """What is going on, or how it ended, in words."""
    if listed.row.status in FOR_A_PERSON:
        return f"waits for {_person(listed)}"
    if listed.search.ended_at is not None:
        return _why(listed)
    shown = display(listed.row)
    waiting = [f"{name} ({words})" for name, words in _batches(shown)] or shown.waiting_for
    return f"waits for {', '.join(waiting)}" if waiting else ""


def _batches(shown: Display) -> list[tuple[str, str]]:
    """The batches that it waits for, and how far they have come."""
    return [(one.command, one.words()) for one in shown.progress if one.state in ("running", "ending", "undoing")]


def _person(listed: Listed) -> str:
    """Why somebody has to look at it."""
    if listed.row.status == "compensation_failed":
        return "a person: an undo was given up"
    return f"a person: {listed.search.reason or 'its code could not go on'}"


def _why(listed: Listed) -> str:
    return ": ".join(part for part in (listed.search.cause.replace("_", " "), listed.search.reason) if part)


def _facts(listed: Listed, steps: Sequence[StepDisplay], parent: str | None) -> Iterator[tuple[str, Text]]:
    row, search = listed.row, listed.search
    yield "id", text(row.id)
    if parent is not None:
        yield "started by", text(" ".join(parent.rsplit("/", 1)))
    if row.status != "parked" and (why := _why(listed)):
        yield "cause", text(why)
    yield from _stands(listed, steps)
    yield "started", text(f"{time(search.started_at)} UTC")
    if search.ended_at is None:
        yield "changed", text(f"{time(search.updated_at)} UTC")
    else:
        yield "ended", text(f"{time(search.ended_at)} UTC, after {lasting(search.ended_at - search.started_at)}")
    yield "correlation", text(search.correlation_id)
    if search.trace_id:
        yield "trace", text(search.trace_id)
    if search.attributes not in (b"", b"{}"):
        yield "attributes", text(search.attributes.decode())
    if bug := getattr(record_of(row), "bug", ""):
        yield "its code", text(bug, "red")
    yield "definition", text(f"version {row.definition}, {counted(row.version, 'reaction')} so far")


def _stands(listed: Listed, steps: Sequence[StepDisplay]) -> Iterator[tuple[str, Text]]:
    """Where it stands, unless it has ended."""
    row = listed.row
    shown = display(row)
    open = shown.waiting_for or [one.command.type for one in steps if one.command and one.command.answer is None]
    if shown.state and shown.state not in open:
        yield "state", text(shown.state)
    if row.status in FOR_A_PERSON:
        yield "waits for", text(_person(listed), "bold red")
    elif row.status not in ENDED:
        yield "waits for", text(", ".join(open[-WAITING_SHOWN:]) or "an event")


def _steps(steps: Sequence[StepDisplay]) -> Iterator[RenderableType]:
    rows = table("#", "COMMAND", "LED TO", "UNDONE BY")
    place, last = 0, steps[-STEPS_SHOWN:]
    for step in last:
        place += step.command is not None
        if step.command is None:
            rows.add_row("", Text("the process as a whole", "dim"), "", _undo(step))
        else:
            rows.add_row(str(len(steps) - len(last) + place), text(_named(step)), _answer(step), _undo(step))
            if step.command.child is not None:
                rows.add_row("", text(f"started {step.command.child}", "dim"), "", "")
    if len(last) < len(steps):
        yield Text(f"The last {len(last)} of {len(steps)} commands; `sagakit processes history` has all.", "dim")
    yield rows
    if any(step.planned_undo for step in last):
        yield Text("(...) is recorded, and not sent so far", "dim")


def _named(step: StepDisplay) -> str:
    each = "each " if step.batch is not None else ""
    return f"{each}{step.command.type}" if step.command else ""


def _answer(step: StepDisplay) -> Text:
    if step.batch is not None:
        return text(step.batch.words())
    return _outcome(step.command) if step.command else Text()


def _outcome(sent: Sent) -> Text:
    if sent.answer is None:
        return Text("no answer yet", "cyan")
    if sent.answer.failed is not None:
        return text(f"failed: {sent.answer.failed}", "red")
    return text(", ".join(sent.answer.events)) if sent.answer.events else Text("no event", "dim")


def _undo(step: StepDisplay) -> Text:
    if step.undo is not None:
        done = step.undo.answer is not None and step.undo.answer.failed is None
        return text(step.undo.type) if done else Text.assemble(text(step.undo.type), ", ", _outcome(step.undo))
    if step.planned_undo is None:
        return Text()
    problem = text(f" {step.undo_error}" if step.undo_error else "", "red")
    return text(f"({step.planned_undo})", "dim").append_text(problem)


def _deliveries(deliveries: Sequence[Delivery]) -> Iterator[RenderableType]:
    yield Text("Still to be handled", "bold")
    for one in deliveries:
        due = f" until {time(one.due_at)} UTC" if one.state in ("scheduled", "retrying") else ""
        words = f"{due}, attempt {one.attempt}, by {one.consumer}"
        line = Text.assemble(text(one.envelope.type), "  ", state(one.state), text(words))
        yield Padding(line, (0, 0, 0, 2))
        if one.error:
            yield Padding(text(one.error, "red"), (0, 0, 0, 4))


def _relation(item: HistoryItem, places: dict[str, int], reason: str, known: str) -> str:
    """How a message belongs to the others of its instance, and the reason that it gives, if that is not `known`."""
    words: list[str] = []
    if item.undoes_process:
        words.append("undoes the process")
    if item.undoes is not None:
        words.append(f"undoes {places.get(item.undoes, item.undoes)}")
    if item.message == ACTED:
        acted = msgspec.json.decode(item.payload, type=OperatorActed)
        return f"{acted.action.replace('_', ' ')} by {acted.by}: {acted.reason}"
    if item.direction == "in" and item.causation_id in places:
        words.append(f"answers {places[item.causation_id]}")
    if reason and reason != known:
        words.append(reason)
    return ": ".join(words)


class _Reasoned(Struct):
    reason: Any = None


def _reason(payload: msgspec.Raw) -> str:
    try:
        reason = msgspec.json.decode(payload, type=_Reasoned).reason
    except msgspec.MsgspecError:
        return ""
    return reason if isinstance(reason, str) else ""
