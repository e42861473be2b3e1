"""How far a batch has come, for people."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from sagakit.core.saga.batch import Batch


class Progress(Struct, frozen=True):
    """How far a batch has come."""

    step: int
    """The ordinal of its step."""
    command: str
    """The wire name of its first item's command."""
    state: str
    """running, ending, ended, given_up, undoing, undone or undo_failed."""
    total: int | None
    """How many items there are; None: not known before the last one is drawn."""
    done: int
    failed: int
    in_flight: int
    """Items whose command or undo is out."""
    left: int | None
    """Items that are still to be sent, also once more; None: not known."""

    def words(self) -> str:
        """All of it in a few words."""
        of = "" if self.total is None else f" of {self.total}"
        parts = [f"{self.done} done", f"{self.failed} failed"]
        parts += [f"{self.in_flight} {'being undone' if self.state == 'undoing' else 'in flight'}"] * bool(
            self.in_flight
        )
        state = "" if self.state in ("running", "ending", "ended") else f" ({self.state.replace('_', ' ')})"
        return f"{', '.join(parts)}{of}{state}"


def progress_of(batches: Iterable[Batch]) -> list[Progress]:
    """How far each batch of an instance has come."""
    return [
        Progress(
            one.step,
            one.command,
            one.state,
            one.total,
            one.done,
            one.failed,
            one.in_flight,
            None if one.total is None else one.total - one.next + one.waiting,
        )
        for one in batches
    ]
