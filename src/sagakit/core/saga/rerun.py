"""Failed items of a batch that has ended are sent again: which batch, whether it can be, and how it replays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from sagakit.core.commit import History
from sagakit.core.lifecycle import BatchEnded, OperatorActed
from sagakit.core.process import Input
from sagakit.core.saga.batch import Batch
from sagakit.core.saga.compensation import SagaRecord
from sagakit.errors import NotPossible

RERUN = "rerun_failed"
Entry: TypeAlias = tuple[Input, History]


def step_of(acted: OperatorActed) -> int:
    """The batch that an operator wants to run again."""
    return int(acted.details["step"])


def chosen(record: SagaRecord, step: str | None) -> Batch:
    """The batch to be run again: the one that is named by its step, or the last one."""
    if not record.batches:
        raise NotPossible(f"{RERUN}: it has no batch")
    batch = record.batches[-1]
    if step is not None and step not in (str(batch.step), batch.command, batch.command.rpartition(".")[2]):
        raise NotPossible(f"{RERUN}: its last batch is step {batch.step} ({batch.command}), not {step}")
    name = f"{RERUN}: the batch of step {batch.step} ({batch.command})"
    if batch.state in ("running", "ending"):
        raise NotPossible(f"{name} still runs: when it has ended, what failed can be run again")
    if batch.state != "ended" or batch.undo_failed:
        raise NotPossible(f"{name} was {'undone' if batch.state == 'undone' else 'given up or stopped'}")
    if not batch.failed:
        raise NotPossible(f"{name} has no failed items")
    return batch


def check_nothing_followed(record: SagaRecord, history: Sequence[Entry], batch: Batch) -> None:
    """Raise NotPossible if the code has done more with the batch than to publish events."""
    sent = next((one.type for one in record.steps if one.ordinal > batch.step and one.type), "")
    for given, recorded in history[_end_of(history, batch.step) :]:
        sent = sent or next((output.type for output in recorded.outputs if output.kind == "command"), "")
        if isinstance(given.messages[0], BatchEnded) and given.messages[0].step > batch.step:
            sent = sent or "another batch"
    waits = [timer.what or timer.kind for timer in record.timers if timer.kind in ("sleep", "receive", "step")]
    if sent or record.sent > batch.step or waits:
        raise NotPossible(
            f"{RERUN}: the code has gone on since the batch ended ({sent or ', '.join(waits) or 'it has sent more'}), "
            "and cannot go back: start a new instance with what failed"
        )


def as_if_it_waited(history: Sequence[Entry], step: int | None = None) -> list[tuple[Input, History, bool]]:
    """A history without the ends of batches that were run again: the code has waited for their last end.

    What it did in between is not compared (False). `step`: the batch that is about to be run again.
    """
    kept: list[Any] = [(given, recorded, True) for given, recorded in history]
    for place, (given, _) in enumerate(history):
        first = given.messages[0]
        if isinstance(first, OperatorActed) and first.action == RERUN:
            _leave_out(kept, history, place, step_of(first))
    if step is not None:
        _leave_out(kept, history, len(history), step)
    return [entry for entry in kept if entry is not None]


def _leave_out(kept: list[Any], history: Sequence[Entry], upto: int, step: int) -> None:
    begun = False
    for place in range(upto):
        first = history[place][0].messages[0]
        if isinstance(first, BatchEnded) and first.step == step:
            kept[place], begun = None, True
        elif begun and kept[place] is not None and not isinstance(first, OperatorActed):
            kept[place] = (*history[place], False)


def _end_of(history: Sequence[Entry], step: int) -> int:
    """Where the batch ended last: the place of the reaction that resumed the code."""
    ends = [
        place
        for place, (given, _) in enumerate(history)
        if isinstance(given.messages[0], BatchEnded) and given.messages[0].step == step
    ]
    return ends[-1] if ends else len(history)
