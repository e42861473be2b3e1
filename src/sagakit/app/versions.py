"""Versions of processes side by side: which are in use, and whether the code of today can go on with what runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from msgspec import Struct

from sagakit.core.commit import Delivery, Instance
from sagakit.core.queries import InstanceQuery, Listed
from sagakit.engine.handlers.processes.instances import Instances
from sagakit.engine.handlers.reading import Reader
from sagakit.engine.time.clock import SystemClock
from sagakit.engine.topology import ProcessConsumer, Topology
from sagakit.errors import TerminalError
from sagakit.ports import Store

PAGE = 1_000


class VersionInUse(Struct):
    """One version of a process, declared or in use."""

    process: str
    version: int
    declared: bool
    current: bool
    """New instances start on it."""
    live: int = 0
    """How many instances run on it, or wait for a person."""
    oldest: str | None = None
    """The id of the one that started first."""
    oldest_started_at: int | None = None

    @property
    def can_go(self) -> bool:
        """Whether its declaration can be removed."""
        return self.declared and not self.current and not self.live


class Trouble(Struct, frozen=True):
    """An instance that could not go on with this code, or a message that nobody would take."""

    id: str
    """The instance's, or the message's."""
    subject: str
    """The process, or the message type."""
    key: str | None
    version: int
    why: str


async def versions_in_use(topology: Topology, store: Store) -> list[VersionInUse]:
    """Every version that is declared or that an instance still runs on, by process, oldest first."""
    found: dict[tuple[str, int], VersionInUse] = {}
    for process in _processes(topology):
        for version in process.definitions:
            current = version == process.current.version
            found[process.name, version] = VersionInUse(process.name, version, True, current)
    async for page in _live(store):
        for listed in page:
            row = listed.row
            known = found.setdefault((row.type, row.definition), VersionInUse(row.type, row.definition, False, False))
            known.live += 1
            if known.oldest is None:  # read oldest first
                known.oldest, known.oldest_started_at = row.id, listed.search.started_at
    return [found[name] for name in sorted(found)]


class Verification:
    """Brings every live instance back with this code, as an engine would, and writes nothing."""

    def __init__(self, topology: Topology, store: Store) -> None:
        self._topology = topology
        self._store = store
        self._instances = Instances(topology, store, Reader(SystemClock()))
        self.instances = 0
        """How many were looked at."""
        self.messages = 0
        """How many outstanding messages were looked at."""

    async def troubles(self) -> AsyncIterator[Trouble]:
        """What could not go on."""
        async for page in _live(self._store):
            for listed in page:
                self.instances += 1
                why = await self._why_not(listed.row)
                if why is not None:
                    row = listed.row
                    yield Trouble(row.id, row.type, row.key, row.definition, why)
        async for delivery in self._outstanding():
            self.messages += 1
            why = self._unclaimed(delivery)
            if why is not None:
                envelope = delivery.envelope
                yield Trouble(envelope.id, envelope.type, None, envelope.version, why)

    async def _why_not(self, row: Instance) -> str | None:
        process = self._topology.consumers.get(row.type)
        if not isinstance(process, ProcessConsumer):
            return f"this app has no process {row.type}"
        try:
            slot = await self._instances.load(process, row.id)
        except TerminalError as error:
            return str(error)
        if slot is None:  # it has gone while we looked
            return None
        contradiction = slot.live.contradiction
        slot.live.evict()
        return contradiction

    def _unclaimed(self, delivery: Delivery) -> str | None:
        by_name = self._topology.codecs.by_name
        for envelope in (delivery.envelope, *delivery.more):
            codec = by_name.get(envelope.type)
            if codec is None:
                return f"no class of this app is {envelope.type}"
            if envelope.version > codec.version:
                return f"{envelope.type} is known up to version {codec.version}"
        if delivery.consumer not in self._topology.consumers and not delivery.consumer.startswith("sagakit."):
            return f"this app has no {delivery.consumer}"
        return None

    async def _outstanding(self) -> AsyncIterator[Delivery]:
        after = 0
        while page := await self._store.read_deliveries(after=after, limit=PAGE):
            for delivery in page:
                yield delivery
            after = page[-1].id
        due = (0, 0)
        while page := await self._store.read_scheduled(after=due, limit=PAGE):
            for delivery in page:
                yield delivery
            due = (page[-1].due_at, page[-1].id)


def _processes(topology: Topology) -> Sequence[ProcessConsumer]:
    return [one for one in topology.consumers.values() if isinstance(one, ProcessConsumer)]


async def _live(store: Store) -> AsyncIterator[list[Listed]]:
    after: int | None = None
    while page := await store.read_instances(InstanceQuery(status="live", order="oldest", limit=PAGE, after=after)):
        yield page
        after = page[-1].row.number
