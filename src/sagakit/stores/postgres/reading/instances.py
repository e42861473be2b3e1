"""Instances, what people look for in them, and the items of their batches."""

from __future__ import annotations

from collections.abc import Sequence

from sagakit.core.commit import ENDED, Instance, Item, ItemState, Search
from sagakit.core.queries import Counted, InstanceQuery, Listed
from sagakit.stores.postgres.connection import Connection
from sagakit.stores.postgres.queries import QUERIES, Given

_INSTANCE_WIDTH = len(Instance.__struct_fields__)


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
    """The statement for a query, and what it is given."""
    newest, given = query.order == "newest", Given()
    wanted = {
        "type": "s.type = {}",
        "key": "s.key = {}",
        "trace_id": "s.trace_id = {}",
        "correlation_id": "s.correlation_id = {}",
        "started_before": "s.started_at < {}",
        "started_after": "s.started_at > {}",
        "after": "s.number < {}" if newest else "s.number > {}",
    }
    filters = [
        term.format(given.add(getattr(query, name)))
        for name, term in wanted.items()
        if getattr(query, name) is not None
    ]
    if query.status == "live":
        filters.append(f"NOT s.status = ANY ({given.add(sorted(ENDED))}::text[])")
    elif query.status is not None:
        filters.append(f"s.status = {given.add(query.status)}")
    for name, value in query.attributes:
        name_is, value_is = given.add(name), given.add(value)
        filters.append(
            f"s.number IN (SELECT a.number FROM process_attributes AS a WHERE a.name = {name_is} "  # noqa: S608
            f"AND a.value = {value_is} AND left(a.name, 100) = left({name_is}, 100) "
            f"AND left(a.value, 100) = left({value_is}, 100))"
        )
    order = "s.number DESC" if newest else "s.number"
    page = (
        f"SELECT s.number FROM process_search AS s WHERE {' AND '.join(filters) or 'true'} "  # noqa: S608
        f"ORDER BY {order} LIMIT {given.add(query.limit)}"
    )
    return QUERIES["instances_of_page"].replace(":page", page).replace(":order", order), given


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
    filters: list[str] = []
    if states:
        filters.append(f"i.state = ANY ({given.add(list(states))}::text[])")
    if after is not None:
        filters.append(f"i.idx > {given.add(after)}")
    if before is not None:
        filters.append(f"i.idx < {given.add(before)}")
    statement = QUERIES["read_items"].replace(":filters", " AND ".join(filters) or "true")
    order = "i.idx" if before is None else "i.idx DESC"
    return [Item(*row) for row in await connection.fetch(statement.replace(":order", order), *given.values)]


async def count_items(connection: Connection, instance: str) -> list[Counted]:
    """How the items of an instance's batches stand."""
    return [Counted(*row) for row in await connection.fetch(QUERIES["count_items"], instance)]
