"""The saga log: every transition of an instance, as its history tells it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
from msgspec import Struct

from sagakit.core.commit import ENDED, Envelope, History
from sagakit.core.lifecycle import CommandFailed, CommandLedToNothing
from sagakit.core.messages import WIRE
from sagakit.core.queries import Listed
from sagakit.server.showing.views import iso, trace_of

_FAILED = frozenset(getattr(cls, WIRE)[0] for cls in (CommandFailed, CommandLedToNothing))
_STANDS = {"parked": "PARKED", "compensation_failed": "COMPENSATION_FAILED"}


class _Reasoned(Struct):
    reason: str = ""


class Transition(Struct):
    """One line of the saga log."""

    saga_id: str
    status: str
    """STARTED, STEP_DONE, STEP_FAILED, COMPENSATING, COMPLETED, COMPENSATED, COMPENSATION_FAILED, PARKED or ABANDONED.
    """
    step: str | None
    """The command whose outcome led to it."""
    error: str | None
    trace_id: str | None
    span_id: str | None
    """The span that the outcome comes from."""
    at: str


def transitions(listed: Listed, history: Sequence[History]) -> list[Transition]:
    """All transitions so far, in order."""
    told = _Telling(listed)
    return [one for reaction in history for one in told.of(reaction, last=reaction is history[-1])]


class _Telling:
    """Goes through a history once."""

    def __init__(self, listed: Listed) -> None:
        self._listed = listed
        self._sent: dict[str, Envelope] = {}
        self._undoing = False

    def of(self, reaction: History, *, last: bool) -> Iterator[Transition]:
        """The transitions of one reaction."""
        first, status = reaction.inputs[0], self._listed.row.status
        answered = self._sent.get(first.causation_id or "") if first.sender is None else None
        self._sent |= {output.id: output for output in reaction.outputs if output.kind == "command"}
        before = self._undoing
        self._undoing |= any(output.undoes is not None for output in reaction.outputs)
        self._undoing |= last and status == "compensated"
        error = _reason(first) if answered is not None or self._undoing != before else None
        step = None if answered is None else answered.type
        if not self._sent or reaction.version == 1:
            yield self._line(first, "STARTED", None, None)
        elif answered is not None or self._undoing != before:
            failed = first.type in _FAILED
            state = "COMPENSATING" if self._undoing else "STEP_FAILED" if failed else "STEP_DONE"
            yield self._line(first, state, step, error)
        if last and (status in ENDED or status in _STANDS):
            why = self._listed.search.reason or None
            yield self._line(first, _STANDS.get(status, status.upper()), None, why)

    def _line(self, given: Envelope, status: str, step: str | None, error: str | None) -> Transition:
        trace, span = trace_of(given)
        return Transition(self._listed.row.id, status, step, error, trace, span, iso(given.recorded_at))


def _reason(given: Envelope) -> str | None:
    try:
        return msgspec.json.decode(given.payload, type=_Reasoned).reason or None
    except msgspec.MsgspecError:
        return None
