"""Who runs on a database that several engines share, as it is shown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from msgspec import Struct

from sagakit.core.cluster.members import Lease, Unclaimed, Worker
from sagakit.ports import Cluster
from sagakit.server.showing.views import iso


class WorkerView(Struct, frozen=True):
    """A worker as it is shown."""

    id: str
    name: str
    host: str
    pid: int
    app: str
    version: str
    url: str | None
    """Where this one answers, and none of its fellows: its own health and metrics are there."""
    partitions: int
    """Partitions of which it owns at least one consumer."""
    consumers: int
    joined_at: str
    renewed_at: str
    state: str
    """alive; late: no sign of life within half of its lease; expired."""


class Workers(Struct):
    """All of them; none where one engine owns the database alone."""

    items: list[WorkerView]
    unclaimed: list[Unclaimed]
    """What waits for consumers that none of them has code for."""


async def workers_of(cluster: Cluster, now: int) -> list[WorkerView]:
    """Its workers, as they stand at a time (microseconds since 1970)."""
    return views_of(await cluster.workers(), await cluster.leases(), now)


def views_of(workers: Sequence[Worker], leases: Sequence[Lease], now: int) -> list[WorkerView]:
    """Workers with what they own, as they stand at a time."""
    owned: defaultdict[str, set[int]] = defaultdict(set)
    for lease in leases:
        if lease.worker is not None:
            owned[lease.worker].add(lease.partition)
    return [
        WorkerView(
            one.id,
            one.name,
            one.host,
            one.pid,
            one.app,
            one.versions,
            one.url,
            len(owned[one.id]),
            len(one.declares),
            iso(one.joined_at),
            iso(one.renewed_at),
            _state(one, now),
        )
        for one in workers
    ]


def _state(worker: Worker, now: int) -> str:
    if now >= worker.expires_at:
        return "expired"
    return "late" if now - worker.renewed_at > worker.lasts / 2 else "alive"
