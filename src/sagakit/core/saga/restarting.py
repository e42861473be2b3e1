"""A saga that goes on anew: what its new run takes over, and how long a run may be."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from sagakit.core.commit import History
from sagakit.core.lifecycle import CarriedOver, Restarted
from sagakit.core.process import Input, Log, Surroundings
from sagakit.core.saga.compensation import Compensation, SagaRecord
from sagakit.core.saga.coroutine.waits import Arrivals
from sagakit.core.saga.writing import Writing
from sagakit.errors import ProcessBug, TerminalError

ADVISED = 1_000
"""Recorded reactions of one run: a replay begins to be felt."""
REQUIRED = 10_000
"""So many, and the code has to go on anew."""


class _Since(Struct):
    """The one field of the record that says what to read of the history."""

    since: int = 0


decode_since = msgspec.json.Decoder(_Since).decode
_encode = msgspec.json.Encoder().encode


class Anew:
    """Takes one run of a saga into the next."""

    def __init__(self, around: Surroundings, writing: Writing, stack: Compensation, arrivals: Arrivals) -> None:
        self._codecs = around.codecs
        self._writing, self._stack, self._arrivals = writing, stack, arrivals

    def leave(self, start: Any, starts_with: Collection[type], version: int, started_by: str) -> None:
        """End a run. What the next one takes over is told to the saga itself: that begins in its next reaction."""
        call = f"restart_with({type(start).__name__}(...))"
        if starts_with and start.__class__ not in starts_with:
            raise ProcessBug(f"{call}: that is no message that starts this saga")
        record = self._stack.record
        record.since, record.unrecorded, record.restarts = version, 0, record.restarts + 1
        record.receiving = []
        self._stack.undoers.clear()
        self._stack.restore(record)
        self._writing.anew(record.restarts)
        try:
            carried = [self._carried(message) for message in (start, *self._arrivals.hand_over())]
            self._writing.event(Restarted(carried[0], carried[1:], msgspec.Raw(_encode(record)), started_by))
        except (TerminalError, TypeError) as error:
            raise ProcessBug(f"{call}: {error}") from error

    def take_over(self, told: Restarted) -> Any:
        """Begin a run; the message that it starts with."""
        self._writing.anew(self._stack.record.restarts)
        self._arrivals.take_over([self._read(one) for one in told.arrived])
        return self._read(told.start)

    def _carried(self, message: Any) -> CarriedOver:
        codec, payload, _ = self._codecs.seal(message)
        return CarriedOver(codec.name, codec.version, msgspec.Raw(payload))

    def _read(self, carried: CarriedOver) -> Any:
        return self._codecs.decode(carried.type, carried.version, bytes(carried.payload))


def check_length(version: int, record: SagaRecord, log: Log) -> None:
    """Tell of a long history, and refuse to make one longer that is too long."""
    length = version - record.since - record.unrecorded
    if length == ADVISED:
        log.warning("a saga has a long history: let it go on with restart_with", reactions=length)
    if length > REQUIRED:
        raise ProcessBug(
            f"{REQUIRED} reactions are recorded, and each has to be replayed: let the code go on with "
            "saga.restart_with(...), which carries over what is still needed"
        )


def beginning_of(run: Iterable[tuple[Input, History]]) -> Restarted | None:
    """What a run was told that began anew."""
    firsts = (given.messages[0] for given, _ in run)
    return next((first for first in firsts if isinstance(first, Restarted)), None)


def of_this_run(
    history: Sequence[tuple[Input, History]], record: SagaRecord
) -> tuple[Sequence[tuple[Input, History]], Restarted | None]:
    """The reactions since the saga went on anew, and what that was told; None if it did not, or has not been told."""
    run = [entry for entry in history if entry[1].version > record.since] if record.since else history
    return run, beginning_of(run) if record.since else None
