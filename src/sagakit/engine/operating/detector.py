"""Which instances do not move: they wait for a person, are past a time of theirs, or have been still for too long."""

from __future__ import annotations

from msgspec import Struct

from sagakit.core.commit import Instance
from sagakit.core.display import display, record_of
from sagakit.core.process import PendingTimer, words_of
from sagakit.core.queries import InstanceQuery, Listed
from sagakit.core.saga.compensation import SagaRecord
from sagakit.engine.operating.mending import time_of
from sagakit.engine.topology import ProcessConsumer, Topology
from sagakit.ports import Store

PAGE = 500
HOUR = 3_600_000_000
GRACE = 5_000_000
"""Microseconds by which a time may be passed before that is worth a look: an engine fires within one second."""


class Stuck(Struct, frozen=True):
    """An instance that does not move. `number` asks for those after it."""

    id: str
    type: str
    key: str
    status: str
    since: int
    why: str
    waiting_for: list[str]
    number: int


class Detector:
    """Looks through the live instances, the oldest first."""

    def __init__(self, store: Store, topology: Topology | None, now: int) -> None:
        self._store = store
        self._topology = topology
        self._now = now

    async def find(self, *, limit: int = 50, after: int | None = None) -> list[Stuck]:
        """At most so many of those that do not move."""
        found: list[Stuck] = []
        while len(found) < limit:
            query = InstanceQuery(status="live", order="oldest", limit=PAGE, after=after)
            page = await self._store.read_instances(query)
            for listed in page:
                stuck = await self._look(listed)
                if stuck is not None:
                    found.append(stuck)
            if len(page) < PAGE:
                break
            after = page[-1].row.number
        return found[:limit]

    async def _look(self, listed: Listed) -> Stuck | None:
        row, search = listed.row, listed.search
        if row.status in ("parked", "compensation_failed"):
            return _stuck(row, search.updated_at, f"{row.status}: {search.reason}")
        timers = [one for one in _timers(row) if one.kind != "warning"]
        if timers:
            first = min(timers, key=lambda one: one.due_at)
            if first.due_at + GRACE > self._now:
                return None
            return _stuck(row, first.due_at, f"past its {words_of(first)}, which was over at {time_of(first.due_at)}")
        age = self._age_of(row)
        if search.started_at + age > self._now:
            return None
        moved = await self._last_moved(row) or search.updated_at
        if moved + age > self._now:
            return None
        return _stuck(row, moved, f"has not moved for {(self._now - moved) // 1_000_000} s")

    def _age_of(self, row: Instance) -> int:
        consumer = self._topology.consumers.get(row.type) if self._topology else None
        return consumer.stuck_after if isinstance(consumer, ProcessConsumer) else HOUR

    async def _last_moved(self, row: Instance) -> int | None:
        page = await self._store.read_history(row.id, after=row.version - 1, limit=1)
        return page[0].inputs[0].recorded_at if page else None


def _timers(row: Instance) -> list[PendingTimer]:
    record = record_of(row)
    return record.timers if isinstance(record, SagaRecord) else record.reminders


def _stuck(row: Instance, since: int, why: str) -> Stuck:
    return Stuck(row.id, row.type, row.key, row.status, since, why, display(row).waiting_for, row.number)
