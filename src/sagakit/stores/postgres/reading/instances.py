"""Instances, what people look for in them, and the items of their batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from sagakit.core.commit import ENDED, Instance, Item, ItemState, Search, Status
from sagakit.core.queries import Counted, InstanceQuery, Listed
from sagakit.stores.postgres.connection import Connection
from sagakit.stores.postgres.queries import QUERIES, Given

_INSTANCE_WIDTH = len(Instance.__struct_fields__)
_LAST = 2**63 - 1
_LIVE = sorted(set(get_args(Status)) - ENDED)


async def read_instance(connection: Connection, id: str) -> Instance | None:
    """The hot row of an instance."""
    row = await connection.fetchrow(QUERIES["read_instance"], id)
    return None if row is None else Instance(*row)


async def read_search(connection: Connection, id: str) -> Search | None:
    """What is listed of one instance."""
    row = await connection.fetchrow(QUERIES["read_search"], id)
    return None if row is None else Search(*row)


async def read_instances(connection: Connection, query: InstanceQuery) -> list[Listed]:
    """A page of instances, in the order of their numbers."""
    statement, given = instances_statement(query)
    found = await connection.fetch(statement, *given.values)
    return [Listed(Instance(*row[:_INSTANCE_WIDTH]), Search(*row[_INSTANCE_WIDTH:])) for row in found]


def instances_statement(query: InstanceQuery) -> tuple[str, Given]:
    """The statement for a query, and what it is given.

    The number of rows is written into it: of a page whose size it does not know the planner may take all for less.
    """
    newest, given = query.order == "newest", Given()
    order, limit = "s.number DESC" if newest else "s.number", int(query.limit)
    filters = _filters(query, given)
    known = next((name for name in ("key", "trace_id") if getattr(query, name) is not None), None)
    if known is not None:  # few: found by it, then sorted, and not sought among all in their order
        table = f"(SELECT * FROM process_search WHERE {known} = {given.add(getattr(query, known))} OFFSET 0)"  # noqa: S608
    else:
        table = "process_search"
    if query.status is None or known is not None or query.correlation_id is not None or query.attributes:
        if query.status is not None:
            filters.append(f"s.status = ANY ({given.add(_statuses(query.status))}::text[])")
        if query.after is not None:
            filters.append(f"s.number {'<' if newest else '>'} {given.add(query.after)}")
        page = _sorted(table, filters, order, limit)
    else:
        # compared as rows, for the planner's sake: only the index by status gives this order
        first = given.add(query.after if query.after is not None else _LAST if newest else 0)
        beyond = (
            f"< (wanted.status, {first}) AND s.status >=" if newest else f"> (wanted.status, {first}) AND s.status <="
        )
        filters.append(f"(s.status, s.number) {beyond} wanted.status")
        each = _sorted(table, filters, "s.status DESC, s.number DESC" if newest else "s.status, s.number", limit)
        page = (
            f"SELECT s.number FROM unnest({given.add(_statuses(query.status))}::text[]) AS wanted (status) "  # noqa: S608
            f"CROSS JOIN LATERAL ({each}) AS s ORDER BY {order} LIMIT {limit}"
        )
    return QUERIES["instances_of_page"].replace(":page", page).replace(":order", order), given


def _statuses(status: str) -> list[str]:
    return _LIVE if status == "live" else [status]


def _sorted(table: str, filters: Sequence[str], order: str, limit: int) -> str:
    return f"SELECT s.number FROM {table} AS s WHERE {' AND '.join(filters) or 'true'} ORDER BY {order} LIMIT {limit}"  # noqa: S608


def _filters(query: InstanceQuery, given: Given) -> list[str]:
    """All that is asked of each, but for the status and the page."""
    wanted = {
        "type": "s.type = {}",
        "key": "s.key = {}",
        "trace_id": "s.trace_id = {}",
        "correlation_id": "s.correlation_id = {}",
        "started_before": "s.started_at < {}",
        "started_after": "s.started_at > {}",
    }
    filters = [
        term.format(given.add(getattr(query, name)))
        for name, term in wanted.items()
        if getattr(query, name) is not None
    ]
    for name, value in query.attributes:
        name_is, value_is = given.add(name), given.add(value)
        filters.append(
            f"s.number IN (SELECT a.number FROM process_attributes AS a WHERE a.name = {name_is} "  # noqa: S608
            f"AND a.value = {value_is} AND left(a.name, 100) = left({name_is}, 100) "
            f"AND left(a.value, 100) = left({value_is}, 100))"
        )
    return filters


async def read_items(
    connection: Connection,
    instance: str,
    step: int,
    states: Sequence[ItemState],
    after: int | None,
    before: int | None,
    limit: int,
) -> list[Item]:
    """Items of a batch by index, upwards, or downwards from below `before`."""
    given = Given(instance, step, limit)
    down = " DESC" if before is not None else ""
    if states:
        given.add(sorted(set(states)))
        statement, row, order = QUERIES["read_items_of_states"], "n", f"n.state{down}, n.idx{down}"
        ahead = "<" if down else ">"
        first = given.add(before if before is not None else -1 if after is None else after)
        filters = [
            f"(n.state, n.idx) {ahead} (wanted.state, {first}) AND n.state {'>=' if down else '<='} wanted.state"
        ]
    else:
        statement, row, order, filters = QUERIES["read_items"], "i", f"i.idx{down}", list[str]()
    if after is not None:
        filters.append(f"{row}.idx > {given.add(after)}")
    if before is not None:
        filters.append(f"{row}.idx < {given.add(before)}")
    statement = statement.replace(":filters", " AND ".join(filters) or "true")
    statement = statement.replace(":order", order).replace(":outer", f"i.idx{down}")
    return [Item(*row) for row in await connection.fetch(statement, *given.values)]


async def count_items(connection: Connection, instance: str) -> list[Counted]:
    """How the items of an instance's batches stand."""
    return [Counted(*row) for row in await connection.fetch(QUERIES["count_items"], instance)]
