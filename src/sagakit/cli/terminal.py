"""How the command line speaks: tables and JSON on stdout, notes on stderr; plain wherever it is no terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.cells import cell_len, set_cell_size
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

STYLES = {
    "running": "cyan",
    "undoing": "yellow",
    "parked": "bold red",
    "compensation_failed": "bold red",
    "completed": "green",
    "compensated": "yellow",
    "abandoned": "magenta",
    "ready": "cyan",
    "scheduled": "cyan",
    "retrying": "yellow",
}
_ENDLESS = 10_000


def terminal() -> bool:
    """Whether somebody looks at stdout."""
    return _console().is_terminal


def width() -> int:
    """How wide a line may be: as the terminal is, and without an end on a pipe, where lines are for programs."""
    return _console().width


def show(*parts: RenderableType) -> None:
    """Print to stdout; on a pipe without colours and without spaces at the ends of lines."""
    console = _console()
    if console.is_terminal:
        for part in parts:
            console.print(part)
        return
    for part in parts:
        sys.stdout.writelines(f"{line.rstrip()}\n" for line in _lines(part, console))


def _lines(part: RenderableType, console: Console) -> Iterable[str]:
    """What is shown as plain lines; long tables are the common case, and rich would take its time."""
    if isinstance(part, Table) and part.show_header:
        columns = [[str(column.header), *map(str, column.cells)] for column in part.columns]
        widths = [max(map(cell_len, column)) for column in columns]
        for row in zip(*columns, strict=True):
            yield "  ".join(set_cell_size(cell, size) for cell, size in zip(row, widths, strict=True))
        return
    with console.capture() as captured:
        console.print(part)
    yield from captured.get().splitlines()


def show_json(value: Any) -> None:
    """Print a value as JSON."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def notes() -> Console:
    """Where is said what is no output: stderr."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def note(text: str) -> None:
    """Say something beside the output."""
    notes().print(Text(plain(text), "dim"))


def table(*columns: str, copied: Sequence[str] = ()) -> Table:
    """An empty table without borders. The columns in `copied` hold what one copies: they are never broken."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in columns:
        made.add_column(name, no_wrap=name in copied, overflow="fold")
    return made


def text(value: object, style: str = "") -> Text:
    """A value as it is, whatever it contains."""
    return Text(plain(str(value)), style)


def state(value: str) -> Text:
    """A status or state in its colour."""
    return Text(value, STYLES.get(value, ""))


def plain(value: str) -> str:
    """One line without control characters: what users' data may do to a terminal, it must not."""
    return "".join(char if char.isprintable() else " " if char in "\n\t" else f"\\x{ord(char):02x}" for char in value)


def time(at: int | None) -> str:
    """A recorded time to the second, UTC."""
    return "" if at is None else f"{_utc(at):%Y-%m-%d %H:%M:%S}"


def clock(at: int) -> str:
    """The time of day to the millisecond, UTC."""
    return f"{_utc(at):%H:%M:%S.%f}"[:-3]


def lasting(microseconds: int) -> str:
    """A length of time in words."""
    seconds = microseconds / 1_000_000
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s"


def bytes_in_words(size: int) -> str:
    """A size in the unit that fits."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return counted(size, "byte")


def counted(number: int, one: str, many: str = "") -> str:
    """A number with its noun."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def _console() -> Console:
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal and not os.environ.get("COLUMNS"):
        console.width = _ENDLESS
    return console


def _utc(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1_000_000, UTC)
