"""Which instance has started which, found in a store: for those who look at one of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence

from sagakit.core.commit import Envelope, History
from sagakit.core.queries import InstanceQuery, Listed
from sagakit.ports import Store

PAGE = 100
MOST = 1_000
"""Instances of one story that are looked at: a batch may have started any number."""


async def children_of(store: Store, history: Sequence[History]) -> dict[str, str]:
    """The ids of the instances that the commands of an instance have started, by the ids of the commands."""
    commands = {output.id: output for entry in history for output in entry.outputs if output.kind == "command"}
    found: dict[str, str] = {}
    for story in dict.fromkeys(command.correlation_id for command in commands.values()):
        async for listed in _of_story(store, story):
            began = await store.read_history(listed.row.id, limit=1)
            if began and began[0].inputs[0].id in commands:
                found[began[0].inputs[0].id] = listed.row.id
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
    began: Envelope | None = next((entry.inputs[0] for entry in history), None)
    return began.sender if began is not None and began.kind == "command" else None
