"""What is read of a store that has grown is what is asked for: a planner that knows no better takes all of it.

It knows no better where a plan was made while the tables were empty, or before anything was analysed; and a plan for
whatever may be asked is not one for this question. So each is asked with plans of all kinds, and at several prices:
where two plans cost nearly the same, a row more or less may decide.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack
from itertools import product
from typing import Any, TypeAlias

import pytest
from tests.stores.postgres.grown import FIRST, MESSAGES, Touched, fill, prepare, touched

from sagakit.core.commit import Checkpoint, Commit, DeliveryChange, Fence, Inbox, Snapshot
from sagakit.core.queries import DeliveryQuery, InstanceQuery
from sagakit.stores.postgres.carried import encode_carried
from sagakit.stores.postgres.connection import Connection, connect, end
from sagakit.stores.postgres.queries import QUERIES
from sagakit.stores.postgres.readers import SETTINGS
from sagakit.stores.postgres.reading import deliveries, instances, log, upkeep
from sagakit.stores.postgres.sharing.arrivals import Arrivals
from sagakit.stores.postgres.store import PostgresStore
from sagakit.stores.postgres.writing.writer import STEERED, Writer
from sagakit.testing.store_contract.samples import delivery, event, item, message, search, started, timer

Ask: TypeAlias = Callable[[Connection], Awaitable[Any]]
GENERIC, CUSTOM = "force_generic_plan", "force_custom_plan"
PRICES: list[dict[str, str]] = [
    {},
    {"random_page_cost": "1.1"},
    {"random_page_cost": "12"},
    {"cpu_tuple_cost": "0.1"},
    {"cpu_tuple_cost": "0.001"},
    {"cpu_tuple_cost": "0.001", "random_page_cost": "1.1"},
]
OWNED = {"shop.orders": range(0, 256, 2), "shop.payments": range(256), "shop.stock": range(256)}


def listed(**wanted: Any) -> Ask:
    return lambda connection: instances.read_instances(connection, InstanceQuery(limit=20, **wanted))


def found(**wanted: Any) -> Ask:
    return lambda connection: deliveries.find_deliveries(connection, DeliveryQuery(limit=20, **wanted))


def items(*states: Any, after: int | None = None, before: int | None = None) -> Ask:
    return lambda connection: instances.read_items(connection, "instance-2", 1, states, after, before, 20)


def questions(snapshot: str) -> dict[str, Ask]:
    """What the running engine and an operator's pages ask. `snapshot`: from before it grew."""
    named = {name: query for name, query in QUERIES.items() if name.startswith("known_")}
    return {
        "arrivals": lambda c: Arrivals(snapshot).read(c, "me", {"shop.orders": {1, 2, 3}}),
        "outstanding": lambda c: deliveries.read_deliveries(c, 330000, 20, None),
        "outstanding, owned": lambda c: deliveries.read_deliveries(c, 330000, 20, OWNED),
        "scheduled": lambda c: deliveries.read_scheduled(c, 0, 0, 20, None),
        "scheduled, later": lambda c: deliveries.read_scheduled(c, 20000, 0, 20, None),
        "scheduled, owned": lambda c: deliveries.read_scheduled(c, 0, 0, 20, OWNED),
        "delivery": lambda c: deliveries.read_delivery(c, 330003),
        "delivery of a message": lambda c: deliveries.read(c, deliveries.OF_MESSAGE, 119003, "sagakit.withdraw"),
        "deliveries of a story": lambda c: deliveries.read(c, deliveries.OF_STORY, "story-11903"),
        "withdrawn": lambda c: c.fetch(QUERIES["withdrawn"], ["timer-5", "timer-6"], "shop.orders"),
        "log": lambda c: log.read_messages(c, 60000, 20),
        "log, its end": lambda c: log.read_messages(c, MESSAGES - 10, 20),
        "settled log": lambda c: log.read_settled(c, (0, 0), 20),
        "settled log, later": lambda c: log.read_settled(c, (3 + 300, 60000), 20),
        "settled log, its end": lambda c: log.read_settled(c, (3 + 599, MESSAGES - 10), 20),
        "story": lambda c: log.read_story(c, "story-500", 0, 20),
        "message": lambda c: log.read_message(c, "story-500", "message-5003"),
        "stream": lambda c: log.read_stream(c, "shop.account/20", 90, 20),
        "newest of the log": log.last_recorded,
        "history": lambda c: log.read_history(c, "instance-30000", 0, 20),
        "instance": lambda c: instances.read_instance(c, "instance-30000"),
        "what is listed of one": lambda c: instances.read_search(c, "instance-30000"),
        "instances": listed(),
        "instances, oldest": listed(order="oldest"),
        "instances, a page": listed(after=20000),
        "instances, parked": listed(status="parked"),
        "instances, parked, oldest": listed(status="parked", order="oldest"),
        "instances, running, a page": listed(status="running", after=20000),
        "instances, live": listed(status="live"),
        "instances, live, the last page": listed(status="live", order="oldest", after=39000),
        "instances, completed": listed(status="completed", order="oldest", after=39000),
        "instances of a type": listed(type="shop.order"),
        "instances of a type, parked": listed(type="shop.order", status="parked"),
        "instances of a key": listed(key="key-77"),
        "instances of a key, live": listed(key="key-81", status="live"),
        "instances of a trace": listed(trace_id="trace-99"),
        "instances of a story": listed(correlation_id="story-77"),
        "instances of a story, a page": listed(correlation_id="story-77", after=20000),
        "instances of a city": listed(attributes=(("city", "city-77"),)),
        "items": items(),
        "items, a page": items(after=10000),
        "items, downwards": items(before=10000),
        "items that have failed": items("failed"),
        "items that have failed, downwards": items("failed", before=15000),
        "items of two states": items("failed", "done", after=10000),
        "inbox": lambda c: upkeep.read_inbox(c, "http", "key-500"),
        "found": found(after=330000),
        "found, parked": found(state="parked", after=310000),
        "found, timers of a lane": found(state="scheduled", lane="shop.orders/77", after=310000),
        "known deliveries": lambda c: c.fetch(named["known_deliveries"], [330001, 330002]),
        "known carriers": lambda c: c.fetch(named["known_carried"], ["timer-3", "timer-4"]),
        "known instances": lambda c: c.fetch(named["known_instances"], ["instance-3", "instance-4"]),
        "known streams": lambda c: c.fetch(named["known_streams"], ["shop.account/3", "shop.account/4"]),
        "known inbox": lambda c: c.fetch(named["known_inbox"], ["http", "http"], ["key-3", "key-4"]),
    }


