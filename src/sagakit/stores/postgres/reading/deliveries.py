"""What is still to be done."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, get_args

from sagakit.core.cluster.members import Owned
from sagakit.core.commit import Delivery, DeliveryState, Envelope
from sagakit.core.queries import DeliveryQuery
from sagakit.core.streams import partition
from sagakit.stores.postgres.carried import decode_carried
from sagakit.stores.postgres.connection import Connection
from sagakit.stores.postgres.queries import QUERIES, Given

_FIRST_OF_MESSAGE = 11
_STATES = {state: state for state in get_args(DeliveryState)}


def _paged(page: str, order: str = "d.id") -> str:
    return QUERIES["deliveries_of_page"].replace(":page", page).replace(":order", order)


OUTSTANDING = _paged(QUERIES["page_outstanding"])
OUTSTANDING_OWNED = _paged(QUERIES["page_outstanding_owned"])
SCHEDULED = _paged(QUERIES["page_scheduled"], "d.due_at, d.id")
SCHEDULED_OWNED = _paged(QUERIES["page_scheduled_owned"], "d.due_at, d.id")
ONE = _paged(QUERIES["page_delivery"])
OF_STORY = _paged(QUERIES["page_of_story"])
OF_MESSAGE = _paged(QUERIES["page_of_message"])


async def read_deliveries(connection: Connection, after: int, limit: int, of: Owned | None) -> list[Delivery]:
    """Outstanding deliveries that are not scheduled, each with its messages."""
    if of is None:
        return await read(connection, OUTSTANDING, after, limit)
    return await read(connection, OUTSTANDING_OWNED, after, limit, *pairs(of))


async def read_scheduled(
    connection: Connection, due_at: int, after: int, limit: int, of: Owned | None
) -> list[Delivery]:
    """Scheduled deliveries in the order in which they come due."""
    if of is None:
        return await read(connection, SCHEDULED, due_at, after, limit)
    return await read(connection, SCHEDULED_OWNED, due_at, after, limit, *pairs(of))


async def read_delivery(connection: Connection, id: int) -> Delivery | None:
    """One outstanding delivery."""
    return next(iter(await read(connection, ONE, id)), None)


async def find_deliveries(connection: Connection, query: DeliveryQuery) -> list[Delivery]:
    """A page of outstanding deliveries for people to look at."""
    given = Given(query.after, query.limit)
    wanted = {
        "consumer": "d.consumer = {}",
        "type": "coalesce(d.message_type, m.type) = {}",
        "lane": "d.lane = {}",
        "sender": "coalesce(d.message_sender, m.sender) = {}",
        "error": "strpos(coalesce(d.error, ''), {}) > 0",
    }
    filters = [
        term.format(given.add(getattr(query, name)))
        for name, term in wanted.items()
        if getattr(query, name) not in (None, "")
    ]
    if query.state:  # written into it: there are indexes for states
        filters.append(f"d.state = '{_STATES[query.state]}'")
    page = QUERIES["page_wanted"].replace(":filters", " AND ".join(filters) or "true")
    return await read(connection, _paged(page), *given.values)


def pairs(of: Owned) -> tuple[list[str], list[int]]:
    """Consumers and partitions, as two columns."""
    owned = [(consumer, one) for consumer, partitions in of.items() for one in partitions]
    return [consumer for consumer, _ in owned], [one for _, one in owned]


async def read(connection: Connection, statement: str, *values: Any) -> list[Delivery]:
    """The deliveries that a statement on a page gives."""
    found = await connection.fetch(statement, *values)
    return [delivery_of(list(group)) for _, group in groupby(found, key=lambda row: row[0])]


def delivery_of(rows: Sequence[Sequence[Any]]) -> Delivery:
    """A delivery, by its rows: each with one of its messages."""
    first = rows[0]
    id, consumer, lane, state, due_at, attempt, crashes, error, carried, spent, home = first[:_FIRST_OF_MESSAGE]
    if carried is not None:
        messages = [decode_carried(carried)]
    else:
        messages = [Envelope(*row[_FIRST_OF_MESSAGE:]) for row in rows]
    home = -1 if home == partition(lane) else home
    rest = tuple(messages[1:])
    return Delivery(messages[0], consumer, lane, id, state, due_at, attempt, crashes, error, rest, spent, home)
