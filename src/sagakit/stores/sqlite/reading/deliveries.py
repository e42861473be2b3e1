"""What is still to be done."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import msgspec

from sagakit.core.cluster.members import Owned
from sagakit.core.commit import Delivery, Envelope
from sagakit.core.queries import DeliveryQuery
from sagakit.core.streams import partition
from sagakit.stores.sqlite.connection import Connection
from sagakit.stores.sqlite.queries import QUERIES


def _paged(page: str, order: str = "abs(d.id)") -> str:
    return QUERIES["deliveries_of_page"].replace(":page", page).replace(":order", order)


OUTSTANDING = _paged(QUERIES["page_outstanding"])
SCHEDULED = _paged(QUERIES["page_scheduled"], "d.due_at, d.id DESC")
OWNED = _paged(QUERIES["page_owned"])
SCHEDULED_OWNED = _paged(QUERIES["page_scheduled_owned"], "d.due_at, d.id DESC")
ONE = _paged(QUERIES["page_delivery"])


def read_deliveries(connection: Connection, after: int, limit: int, of: Owned | None) -> list[Delivery]:
    """Outstanding deliveries that are not scheduled, each with its messages."""
    bindings: dict[str, Any] = {"after": after, "limit": limit}
    if of is None:
        return _read(connection, OUTSTANDING, bindings)
    return _read(connection, OWNED, bindings | {"of": _pairs(of)})


def read_scheduled(connection: Connection, due_at: int, after: int, limit: int, of: Owned | None) -> list[Delivery]:
    """Scheduled deliveries in the order in which they come due."""
    bindings: dict[str, Any] = {"due_at": due_at, "after": after, "limit": limit}
    if of is None:
        return _read(connection, SCHEDULED, bindings)
    return _read(connection, SCHEDULED_OWNED, bindings | {"of": _pairs(of)})


def _pairs(of: Owned) -> str:
    return msgspec.json.encode([(consumer, one) for consumer, owned in of.items() for one in owned]).decode()


def read_delivery(connection: Connection, id: int) -> Delivery | None:
    """One outstanding delivery."""
    return next(iter(_read(connection, ONE, {"id": id})), None)


def find_deliveries(connection: Connection, query: DeliveryQuery) -> list[Delivery]:
    """A page of outstanding deliveries for people to look at."""
    return _read(connection, *find_statement(query))


def find_statement(query: DeliveryQuery) -> tuple[str, dict[str, Any]]:
    """The statement for a query, and what it is given."""
    wanted = {
        "state": "d.state = :state",
        "consumer": "d.consumer = :consumer",
        "type": "coalesce(d.message_type, m.type) = :type",
        "lane": "d.lane = :lane",
        "sender": "coalesce(d.message_sender, m.sender) = :sender",
        "error": "instr(coalesce(d.error, ''), :error)",
    }
    given = {name: getattr(query, name) for name in wanted if getattr(query, name) is not None}
    filters = " AND ".join([wanted[name] for name in given]) or "TRUE"
    pages = [QUERIES[name].replace(":filters", filters) for name in _pages(query)]
    page = pages[0] if len(pages) == 1 else QUERIES["page_of_pages"].replace(":one", pages[0]).replace(":two", pages[1])
    return _paged(page), {**given, "after": query.after, "limit": query.limit}


def _pages(query: DeliveryQuery) -> list[str]:
    """Where to look: those that sleep may be very many, the others are not."""
    asleep = "page_asleep" if query.lane is None else "page_asleep_in_lane"
    if query.state is None:
        return ["page_awake", asleep]
    return [{"scheduled": asleep, "parked": "page_parked"}.get(query.state, "page_awake")]


def _read(connection: Connection, statement: str, bindings: dict[str, Any]) -> list[Delivery]:
    found = connection.execute(statement, bindings).fetchall()
    return [_delivery(list(group)) for _, group in groupby(found, key=lambda row: row[0])]


def _delivery(rows: list[tuple[Any, ...]]) -> Delivery:
    id, consumer, lane, state, due_at, attempt, crashes, error, carried, spent, home = rows[0][:11]
    if carried is not None:
        messages = [Envelope(*msgspec.msgpack.decode(carried))]
    else:
        messages = [Envelope(*row[11:]) for row in rows]
    rest = tuple(messages[1:])
    home = -1 if home == partition(lane) else home
    return Delivery(messages[0], consumer, lane, id, state, due_at, attempt, crashes, error, rest, spent, home)
