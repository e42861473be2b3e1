"""`sagakit pause` and `sagakit resume`: everything, a module, a process type."""

from __future__ import annotations

from sagakit.cli import owner
from sagakit.cli.acting.options import By, Name, Reason, Scope
from sagakit.cli.acting.processes import tell
from sagakit.cli.failures import WrongUse
from sagakit.cli.options import AsJson, ReadDatabase

SCOPES = ("all", "module", "process", "instance")


def pause(
    scope: Scope, reason: Reason, name: Name = "", by: By = "", db: ReadDatabase = "", as_json: AsJson = False
) -> None:
    """Let everything, or a part, stand still.

    Nothing of it is handled until it is resumed, and nothing is lost. Timers keep their due times.
    """
    _act("/api/v1/pauses", scope, name, reason, by, db, as_json=as_json)


def resume(
    scope: Scope, reason: Reason, name: Name = "", by: By = "", db: ReadDatabase = "", as_json: AsJson = False
) -> None:
    """Let it go on with all that came."""
    _act("/api/v1/pauses/resume", scope, name, reason, by, db, as_json=as_json)


def _act(path: str, scope: str, name: str, reason: str, by: str, db: str, *, as_json: bool) -> None:
    if scope not in SCOPES:
        raise WrongUse(f"SCOPE is {scope!r}: it is one of {', '.join(SCOPES)}")
    if (scope == "all") != (not name):
        raise WrongUse("all takes no NAME" if name else f"{scope} takes a NAME")
    body = {"scope": scope, "name": name, "reason": reason, "by": by or owner.who()}
    tell(owner.post(db, path, body), as_json=as_json)
