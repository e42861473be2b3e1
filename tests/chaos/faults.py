"""Faults that break a promise on purpose: the auditor must find each."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from sagakit.core.saga.compensation import Compensation
from sagakit.engine.handlers.context import Context
from sagakit.engine.inbox import Door, Receipt
from sagakit.testing.simulation.broken.inside import each_attempt_has_a_key_of_its_own
from sagakit.testing.simulation.broken.running import the_first_step_is_undone_first

EVERY = 5


def plant(name: str | None) -> None:
    """Break what this process runs."""
    if name:
        FAULTS[name]()


def lost() -> None:
    """Acknowledge before it is written: every fifth never is."""
    record: Callable[..., Any] = Door._record
    count = itertools.count(1)

    async def forgetful(self: Door, envelope: Any, inbox: Any, due: Any) -> Receipt:
        if next(count) % EVERY == 0:
            return Receipt(envelope.id, envelope.correlation_id)
        receipt: Receipt = await record(self, envelope, inbox, due)
        return receipt

    Door._record = forgetful  # type: ignore[method-assign]


def doubled() -> None:
    """Another key at each attempt."""
    _break(Context, "__init__", each_attempt_has_a_key_of_its_own)


def disordered() -> None:
    """Undo in the order of the steps, not in the reverse."""
    _break(Compensation, "undo_next", the_first_step_is_undone_first)


def _break(owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    setattr(owner, name, make(getattr(owner, name)))


FAULTS = {"lost": lost, "doubled": doubled, "disordered": disordered}
