"""The copy of a store: all of it or nothing, and nobody works on either side meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

from sagakit.errors import TerminalError
from sagakit.stores.copying.tables import TABLES, Row, Standing, Table
from sagakit.stores.copying.tally import Tally


class CopyDiffers(TerminalError):
    """What was written is not what was read; nothing of it was kept."""


class Source(Protocol):
    """A store that is copied: no engine may run on it meanwhile."""

    async def standing(self) -> Standing:
        """What it says of itself."""
        ...

    async def count(self, table: Table) -> int:
        """How many rows a table has."""
        ...

    def read(self, table: Table) -> AsyncIterator[list[Row]]:
        """All rows of a table, in batches."""
        ...


class Target(Source, Protocol):
    """A store that was empty: what is written stays once its context has ended well."""

    async def clear(self, table: Table) -> None:
        """Remove what the database itself has put into this table meanwhile."""
        ...

    async def write(self, table: Table, rows: list[Row]) -> None:
        """Add these rows."""
        ...

    async def stand(self, standing: Standing) -> None:
        """Say this of itself, once all rows are there."""
        ...


class Copied(NamedTuple):
    """A table that was copied: the same on both sides."""

    table: str
    rows: int
    digest: str


async def copy(
    source: AbstractAsyncContextManager[Source],
    target: AbstractAsyncContextManager[Target],
    progress: Callable[[str, int, int], None] = lambda table, done, rows: None,
) -> list[Copied]:
    """Copy everything. `progress` is told a table, how many of its rows are done, and how many it has.

    Raises CopyDiffers where a table read back has other rows than the source: the target is left empty then, as it is
    after any other error.
    """
    async with source as reading, target as writing:
        copied = [await _copy_table(reading, writing, table, progress) for table in TABLES]
        await writing.stand(await reading.standing())
    return copied


async def _copy_table(
    source: Source, target: Target, table: Table, progress: Callable[[str, int, int], None]
) -> Copied:
    rows, read = await source.count(table), Tally()
    progress(table.name, 0, rows)
    await target.clear(table)
    async for batch in source.read(table):
        read.add(batch)
        await target.write(table, batch)
        progress(table.name, read.rows, rows)
    written = Tally()
    async for batch in target.read(table):
        written.add(batch)
    if (read.rows, read.digest) != (written.rows, written.digest):
        raise CopyDiffers(
            f"{table.name}: {read.rows} rows ({read.digest}) were read, but the copy has {written.rows} "
            f"({written.digest}): nothing was kept; please report it"
        )
    return Copied(table.name, read.rows, read.digest)
