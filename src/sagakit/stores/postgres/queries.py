"""The named statements of queries.sql, and those that are put together for a question."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Any

from sagakit.stores.postgres.connection import writable

_NAMED = re.compile(r"^-- name: (\w+)\n(.*?)(?=^-- name: |\Z)", re.MULTILINE | re.DOTALL)


def _load() -> dict[str, str]:
    text = files("sagakit.stores.postgres").joinpath("queries.sql").read_text(encoding="utf-8")
    return {name: sql.strip() for name, sql in _NAMED.findall(text)}


QUERIES = _load()


class Given:
    """The values of a statement that is put together: each gets the next number."""

    def __init__(self, *values: Any) -> None:
        self.values: list[Any] = list(values)

    def add(self, value: Any) -> str:
        """The placeholder of this value."""
        self.values.append(writable(value))
        return f"${len(self.values)}"
