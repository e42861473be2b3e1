"""Why something stands still, as tables and sentences."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from sagakit.cli.terminal import show, table, text

if TYPE_CHECKING:
    from sagakit.server.showing.standing import ExplanationView, OutstandingDetail, OutstandingView, StuckView


def now() -> int:
    """The time of this machine, where no engine says another."""
    return time.time_ns() // 1000


def explanation(told: ExplanationView) -> None:
    """Show an explanation: the cause first, then what mends it."""
    name = f"{told.type} {told.key}".rstrip()
    show(Text.assemble(text(name, "bold"), f"  {told.id}  ", text(told.status, told.status)))
    show(text(told.why))
    if told.since:
        show(text(f"since {told.since}", "dim"))
    if told.waits_for:
        rows = table("WAITS FOR", "WHAT", "ID", "SINCE (UTC)", "ATTEMPTS", "DUE (UTC)", "LAST ERROR")
        for wait in told.waits_for:
            rows.add_row(
                text(wait.kind),
                text(wait.what),
                text(wait.id or ""),
                text(wait.since or ""),
                text(str(wait.attempts or "")),
                text(wait.due_at or ""),
                text(wait.last_error or ""),
            )
        show("", rows)
    show("", Text.assemble(text("who can unblock it  ", "dim"), text(told.who)))
    for place, command in enumerate(told.mend):
        show(Text.assemble(text("mend                " if not place else "or                  ", "dim"), text(command)))
    if told.next_step:
        show(Text.assemble(text("next                ", "dim"), text(told.next_step)))
    if not told.engine:
        show(text("no engine runs on this database: sagakit run MODULE:APP", "yellow"))


def deliveries(page: Sequence[OutstandingView], rest: str | None) -> None:
    """Show a list of deliveries."""
    rows = table("NUMBER", "MESSAGE", "STATE", "ATTEMPT", "DUE (UTC)", "LANE", "LAST ERROR")
    for one in page:
        rows.add_row(
            text(str(one.delivery)),
            text(one.message),
            text(one.state, one.state),
            text(str(one.attempt)),
            text(one.due_at or ""),
            text(one.lane),
            text(one.error or ""),
        )
    show(rows if page else text("nothing is outstanding"))
    if rest is not None:
        show(text(f"more: --next {rest}", "dim"))


def delivery(detail: OutstandingDetail) -> None:
    """Show one delivery, with its message."""
    explanation(detail.explanation)
    show("", text(f"message {detail.id} for {detail.consumer}, lane {detail.lane}", "dim"))
    show(text(bytes(detail.payload).decode()))


def stuck(page: Sequence[StuckView], rest: str | None) -> None:
    """Show a list of instances that do not move."""
    rows = table("PROCESS", "KEY", "STATUS", "SINCE (UTC)", "WHY", "ID")
    for one in page:
        rows.add_row(
            text(one.type), text(one.key), text(one.status, one.status), text(one.since), text(one.why), text(one.id)
        )
    show(rows if page else text("everything moves"))
    if rest is not None:
        show(text(f"more: --next {rest}", "dim"))
