"""Clients that wait: for what a command leads to, and for the end of a process, at whatever engine they reach."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from sagakit.core.commit import ENDED
from sagakit.errors import NotFound, OutcomeUnknown, Refused, WaitTimeout
from sagakit.ports import Receipt
from sagakit.testing.simulation.stage import Clients, Finding, Stage
from sagakit.testing.simulation.wanderers.messages import (
    Booked,
    NotBooked,
    NotPacked,
    NotPaid,
    NotStored,
    Packed,
    Paid,
    Stored,
    Taken,
)

OUTCOMES: Any = (Booked, NotBooked, Paid, NotPaid, Packed, NotPacked, Stored, NotStored, Taken)
TYPES = {f"wanderers.{one.__name__}" for one in OUTCOMES}
LONG = 60.0
"""Seconds of one wait: longer than the pauses in which one who waits looks by himself."""


@dataclass
class Told:
    """What those who waited were told."""

    ends: dict[tuple[str, str], list[str]] = field(default_factory=dict[tuple[str, str], list[str]])
    """The statuses that somebody was told as the end of an instance."""


def told_wrong(stage: Stage) -> Iterator[Finding]:
    """Who was told the end of an instance was told how it stands."""
    told: Any = stage.outside.get(Told, Told())
    for row in stage.data.instances.values():
        for status in told.ends.get((row.type, row.key), ()):
            if status in ENDED and status != row.status:
                yield Finding("wrong", 5, f"{row.type} {row.key} is {row.status}, and was told to be {status}")


async def wait_for_outcome(stage: Stage, clients: Clients, receipt: Receipt) -> None:
    """Until one is told; that what has long been there was not told is found."""
    for _ in range(3):
        before = len(stage.data.messages)
        try:
            await clients.ask(
                lambda engine: engine.wait(until=OUTCOMES, correlation_id=receipt.correlation_id, timeout=LONG)
            )
        except (Refused, OutcomeUnknown):
            return
        except WaitTimeout:
            led = [one for one in stage.data.messages[:before] if one.causation_id == receipt.message_id]
            if any(one.type in TYPES for one in led):
                stage.found.append(
                    Finding("lost", 1, f"{receipt.message_id} has an outcome, and who waits is not told")
                )
        else:
            return


async def wait_for_end(stage: Stage, clients: Clients, told: Told, chance: Random) -> None:
    """Until it is told: an end is the last word on an instance."""
    await asyncio.sleep(chance.uniform(1.0, 30.0))
    rows = list(stage.data.instances.values())
    if not rows:
        return
    row = chance.choice(rows)
    for _ in range(2):
        was = stage.data.instances[row.id].status
        try:
            update = await clients.ask(lambda engine: engine.wait(row.type, row.key, timeout=LONG))
        except (NotFound, Refused, OutcomeUnknown):
            return
        except WaitTimeout:
            if was in ENDED:
                stage.found.append(Finding("lost", 1, f"{row.type} {row.key} is {was}, and who waits is not told"))
        else:
            told.ends.setdefault((row.type, row.key), []).append(update.status)
            return
