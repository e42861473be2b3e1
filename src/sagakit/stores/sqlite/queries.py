"""The named statements of queries.sql."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.resources import files

_NAMED = re.compile(r"^-- name: (\w+)\n(.*?)(?=^-- name: |\Z)", re.MULTILINE | re.DOTALL)


def _load() -> dict[str, str]:
    text = files("sagakit.stores.sqlite").joinpath("queries.sql").read_text(encoding="utf-8")
    return {name: sql.strip() for name, sql in _NAMED.findall(text)}


QUERIES = _load()


@lru_cache(maxsize=256)
def insert(name: str, rows: int) -> tuple[str, int]:
    """The statement that writes this many rows at once, and the width of a row."""
    sql = QUERIES[name]
    columns = sql[sql.index("(") + 1 : sql.index(")")]
    width = columns.count(",") + 1
    row = f"({', '.join('?' * width)})"
    return sql.replace(":row", ", ".join([row] * rows)), width
