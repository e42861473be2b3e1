"""`sagakit workers list`: who lives on a database that several engines share."""

from __future__ import annotations

import asyncio
import time

import typer

from sagakit.cli.database import named, reading
from sagakit.cli.failures import Failure
from sagakit.cli.options import AsJson, Database
from sagakit.cli.terminal import show, show_json, table, text
from sagakit.core.cluster.members import Unclaimed
from sagakit.server.showing.workers import WorkerView, workers_of

app = typer.Typer(name="workers", help="Who runs on a database that several engines share.", no_args_is_help=True)


@app.command("list")
def list_workers(db: Database = "", as_json: AsJson = False) -> None:
    """List the workers of a database.

    A worker is an engine on a database that several share. PARTITIONS says how many of the 256 are its own.
    What waits for code that no living worker has is named below.
    """
    views, unclaimed = asyncio.run(_read(named(db)))
    if as_json:
        show_json(views)
        return
    rows = table("NAME", "HOST", "PID", "APP", "VERSION", "PARTITIONS", "LAST SIGN OF LIFE", "AT", "STATE")
    for one in views:
        style = "green" if one.state == "alive" else "bold red"
        rows.add_row(
            *map(
                text,
                (one.name or one.id, one.host, str(one.pid), one.app, one.version, str(one.partitions), one.renewed_at),
            ),
            text(one.url or "none"),
            text(one.state, style),
        )
    show(rows)
    for one in unclaimed:
        waits = "1 delivery waits" if one.deliveries == 1 else f"{one.deliveries} deliveries wait"
        show(text(f"{waits} for {one.consumer}, which no living worker has code for", "bold red"))


async def _read(db: str) -> tuple[list[WorkerView], list[Unclaimed]]:
    async with reading(db) as store:
        if store.cluster is None:
            raise Failure(f"{db}: one engine owns it alone; several workers share a database on PostgreSQL")
        return await workers_of(store.cluster, time.time_ns() // 1000), await store.cluster.read_unclaimed()
