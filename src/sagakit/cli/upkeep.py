"""`sagakit migrate`, `sagakit backup` and `sagakit copy`."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from sagakit.cli.database import named, named_or_demo
from sagakit.cli.failures import Failure
from sagakit.cli.options import AsJson, Database, ReadDatabase
from sagakit.cli.terminal import bytes_in_words, counted, notes, show, show_json, table, text

if TYPE_CHECKING:
    from sagakit.stores.copying.copying import Copied
    from sagakit.stores.sqlite import SqliteStore


def migrate(db: Database = "") -> None:
    """Bring a database to this version's schema.

    An engine does so by itself when it starts. No engine may run on a file meanwhile. On PostgreSQL engines may, and
    a schema that is not there is created.
    """
    from sagakit.app.migrating import migrate_store
    from sagakit.app.stores import place_of

    before, after = asyncio.run(migrate_store(named(db)))
    place = place_of(db)
    show(text(f"{place}: schema {after}, up to date" if before == after else f"{place}: schema {before} -> {after}"))


def backup(
    to: Annotated[str, typer.Argument(metavar="FILE", help="The copy; nothing may be there yet.")],
    db: ReadDatabase = "",
) -> None:
    """Copy a database to a file, also while its engine runs.

    The copy holds what was committed at one moment. It is a database as any other: give it to --db.
    """
    from sagakit.stores.sqlite.backup import backup as back_up

    source = _sqlite(named_or_demo(db)).path
    copy = _sqlite(to).path
    with _progress("copying") as progress:
        task = progress.add_task("", total=None)
        back_up(source, copy, lambda done, pages: progress.update(task, completed=done, total=pages))
    show(text(f"{copy}: {bytes_in_words(copy.stat().st_size)} copied from {source}"))


def copy(
    source: Annotated[str, typer.Argument(metavar="FROM", help="A file or URL; no engine may run on it.")],
    target: Annotated[
        str, typer.Argument(metavar="TO", help="A new file, or the URL of an empty schema on PostgreSQL.")
    ],
    as_json: AsJson = False,
) -> None:
    """Move a database to another kind, such as SQLite to PostgreSQL.

    All of it or nothing: each table is read back from the copy, and its count and digest compared.
    """
    began = time.monotonic()
    copied = asyncio.run(_copy(source, target))
    took = time.monotonic() - began
    if as_json:
        tables = [one._asdict() for one in copied]
        show_json({"tables": tables, "rows": sum(one.rows for one in copied), "seconds": round(took, 3)})
        return
    rows = table("table", "rows", "digest")
    for one in copied:
        rows.add_row(text(one.table), text(f"{one.rows:,}"), text(one.digest))
    show(rows)
    number = counted(sum(one.rows for one in copied), "row")
    show(text(f"{number} in {took:.1f} s, the same on both sides"))


async def _copy(source: str, target: str) -> list[Copied]:
    from sagakit.app.copying import copy_store

    with _progress("{task.description}") as progress:
        tasks: dict[str, TaskID] = {}

        def tell(name: str, done: int, rows: int) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=rows)
            progress.update(tasks[name], completed=done)

        return await copy_store(source, target, tell)


def _progress(doing: str) -> Progress:
    """A bar on the terminal while it lasts, and nothing anywhere else."""
    console = notes()
    columns = (TextColumn(doing), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _sqlite(db: str) -> SqliteStore:
    from sagakit.app.stores import open_store, place_of
    from sagakit.stores.sqlite import SqliteStore

    store = open_store(db)
    if not isinstance(store, SqliteStore):
        raise Failure(f"{place_of(db)} is no SQLite file: its own tools look after it")
    return store
