"""The stored state of a process manager."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct

from sagakit.core.commit import Cause, Status
from sagakit.core.process import PendingTimer
from sagakit.core.saga.compensation import Recorded


class SentCommand(Struct, omit_defaults=True):
    """A command that may have to be undone: kept only by a process manager that uses Undoing."""

    id: str
    type: str
    digest: str
    settled: bool = False
    """Its outcome is known, or it was given up with an error."""
    undo: Recorded | None = None
    undo_id: str = ""
    """The newest undo; "" while it has none, or one that may not go out."""
    child: str = ""
    """The lane of the instance that it starts, until the end of that is known; else ""."""
    cancel_id: str = ""
    """What cancels the child: its undo goes out when that has ended."""
    undone: bool = False
    undo_error: str = ""
    earlier: list[str] = []
    """The undos that a late success has replaced: what comes of them counts no more."""
    told: bool = False
    """The process manager knows that it is undone."""


class ManagerRecord(Struct, omit_defaults=True):
    """The stored state of a process manager."""

    state: msgspec.Raw
    sent: list[SentCommand] = []
    reminders: list[PendingTimer] = []
    """Those that have not come yet, one a name."""
    cause: Cause = ""
    reason: str = ""
    ended: Status | Literal[""] = ""
    """The end that it had come to before the undo of a late success was given up."""
