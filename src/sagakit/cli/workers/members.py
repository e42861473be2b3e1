"""`sagakit workers list`: who lives on a database that several engines share."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict

import typer
from msgspec import Struct

from sagakit.cli.database import named, reading
from sagakit.cli.failures import Failure
from sagakit.cli.options import AsJson, Database
from sagakit.cli.terminal import show, show_json, table, text
from sagakit.core.cluster.members import Lease, Worker
from sagakit.server.showing.views import iso

app = typer.Typer(name="workers", help="Who runs on a database that several engines share.", no_args_is_help=True)


class WorkerView(Struct, frozen=True):
    """A worker as it is shown."""

    id: str
    name: str
    host: str
    pid: int
    app: str
    version: str
    url: str | None
    partitions: int
    """Partitions of which it owns at least one consumer."""
    consumers: int
    joined_at: str
    renewed_at: str
    state: str
    """alive; late: no sign of life within half of its lease; expired."""


@app.command("list")
def list_workers(db: Database = "", as_json: AsJson = False) -> None:
    """List the workers of a database.

    A worker is an engine on a database that several share. PARTITIONS says how many of the 256 are its own.
    """
    views = asyncio.run(_read(named(db)))
    if as_json:
        show_json(views)
        return
    rows = table("NAME", "HOST", "PID", "APP", "VERSION", "PARTITIONS", "LAST SIGN OF LIFE", "STATE")
    for one in views:
        style = "green" if one.state == "alive" else "bold red"
        rows.add_row(
            *map(
                text,
                (one.name or one.id, one.host, str(one.pid), one.app, one.version, str(one.partitions), one.renewed_at),
            ),
            text(one.state, style),
        )
    show(rows)


async def _read(db: str) -> list[WorkerView]:
    async with reading(db) as store:
        if store.cluster is None:
            raise Failure(f"{db}: one engine owns it alone; several workers share a database on PostgreSQL")
        return views_of(await store.cluster.workers(), await store.cluster.leases(), time.time_ns() // 1000)


def views_of(workers: list[Worker], leases: list[Lease], now: int) -> list[WorkerView]:
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
