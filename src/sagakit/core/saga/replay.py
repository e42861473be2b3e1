"""Replay: bringing a saga's code back to where it stood, and finding out where it contradicts its record."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from sagakit.core.commit import Envelope, History, Status
from sagakit.core.process import Input, Output, Reacted, words_of
from sagakit.core.saga.compensation import SagaRecord
from sagakit.core.saga.rerun import as_if_it_waited
from sagakit.errors import Nondeterminism, ProcessBug

DEADLINE = ("deadline", "warning")


class Replayed(Protocol):
    """A saga that is replayed."""

    @property
    def status(self) -> Status: ...
    def react(self, given: Input) -> Reacted: ...


def replay(
    live: Replayed, history: Sequence[tuple[Input, History]], *, running: bool, rerun: int | None = None
) -> None:
    """Run the code through its history again. Raises Nondeterminism where it sends other types of messages.

    `running`: the code is known to go on after all of it; else it is followed to its end and no further. `rerun`: the
    step of a batch whose end is left out, since its failed items are to be sent again.
    """
    ordinal = 1
    for given, recorded, compared in as_if_it_waited(history, rerun):
        if live.status != "running":
            break
        try:
            sent = live.react(given).outputs
        except ProcessBug as bug:
            was = recorded.outputs[0].type if recorded.outputs else "no error"
            raise Nondeterminism(f"{_at(ordinal, given, recorded)}: {was} is recorded, the code fails: {bug}") from bug
        if compared:
            _compare(ordinal, given, recorded, sent)
        ordinal += len(sent)
    if running and live.status != "running":
        raise Nondeterminism(f"message {ordinal}: the saga is recorded as still running, the code has ended before it")


def check_record(replayed: SagaRecord, stored: SagaRecord, in_flight: Collection[str]) -> None:
    """Raise Nondeterminism where a replay has led to other steps than those that are stored."""
    now = {step.id: step for step in replayed.steps}
    for step in stored.steps:
        if step.state == "sent" and step.id not in in_flight:
            raise Nondeterminism(
                f"step {step.ordinal}: {step.type} is recorded as waited for, the code does not wait for it any more"
            )
        if step.id and step.id in now and now[step.id].ordinal != step.ordinal:
            raise Nondeterminism(
                f"step {step.ordinal}: {step.type} is recorded, as step {now[step.id].ordinal} it is found"
            )
    _check_timers(replayed, stored)
    if replayed.sent != stored.sent:
        raise Nondeterminism(
            f"step {min(replayed.sent, stored.sent) + 1}: {stored.sent} steps and undos of the saga are recorded, "
            f"the code now has {replayed.sent}"
        )


def _check_timers(replayed: SagaRecord, stored: SagaRecord) -> None:
    """The timers of a deadline are left out: the recorded deadline stands, whatever the code declares now."""
    now, was = ({one.id: one for one in of.timers if one.kind not in DEADLINE} for of in (replayed, stored))
    for id, timer in was.items():
        if id not in now:
            raise Nondeterminism(f"{words_of(timer)}: recorded as waited for, the code does not wait for it any more")
    for id, timer in now.items():
        if id not in was:
            raise Nondeterminism(f"{words_of(timer)}: the code now waits for it, it is not recorded")


def _compare(ordinal: int, given: Input, recorded: History, sent: Sequence[Output]) -> None:
    expected: Sequence[Envelope] = recorded.outputs
    if len(expected) == len(sent) and all(was.type == now.type for was, now in zip(expected, sent, strict=True)):
        return
    index = 0
    while index < len(expected) and index < len(sent) and expected[index].type == sent[index].type:
        index += 1
    was = expected[index].type if index < len(expected) else "nothing more"
    now = sent[index].type if index < len(sent) else "nothing more"
    raise Nondeterminism(f"{_at(ordinal + index, given, recorded)}: {was} is recorded, the code now sends {now}")


def _at(ordinal: int, given: Input, recorded: History) -> str:
    return f"message {ordinal} (reaction {recorded.version}, to {given.envelopes[0].type})"
