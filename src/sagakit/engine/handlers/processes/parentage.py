"""Which instance has started which, found in a store: for those who look at one of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence

from sagakit.core.commit import Envelope, History
from sagakit.core.lifecycle import ACTED
from sagakit.core.queries import InstanceQuery, Listed
from sagakit.ports import Store

FIRST_FEW = 20
"""Reactions among which the start is: before it come operators' actions alone, where the start has failed."""
PAGE = 100
MOST = 1_000
"""Instances of one story that are looked at: a batch may have started any number."""


def first_input(history: Iterable[History]) -> Envelope | None:
    """What an instance began with; None if it has not begun: its start has failed, whatever operators have tried."""
    return next((entry.inputs[0] for entry in history if entry.inputs[0].type != ACTED), None)


async def children_of(store: Store, history: Sequence[History]) -> dict[str, str]:
    """The ids of the instances that the commands of an instance have started, by the ids of the commands."""
    commands = {output.id: output for entry in history for output in entry.outputs if output.kind == "command"}
    found: dict[str, str] = {}
    for story in dict.fromkeys(command.correlation_id for command in commands.values()):
        async for listed in _of_story(store, story):
            began = first_input(await store.read_history(listed.row.id, limit=FIRST_FEW))
            if began is not None and began.id in commands:
                found[began.id] = listed.row.id
    return found


async def _of_story(store: Store, correlation_id: str) -> AsyncIterator[Listed]:
    last: int | None = None
    for _ in range(MOST // PAGE):
        page = await store.read_instances(InstanceQuery(correlation_id=correlation_id, after=last, limit=PAGE))
        for listed in page:
            yield listed
        if len(page) < PAGE:
            return
        last = page[-1].row.number


def parent_of(history: Iterable[History]) -> str | None:
    """The lane (process/instance id) of the instance whose command has started this one; None if none has."""
    began = first_input(history)
    return began.sender if began is not None and began.kind == "command" else None