def many(seen: Iterable[tuple[str, Touched]], most: int) -> dict[str, Touched]:
    return {name: one for name, one in seen if one.rows > most or one.pages > 4 * most}


async def test_a_question_looks_at_what_it_asks_for(postgres_url: str) -> None:
    store = PostgresStore(postgres_url)
    async with AsyncExitStack() as stack:

        async def connected(plans: str = "auto", prices: Mapping[str, str] = {}) -> Connection:
            connection = await connect(store.address, settings=SETTINGS | {"plan_cache_mode": plans} | prices)
            stack.push_async_callback(end, connection)
            return connection

        filling = await connected()
        await prepare(store, filling)
        snapshot = await filling.fetchval(QUERIES["snapshot"])
        asked, seen = questions(snapshot), list[tuple[str, Touched]]()

        async def see(plans: str, connection: Connection) -> None:
            for name, ask in asked.items():
                looked, answer = await touched(connection, ask)
                assert answer, name
                seen.append((f"{name}; {plans}", looked))

        async def see_all(tables: str) -> None:
            for mode, prices in product((GENERIC, CUSTOM), PRICES):
                await see(f"of tables {tables}, {mode}, {prices}", await connected(mode, prices))

        empty = await connected(GENERIC)
        for ask in asked.values():
            await ask(empty)
        await fill(filling)
        await see("of empty tables", empty)
        await see_all("never analysed")
        await filling.execute("ANALYZE")
        await see_all("analysed")
    assert many(seen, 150) == {}


TIMERS_AND_WORK = """
INSERT INTO deliveries (id, due_at, more, partition, attempt, crashes, spent, consumer, lane, state, carried)
SELECT
    n, n, 0, n % 256, 1, 0, 0, 'shop.orders', 'shop.orders/' || n,
    CASE WHEN n % 512 < 256 THEN 'ready' ELSE 'scheduled' END, ''
FROM generate_series(1, 40960) AS n
"""
"""Half of them timers, of each as many in each partition."""


@pytest.mark.parametrize("plans", [GENERIC, CUSTOM])
async def test_a_backlog_is_passed_over_once_for_all_its_pages(postgres_url: str, plans: str) -> None:
    store = PostgresStore(postgres_url)
    async with AsyncExitStack() as stack:
        connection = await connect(store.address, settings=SETTINGS | {"plan_cache_mode": plans})
        stack.push_async_callback(end, connection)
        await prepare(store, connection)
        of = deliveries.pairs({"shop.orders": range(16), "shop.payments": range(256)})

        async def pages(statement: str, columns: tuple[int, ...]) -> tuple[int, int]:
            after, found, looked = (0,) * len(columns), 0, 0
            while True:
                given = (*after, 100, *of)
                seen, page = await touched(connection, lambda c: c.fetch(statement, *given))  # noqa: B023
                found, looked = found + len(page), looked + seen.rows
                if not page:
                    return found, looked
                after = tuple(page[-1][column] for column in columns)

        asked = ((deliveries.OUTSTANDING_OWNED, (0,)), (deliveries.SCHEDULED_OWNED, (4, 0)))
        for statement, columns in asked:
            await pages(statement, columns)  # the plan for all that may be asked is one of an empty table
        await connection.execute(TIMERS_AND_WORK)
        for statement, columns in asked:
            found, looked = await pages(statement, columns)
            assert found == 16 * 80
            assert looked < 2 * 40_960


