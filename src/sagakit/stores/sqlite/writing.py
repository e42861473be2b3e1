"""Rows into the database: few large statements, since every one of them gives the interpreter's lock away and back."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import Any

from msgspec.structs import astuple

from sagakit.stores.sqlite.connection import Connection
from sagakit.stores.sqlite.plan import Plan
from sagakit.stores.sqlite.queries import QUERIES, insert

MOST_ROWS = 64
"""Rows of one statement. Smaller rests go by powers of two, so that the prepared statements are few."""


def write_rows(connection: Connection, plan: Plan) -> None:
    """Everything that a plan changes, inside the transaction that is open."""
    _insert(connection, "write_messages", plan.messages)
    _insert(connection, "write_deliveries", plan.deliveries)
    _insert(connection, "write_rare_deliveries", plan.rare_deliveries)
    for name, changes in groupby(plan.changed, key=itemgetter(0)):
        connection.executemany(QUERIES[name], [row for _, row in changes])
    if plan.deleted:
        connection.execute(QUERIES["delete_deliveries"], (str(plan.deleted),))
    _insert(connection, "write_processes", plan.processes)
    _insert(connection, "write_search", plan.search)
    _insert(connection, "write_reactions", plan.reactions)
    _insert(connection, "write_inbox", plan.inbox)
    _insert(connection, "write_items", plan.items)
    if plan.resumed:
        connection.executemany(QUERIES["delete_pause"], plan.resumed)
    if plan.pauses:
        _insert(connection, "write_pauses", [value for pause in plan.pauses.values() for value in astuple(pause)])
    _insert(connection, "write_snapshots", plan.snapshots)
    _insert(connection, "write_checkpoints", plan.checkpoints)


def _insert(connection: Connection, name: str, values: list[Any]) -> None:
    start, size = 0, MOST_ROWS
    while start < len(values):
        sql, width = insert(name, size)
        while size > 1 and start + size * width > len(values):
            size //= 2
            sql, width = insert(name, size)
        connection.execute(sql, values[start : start + size * width])
        start += size * width
