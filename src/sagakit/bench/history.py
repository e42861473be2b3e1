"""A long log: one finished order as the engine left it, copied under other ids in few large transactions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

from msgspec import Struct
from msgspec.structs import replace
from uuid_utils import uuid7

from sagakit.bench.load import send_order
from sagakit.bench.orders import ORDER, bench, new_order
from sagakit.core.commit import Commit, Envelope, History, Instance, InstanceWrite, Reaction, Search
from sagakit.core.streams import instance_id, lane_name
from sagakit.ports import Store

TOGETHER = 1_000
"""Orders in one transaction."""


class Finished(Struct, frozen=True):
    """All that an order leaves behind."""

    messages: list[Envelope]
    row: Instance
    search: Search
    reactions: list[History]


async def fill(store: Store, messages: int) -> AsyncIterator[int]:
    """Write finished orders until the log holds so many messages; tells after each transaction how many it holds."""
    model = await _finished_order()
    written = 0
    while written < messages:
        commit = Commit()
        for _ in range(min(TOGETHER, -(-(messages - written) // len(model.messages)))):
            _add(commit, model)
            written += len(model.messages)
        await store.commit([commit])
        yield written


async def _finished_order() -> Finished:
    async with bench.engine("memory://") as engine:
        sent = new_order(0)
        await send_order(engine, sent)
        store = engine.store
        id = instance_id(ORDER, sent.order_id)
        row, search = await store.read_instance(id), await store.read_search(id)
        assert row is not None
        assert search is not None
        messages = await store.read_story(search.correlation_id)
        return Finished(messages, row, search, await store.read_history(id))


def _add(commit: Commit, model: Finished) -> None:
    """A copy of the model under another key. Only the ids that an index holds are of the right make."""
    key, story = str(uuid4()), uuid7().hex
    old_key, new_key = model.row.key.encode(), key.encode()
    id = instance_id(model.row.type, key)
    lane = lane_name(model.row.type, id)
    ids = {one.id: uuid4().hex for one in model.messages} | {model.search.correlation_id: story}
    copies: dict[str, Envelope] = {}
    for one in model.messages:
        cause = None if one.causation_id is None else ids[one.causation_id]
        copies[one.id] = replace(
            one,
            id=ids[one.id],
            payload=one.payload.replace(old_key, new_key),
            correlation_id=story,
            causation_id=cause,
            sender=None if one.sender is None else lane,
            position=0,
        )
    row = replace(model.row, id=id, key=key, number=0)
    commit.messages.extend(copies.values())
    commit.instances.append(InstanceWrite(row, 0))
    commit.search.append(replace(model.search, instance=id, key=key, correlation_id=story))
    for one in model.reactions:
        inputs = tuple(copies[envelope.id] for envelope in one.inputs)
        outputs = tuple(copies[envelope.id] for envelope in one.outputs)
        commit.reactions.append(Reaction(row, one.version, inputs, outputs))
