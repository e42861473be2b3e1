"""The matrices of docs/protocol.md, read as data."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "protocol.md"

_CELL = re.compile(r"`(?P<next>[^`]+)`: .+")


@dataclass(frozen=True)
class Cell:
    """What happens to a state by an event; `next` is None where the event cannot happen."""

    table: str
    state: str
    event: str
    next: str | None
    words: str

    @property
    def later(self) -> bool:
        return self.words.endswith("(later)")

    @property
    def name(self) -> str:
        return f"{self.table}: {self.state}, {self.event}"


def read(table: str) -> dict[tuple[str, str], Cell]:
    """The cells of a matrix by state and event."""
    text = PAGE.read_text(encoding="utf-8")
    start = text.index(f"<!-- table: {table} -->")
    rows = [line for line in text[start : text.index("\n\n", start + 40)].splitlines() if line.startswith("|")]
    header, _, *body = [[part.strip() for part in row.strip("|").split(" | ")] for row in rows]
    events = [name.strip("`") for name in header[1:]]
    cells: dict[tuple[str, str], Cell] = {}
    for state, *words in body:
        assert len(words) == len(events), state
        for event, word in zip(events, words, strict=True):
            cell = _cell(table, state.strip("`"), event, word)
            cells[cell.state, cell.event] = cell
    return cells


def _cell(table: str, state: str, event: str, words: str) -> Cell:
    if words.startswith("— "):
        return Cell(table, state, event, None, words)
    found = _CELL.fullmatch(words)
    assert found is not None, words
    return Cell(table, state, event, found["next"], words)
