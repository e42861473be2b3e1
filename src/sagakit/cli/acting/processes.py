"""`sagakit processes cancel`, `retry` and so on: what an operator may do to an instance."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from sagakit.cli import owner
from sagakit.cli.acting.options import By, Reason
from sagakit.cli.failures import WrongUse
from sagakit.cli.help import Command
from sagakit.cli.looking.processes import app
from sagakit.cli.options import AsJson, Id, ReadDatabase
from sagakit.cli.terminal import show, show_json, text

ACT = "Act (through the engine that runs)"

Step = Annotated[
    str | None, typer.Option("--step", metavar="STEP", help="Which, where several are under way: its command or place.")
]


@app.command("retry", cls=Command, rich_help_panel=ACT)
def retry(id: Id, reason: Reason, by: By = "", db: ReadDatabase = "", as_json: AsJson = False) -> None:
    """Try what it failed on, or waits for, again.

    What is parked begins a new round of attempts; what waits for its next attempt does not wait.
    """
    _act(id, "retry", reason, by, db, as_json=as_json)


@app.command("cancel", cls=Command, rich_help_panel=ACT)
def cancel(id: Id, reason: Reason, by: By = "", db: ReadDatabase = "", as_json: AsJson = False) -> None:
    """Undo what it has done, and end it."""
    _act(id, "cancel", reason, by, db, as_json=as_json)


@app.command("abandon", cls=Command, rich_help_panel=ACT)
def abandon(id: Id, reason: Reason, by: By = "", db: ReadDatabase = "", as_json: AsJson = False) -> None:
    """End it as it stands, and undo nothing."""
    _act(id, "abandon", reason, by, db, as_json=as_json)


@app.command("compensate", cls=Command, rich_help_panel=ACT)
def compensate(id: Id, reason: Reason, by: By = "", db: ReadDatabase = "", as_json: AsJson = False) -> None:
    """Undo it by force: it counts as failed."""
    _act(id, "compensate", reason, by, db, as_json=as_json)


@app.command("resume-compensation", cls=Command, rich_help_panel=ACT)
def resume_compensation(id: Id, reason: Reason, by: By = "", db: ReadDatabase = "", as_json: AsJson = False) -> None:
    """Try a given-up undo again, then the rest."""
    _act(id, "resume-compensation", reason, by, db, as_json=as_json)


@app.command("rerun-failed", cls=Command, rich_help_panel=ACT)
def rerun_failed(
    id: Id, reason: Reason, step: Step = None, by: By = "", db: ReadDatabase = "", as_json: AsJson = False
) -> None:
    """Send the failed items of a batch again."""
    _act(id, "rerun-failed", reason, by, db, as_json=as_json, step=step)


@app.command("skip-step", cls=Command, rich_help_panel=ACT)
def skip_step(
    id: Id, reason: Reason, step: Step = None, by: By = "", db: ReadDatabase = "", as_json: AsJson = False
) -> None:
    """Go on without a step, or wake a sleeper."""
    _act(id, "skip-step", reason, by, db, as_json=as_json, step=step)


@app.command("give-result", cls=Command, rich_help_panel=ACT)
def give_result(
    id: Id,
    reason: Reason,
    message: Annotated[str, typer.Option("--message", metavar="TYPE", help="The type of the event.")],
    payload: Annotated[str, typer.Option("--payload", metavar="JSON", help="The fields of the event.")] = "{}",
    step: Step = None,
    by: By = "",
    db: ReadDatabase = "",
    as_json: AsJson = False,
) -> None:
    """Give a result or an event by hand."""
    _act(id, "give-result", reason, by, db, as_json=as_json, step=step, message=message, payload=as_raw(payload))


@app.command("pause", cls=Command, rich_help_panel=ACT)
def pause(id: Id, reason: Reason, by: By = "", db: ReadDatabase = "", as_json: AsJson = False) -> None:
    """Let it stand still until it is resumed."""
    _act(id, "pause", reason, by, db, as_json=as_json)


@app.command("resume", cls=Command, rich_help_panel=ACT)
def resume(id: Id, reason: Reason, by: By = "", db: ReadDatabase = "", as_json: AsJson = False) -> None:
    """Let it go on with all that came."""
    _act(id, "resume", reason, by, db, as_json=as_json)


def as_raw(payload: str) -> msgspec.Raw:
    """A payload from the command line."""
    try:
        msgspec.json.decode(payload)
    except msgspec.DecodeError as error:
        raise WrongUse(f"--payload is no JSON: {error}") from error
    return msgspec.Raw(payload.encode())


def _act(id: str, action: str, reason: str, by: str, db: str, *, as_json: bool, **details: Any) -> None:
    body = {"reason": reason, "by": by or owner.who(), **{k: v for k, v in details.items() if v is not None}}
    tell(owner.post(db, "/api/v1/processes/{id}/actions/" + action, body, key=id), as_json=as_json)


def tell(answer: bytes, *, as_json: bool) -> None:
    """What an action led to."""
    done = msgspec.json.decode(answer, type=dict[str, Any])
    if as_json:
        show_json(done)
        return
    status = f": {done['status']}" if done.get("status") else ""
    show(text(f"{done['action'].replace('_', ' ')} recorded for {done['target']}{status}"))
