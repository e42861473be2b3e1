"""What is told: how far it is, a table, and a file for programs."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from sagakit.bench.figures import Figures


@contextmanager
def progress(what: str, total: int | None = None) -> Generator[Callable[[int], None]]:
    """Show on stderr what is being done; call the function with how much of it is."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        console.print(f"{what} ...")
        yield lambda done: None
        return
    counted = (BarColumn(), MofNCompleteColumn()) if total else ()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), *counted, TimeElapsedColumn())
    # drawn only when told to: a thread that draws would take its share of what is measured
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as shown:
        task = shown.add_task(what, total=total)
        shown.refresh()

        def tell(done: int) -> None:
            shown.update(task, completed=min(done, total or done), refresh=True)

        yield tell


def write_json(figures: object, file: Path) -> None:
    """The figures as JSON."""
    file.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=2) + b"\n")


def show(figures: Figures) -> None:
    """The figures as a table on stdout."""
    sizes, machine = figures.sizes, figures.machine
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim")
    for row in _rows(figures):
        table.add_row(*row)
    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    history = f", {sizes.history:,} messages in the log before" if sizes.history else ""
    console.print(f"{figures.rounds} x {sizes.sagas:,} sagas, {sizes.concurrency} in flight{history}", style="bold")
    console.print(table)
    parts = ", ".join(f"{name} {version}" for name, version in figures.versions.items())
    console.print(f"{machine.cpu}, {machine.cores} cores, {machine.os}, {machine.python}; {parts}", style="dim")


def _rows(figures: Figures) -> Iterator[tuple[str, str, str]]:
    small, large = figures.sizes.batches
    yield "engine", f"{figures.sagas_per_s:,.0f}", "sagas/s: 4 steps, every tenth undone"
    yield "floor", f"{figures.floor_sagas_per_s:,.0f}", "sagas/s: their rows alone, without an engine"
    yield "ratio", f"{figures.ratio:.3f}", "engine to floor"
    yield "CPU", f"{figures.cpu_ms_per_saga:.3f}", "ms per saga"
    yield "alone, p50", f"{figures.latency_p50_ms:.2f}", "ms from the send to the committed end"
    yield "alone, p99", f"{figures.latency_p99_ms:.2f}", f"ms ({figures.alone:,} sagas one at a time)"
    yield (
        "batch",
        f"{figures.batch_items_per_s:,.0f}",
        f"items/s, {large:,} aggregates, 50 in flight",
    )
    yield "batch, CPU", f"{figures.batch_cpu_us_per_item:.0f}", "us per item"
    yield (
        "batch, growth",
        f"{figures.batch_growth:.2f}",
        f"cost of an item to that in a batch of {small:,}",
    )
    yield "asleep, CPU", f"{figures.idle_cpu_percent:.2f}", f"% of a core, {figures.sizes.asleep:,} sagas asleep"
    yield "asleep, memory", f"{figures.idle_memory_mb:.1f}", "MB of the whole process"
    yield "asleep, start", f"{figures.asleep_start_ms:.1f}", "ms until an engine is there, while they are asleep"
    yield "timers, late", f"{figures.timer_late_ms:.2f}", "ms at worst, idle"
