"""Process instances in memory, and how they are brought back from the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sagakit.core.commit import Envelope, History, Instance, Item, Search
from sagakit.core.process import Input, Live
from sagakit.core.queries import ItemQuery
from sagakit.core.saga.code_saga import SagaDefinition
from sagakit.engine.handlers.processes.parentage import first_input
from sagakit.engine.handlers.reading import Reader
from sagakit.engine.topology import ProcessConsumer, Topology
from sagakit.errors import NotPossible, ProcessBug
from sagakit.ports import Store

HISTORY_PAGE = 1_000
NOT_DECLARED = "is no longer declared"
"""Why an instance parks whose version the code has not: by this it is known again once the code has it."""


class Slot:
    """An instance in memory: its row as committed or in the draft that holds its lane, and the live code."""

    __slots__ = ("attributes", "began", "consumer", "live", "looked", "row", "search", "sending")

    def __init__(self, consumer: ProcessConsumer, row: Instance, live: Live) -> None:
        self.consumer = consumer
        self.row = row
        self.live = live
        self.search: Search | None = None
        self.attributes = b""
        """What it is searched by after its last reaction; empty: as `search` has it."""
        self.began: Envelope | None = None
        """The message of its first reaction, once that is known; only of a process that a command may start."""
        self.looked = False
        """The store was asked for that message."""
        self.sending = False
        """What its last reaction sends is being routed: nothing reacts inline before that is done."""

    @property
    def answers(self) -> bool:
        """Whether a command may have started it. Of one whose process is not declared any more, nobody knows."""
        return bool(getattr(self.consumer, "answers", True))


class Instances:
    """Brings instances back."""

    def __init__(self, topology: Topology, store: Store, read: Reader) -> None:
        self._codecs = topology.codecs
        self._store = store
        self._read = read

    async def load(self, process: ProcessConsumer, id: str) -> Slot | None:
        """An instance as committed; None if there is none."""
        row = await self._read(self._store.read_instance, id)
        if row is None:
            return None
        definition = process.definitions.get(row.definition)
        if definition is None:
            raise ProcessBug(f"{process.name} version {row.definition} {NOT_DECLARED}, but this instance runs on it")
        since = definition.since(row) if definition.replays else 0
        history = await self._history(id, since) if definition.replays else []
        slot = Slot(process, row, definition.revive(row, history))
        if process.answers and history and not since:
            slot.began = first_input(entry for _, entry in history)
        slot.search = await self._read(self._store.read_search, id)
        return slot

    async def reopen(self, slot: Slot, step: int) -> None:
        """Bring an instance back to where it waited for a batch. NotPossible if it has gone on since."""
        definition = slot.consumer.definitions.get(slot.row.definition)
        if not isinstance(definition, SagaDefinition):
            raise NotPossible("only a saga has batches")
        row = slot.row
        live = definition.reopen(row, await self._history(row.id, definition.since(row)), step)
        slot.live.evict()
        slot.live = live

    async def items(self, id: str, wanted: Sequence[ItemQuery]) -> list[Item]:
        """The rows of batches that an instance wants."""
        found: list[Item] = []
        for query in wanted:
            found += await self._read(
                self._store.read_items,
                id,
                query.step,
                states=query.states,
                after=query.after,
                before=query.before,
                limit=query.limit,
            )
        return found

    def message(self, envelope: Envelope) -> Any:
        """The message of an envelope, decoded if it came from the store."""
        if envelope.message is None:
            envelope.message = self._codecs.decode(envelope.type, envelope.version, envelope.payload)
        return envelope.message

    async def _history(self, id: str, after: int) -> list[tuple[Input, History]]:
        """Also of an instance that has ended: a late outcome is undone by what its code knew."""
        history: list[tuple[Input, History]] = []
        while page := await self._read(self._store.read_history, id, after=after, limit=HISTORY_PAGE):
            for entry in page:
                messages = tuple(self.message(envelope) for envelope in entry.inputs)
                history.append((Input(entry.inputs, messages), entry))
            after = page[-1].version
            if len(page) < HISTORY_PAGE:
                break
        return history
