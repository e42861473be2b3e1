"""A copy of the database while its engine runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sagakit.errors import StoreUnusable
from sagakit.stores.sqlite.connection import Connection, connect, connect_reading, explained
from sagakit.stores.sqlite.schema import check_readable

PAGES = 4_096
"""Pages copied between two calls of `progress`."""


def backup(source: str | Path, to: str | Path, progress: Callable[[int, int], None] | None = None) -> None:
    """Copy everything that is committed now to a new file; `progress` is told pages done and pages in all."""
    source, to = Path(source), Path(to)
    if to.exists():
        raise StoreUnusable(f"{to} exists already: give a new file, or move that one away")
    with explained(source):
        reading = connect_reading(source)
        try:
            check_readable(reading, source)
            _copy(reading, to, progress)
        finally:
            reading.close()


def _copy(reading: Connection, to: Path, progress: Callable[[int, int], None] | None) -> None:
    partial = to.with_name(f"{to.name}.partial")
    partial.unlink(missing_ok=True)
    with explained(to):
        try:
            copying = connect(partial)
            try:
                # One snapshot for the whole copy: what the engine writes meanwhile does not make it start again.
                with reading, copying.backup("main", reading, "main") as copy:
                    reading.execute("SELECT schema_version FROM store").fetchall()
                    while not copy.done:
                        copy.step(PAGES)
                        if progress is not None:
                            progress(copy.page_count - copy.remaining, copy.page_count)
                copying.execute("UPDATE store SET owner_pid = NULL, owner_url = NULL")
            finally:
                copying.close()
            partial.rename(to)
        finally:
            partial.unlink(missing_ok=True)
