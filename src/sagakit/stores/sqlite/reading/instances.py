"""Instances, what people look for in them, and the items of their batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from sagakit.core.commit import ENDED, Instance, Item, ItemState, Search, Status
from sagakit.core.queries import Counted, InstanceQuery, Listed
from sagakit.stores.sqlite.connection import Connection
from sagakit.stores.sqlite.queries import QUERIES
from sagakit.stores.sqlite.reading.rows import first, merged, rows

_INSTANCE_WIDTH = len(Instance.__struct_fields__)
_LIVE: list[str] = [status for status in get_args(Status) if status not in ENDED]


def read_instance(connection: Connection, id: str) -> Instance | None:
    """The hot row of an instance."""
    row = first(connection, "read_instance", id=id)
    return row and Instance(*row)


def read_search(connection: Connection, id: str) -> Search | None:
    """What is listed of one instance."""
    row = first(connection, "read_search", id=id)
    return row and Search(*row)


def read_instances(connection: Connection, query: InstanceQuery) -> list[Listed]:
    """A page of instances, in the order of their numbers."""
    found = connection.execute(*instances_statement(query)).fetchall()
    return [Listed(Instance(*row[:_INSTANCE_WIDTH]), Search(*row[_INSTANCE_WIDTH:])) for row in found]


def instances_statement(query: InstanceQuery) -> tuple[str, dict[str, Any]]:
    """The statement for a query, and what it is given."""
    newest = query.order == "newest"
    number = "a0.number" if query.attributes else "s.number"  # of the table that gives the order
    wanted = {
        "type": "s.type = :type",
        "key": "s.key = :key",
        "trace_id": "s.trace_id = :trace_id",
        "correlation_id": "s.correlation_id = :correlation_id",
        "started_before": "s.started_at < :started_before",
        "started_after": "s.started_at > :started_after",
        "after": f"{number} < :after" if newest else f"{number} > :after",
    }
    bindings: dict[str, Any] = {name: getattr(query, name) for name in wanted if getattr(query, name) is not None}
    filters = [wanted[name] for name in bindings]
    source = _source(query, filters, bindings)
    narrow = bool(query.attributes or bindings.keys() & {"key", "trace_id", "correlation_id"})
    selects = [
        QUERIES["page_of_instances"]
        .replace(":first", number)
        .replace(":source", source)
        .replace(":filters", " AND ".join([*filters, status]))
        for status in _statuses(query.status, narrow, bindings)
    ]
    order = "number DESC" if newest else "number"
    sql = QUERIES["instances_of_page"].replace(":page", merged(selects, order)).replace(":order", f"s.{order}")
    return sql, {**bindings, "limit": query.limit}


def _source(query: InstanceQuery, filters: list[str], bindings: dict[str, Any]) -> str:
    """Where to begin: at the first attribute, if there is one."""
    source = "process_search AS s"
    for index, (name, value) in enumerate(query.attributes):
        table = f"process_attributes AS a{index}"
        source = f"{source} CROSS JOIN {table}" if index else f"{table} CROSS JOIN {source}"
        filters.append(
            f"a{index}.name = :name{index} AND a{index}.value = :value{index} AND s.number = a{index}.number"
        )
        bindings |= {f"name{index}": name, f"value{index}": value}
    return source


def _statuses(status: str | None, narrow: bool, bindings: dict[str, Any]) -> list[str]:
    """One condition for each select. Where other filters are narrow (`+`), the status is no way to begin."""
    if status is None:
        return ["TRUE"]
    wanted = _LIVE if status == "live" else [status]
    bindings |= {f"status{index}": one for index, one in enumerate(wanted)}
    names = [f":status{index}" for index in range(len(wanted))]
    return [f"+s.status IN ({', '.join(names)})"] if narrow else [f"s.status = {name}" for name in names]


def read_items(
    connection: Connection,
    instance: str,
    step: int,
    states: Sequence[ItemState],
    after: int | None,
    before: int | None,
    limit: int,
) -> list[Item]:
    """Items of a batch by index, upwards, or downwards from below `before`."""
    given: dict[str, Any] = {"instance": instance, "step": step, "limit": limit}
    found = connection.execute(*items_statement(given, states, after, before)).fetchall()
    return [Item(*row) for row in found]


def items_statement(
    given: dict[str, Any], states: Sequence[ItemState], after: int | None, before: int | None
) -> tuple[str, dict[str, Any]]:
    """The statement for items in these states, and what it is given."""
    bounds = {"after": ("idx > :after", after), "before": ("idx < :before", before)}
    bindings = given | {name: value for name, (_, value) in bounds.items() if value is not None}
    filters = [term for term, value in bounds.values() if value is not None]
    selects: list[str] = []
    for index, state in enumerate(dict.fromkeys(states)):
        bindings[f"state{index}"] = state
        by_state = " AND ".join([f"state = :state{index}", *filters])
        selects.append(QUERIES["page_of_items_in_state"].replace(":filters", by_state))
    if not selects:
        selects.append(QUERIES["page_of_items"].replace(":filters", " AND ".join(filters) or "TRUE"))
    order = "idx" if before is None else "idx DESC"
    page = merged(selects, order)
    return QUERIES["items_of_page"].replace(":page", page).replace(":order", f"page.{order}"), bindings


def count_items(connection: Connection, instance: str) -> list[Counted]:
    """How the items of an instance's batches stand."""
    return [Counted(*row) for row in rows(connection, "count_items", instance=instance)]
