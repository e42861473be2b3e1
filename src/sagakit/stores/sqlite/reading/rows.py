"""How the named statements are run."""

from __future__ import annotations

from typing import Any

from sagakit.stores.sqlite.connection import Connection
from sagakit.stores.sqlite.queries import QUERIES


def rows(connection: Connection, query: str, **bindings: Any) -> list[Any]:
    """All rows of a named statement."""
    return connection.execute(QUERIES[query], bindings).fetchall()


def first(connection: Connection, query: str, **bindings: Any) -> Any:
    """The first row of a named statement, if there is one."""
    return next(iter(rows(connection, query, **bindings)), None)


def merged(selects: list[str], order: str) -> str:
    """One page of several selects, each of which an index gives in this order: nothing is sorted as a whole."""
    return f"{' UNION ALL '.join(selects)} ORDER BY {order} LIMIT :limit"
