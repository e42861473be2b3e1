"""`sagakit bench --batch N`: a table, and a file for programs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct
from rich.console import Console
from rich.table import Table

from sagakit.bench.batches.run import BatchRound, measure_batches, sizes_up_to
from sagakit.bench.grounds import ground
from sagakit.bench.machine import Machine, machine, versions
from sagakit.bench.told import write_json


class BatchFigures(Struct, frozen=True):
    """What was found, as it stands in the JSON file."""

    rounds: Sequence[BatchRound]
    machine: Machine
    versions: dict[str, str]


def measure_and_show(items: int, json_file: Path | None, db: str | None) -> None:
    """Measure batches up to this size, and print what one item costs."""
    figures = asyncio.run(_measure(items, db))
    if json_file is not None:
        write_json(figures, json_file)
    _show(figures)


async def _measure(items: int, db: str | None) -> BatchFigures:
    async with ground(db) as on:
        rounds = await measure_batches(on.url, sizes_up_to(items))
        return BatchFigures(rounds, machine(), versions(on))


def _show(figures: BatchFigures) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("BY")
    for heading in ("ITEMS", "/S", "CPU, US", "STATE, B", "REACTIONS", "MB", "RE-RUN", "IN S"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in figures.rounds:
        cells = (
            f"{one.items:,}",
            f"{one.items_per_s:,.0f}",
            f"{one.cpu_us_per_item:.0f}",
            f"{one.state_bytes:,}",
            f"{one.history}",
            f"{one.memory_mb:.0f}",
            f"{one.rerun:,}" if one.rerun else "",
            f"{one.rerun_s:.2f}" if one.rerun else "",
        )
        table.add_row(one.way, *cells)
    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    console.print(table)
    parts = ", ".join(f"{name} {version}" for name, version in figures.versions.items())
    on = figures.machine
    console.print(f"{on.cpu}, {on.cores} cores, {on.os}, {on.python}; {parts}", style="dim")