ARRIVED = """
INSERT INTO deliveries (
    id, due_at, arrived, writer, more, partition, attempt, crashes, spent, consumer, lane, state, carried
)
SELECT
    $1::bigint + n, 0, pg_current_xact_id(), 'another', 0, n, 1, 0, 0, 'shop.orders', 'shop.orders/' || n, 'ready', $2
FROM generate_series(1, 20) AS n
"""


async def test_a_long_transaction_costs_those_nothing_who_read_arrivals(postgres_url: str) -> None:
    """Of whoever it is: what was done since it began is in the file all the time, and none of it is looked at again."""
    store, owned = PostgresStore(postgres_url), {"shop.orders": range(10)}
    async with AsyncExitStack() as stack:
        writing, reading, long = [await connect(store.address, settings=SETTINGS) for _ in range(3)]
        for connection in (writing, reading, long):
            stack.push_async_callback(end, connection)
        await prepare(store, writing)
        await long.execute("SET idle_in_transaction_session_timeout = 0; BEGIN")
        await long.fetchval("SELECT pg_current_xact_id()")
        arrivals, rows = Arrivals(await reading.fetchval(QUERIES["snapshot"])), list[int]()
        for turn in range(50):
            await writing.execute(ARRIVED, 20 * turn, encode_carried(message()))
            looked, found = await touched(reading, lambda c: arrivals.read(c, "me", owned))
            assert len(found) == 9
            rows.append(looked.rows)
            await writing.execute("DELETE FROM deliveries")
        await long.execute("COMMIT")
    assert max(rows) < 50


def commits(number: int) -> Iterator[Commit]:
    """One after another: a process with all that it writes, and its end."""
    id, stream = f"new-{number}", f"shop.account/new-{number}"
    first, second, sent, later = event(stream, 1), event(stream, 2), message(), timer(message(), due_at=5)
    yield started(id)
    yield Commit(messages=[first], deliveries=[delivery(first)])
    yield Commit(messages=[second], deliveries=[delivery(second)], snapshots=[Snapshot(stream, 2, "code", b"")])
    work = delivery(sent)
    yield Commit(messages=[sent], deliveries=[work, later])
    yield Commit(forgotten=[later.envelope.id])
    yield Commit(deliveries=[timer(message(), due_at=6)], forgotten=["nothing"])
    yield Commit(changes=[DeliveryChange(Fence(work.id, 1), "retrying", attempt=2, due_at=3)])
    yield Commit(done=[Fence(work.id, 2)], withdrawn=[work.id - 1])
    yield Commit(items=[item(id, place) for place in range(3)], inbox=[Inbox("http", id, "", b"", 5)])
    yield Commit(checkpoints=[Checkpoint("reader", number, number - 1)], search=[search(id, status="completed")])


async def test_a_commit_looks_at_what_it_writes(postgres_url: str) -> None:
    store = PostgresStore(postgres_url)
    async with AsyncExitStack() as stack:
        filling = await connect(store.address)
        stack.push_async_callback(end, filling)
        await prepare(store, filling)

        async def writing(worker: str, prices: Mapping[str, str] = {}) -> tuple[Writer, Connection]:
            connection = await connect(store.address, settings=STEERED | prices)
            writer = Writer(store.address, worker)
            routing = await connection.fetchval(QUERIES["own"], worker, 1, "host", 1)
            await writer.open(connection, 1, routing)
            stack.push_async_callback(writer.close)
            return writer, connection

        seen: list[tuple[str, Touched]] = []

        async def write(plans: str, number: int, writer: Writer, connection: Connection) -> None:
            for place, commit in enumerate(commits(number)):
                looked, answer = await touched(connection, lambda _: writer.commit([commit]))  # noqa: B023
                assert answer == [None]
                seen.append((f"{place}; {plans}", looked))

        early = await writing("early")
        await filling.execute(f"SELECT setval('numbers', {FIRST})")
        await write("of empty tables", 1, *early)
        await fill(filling)
        await filling.execute(f"SELECT setval('numbers', {2 * FIRST})")
        await write("of tables that were empty", 2, *early)
        for number, prices in enumerate(PRICES, start=3):
            await write(f"of tables never analysed, {prices}", number, *await writing(f"later-{number}", prices))
        await filling.execute("ANALYZE")
        for number, prices in enumerate(PRICES, start=3 + len(PRICES)):
            await write(f"of analysed tables, {prices}", number, *await writing(f"last-{number}", prices))
    assert many(seen, 30) == {}
