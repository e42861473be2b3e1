"""`sagakit workers list`: who lives on a database that several engines share."""

from __future__ import annotations

import asyncio
import time

import typer

from sagakit.cli.database import named, reading
from sagakit.cli.failures import Failure
from sagakit.cli.options import AsJson, Database
from sagakit.cli.terminal import show, show_json, table, text
from sagakit.server.showing.unclaimed import words
from sagakit.server.showing.workers import Workers, workers_of

app = typer.Typer(name="workers", help="Who runs on a database that several engines share.", no_args_is_help=True)


@app.command("list")
def list_workers(db: Database = "", as_json: AsJson = False) -> None:
    """List the workers of a database.

    A worker is an engine on a database that several share. PARTITIONS says how many of the 256 are its own.
    What waits for code that no living worker has is named below.
    """
    workers = asyncio.run(_read(named(db)))
    if as_json:
        show_json(workers)
        return
    rows = table("NAME", "HOST", "PID", "APP", "VERSION", "PARTITIONS", "LAST SIGN OF LIFE", "AT", "STATE")
    for one in workers.items:
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
    for one in workers.unclaimed:
        show(text(words(one), "bold red"))


async def _read(db: str) -> Workers:
    async with reading(db) as store:
        if store.cluster is None:
            raise Failure(f"{db}: one engine owns it alone; several workers share a database on PostgreSQL")
        items = await workers_of(store.cluster, time.time_ns() // 1000)
        return Workers(items, await store.cluster.read_unclaimed())
