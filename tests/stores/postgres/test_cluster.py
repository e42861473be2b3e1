"""Several workers on PostgreSQL: the contract, and what commits late."""

import asyncio

import pytest

from sagakit.core.cluster.members import Worker
from sagakit.core.commit import Commit, Envelope
from sagakit.stores.postgres.connection import connect
from sagakit.stores.postgres.store import PostgresStore
from sagakit.testing.store_contract import ClusterContract
from sagakit.testing.store_contract.samples import MakeStore, sent, write
from sagakit.testing.store_contract.sharing import Expire


class TestPostgresCluster(ClusterContract):
    @pytest.fixture
    def make_store(self, postgres_url: str) -> MakeStore:
        return lambda: PostgresStore(postgres_url)

    @pytest.fixture
    def expire(self, postgres_url: str) -> Expire:
        async def expire(worker: str) -> None:
            connection = await connect(PostgresStore(postgres_url).address)
            await connection.execute("UPDATE workers SET expires_at = 0 WHERE id = $1", worker)
            await connection.close()

        return expire


PATIENCE = 30.0

LATE = """
INSERT INTO messages (position, recorded_at, version, id, kind, type, payload, correlation_id)
VALUES (nextval('numbers'), 1, 1, $1, 'command', 'shop.PlaceOrder', '{}', 'story') RETURNING position
"""
LATE_DELIVERY = """
INSERT INTO deliveries (
    id, position, due_at, arrived, writer, more, partition, attempt, crashes, spent, consumer, lane, state
)
VALUES (nextval('numbers'), $1, 0, pg_current_xact_id(), '', 0, 1, 1, 0, 0, 'board', 'late', 'ready')
"""


async def told(
    store: PostgresStore, after: tuple[int, int], count: int, *, limit: int = 1000
) -> list[tuple[tuple[int, int], Envelope]]:
    """So much of the settled log. Whatever else is under way on the server, its own housekeeping too, holds it back."""
    async with asyncio.timeout(PATIENCE):
        while len(page := await store.read_settled(after=after, limit=limit)) < count:
            pass
    return page


async def test_what_commits_late_is_missed_by_nobody(postgres_url: str) -> None:
    """A transaction that took its numbers first commits last: whoever read in between comes back for it."""
    store, writer = PostgresStore(postgres_url), PostgresStore(postgres_url)
    await store.cluster.prepare()
    for name, one in (("reader", store), ("writer", writer)):
        await one.open(own=False)
        await one.cluster.join(Worker(name), ())
    await store.cluster.claim({"board": {1}})
    before, after = sent(consumer="board", partition=1), sent(consumer="board", partition=1)
    late = await connect(store.address)
    await write(writer, before)
    async with late.transaction():
        position = await late.fetchval(LATE, "late")
        await late.execute(LATE_DELIVERY, position)
        await write(writer, after)
        assert position < after.messages[0].position
        arrived = await store.cluster.read_arrivals({"board": {1}})
        assert arrived == [*before.deliveries, *after.deliveries]
        settled = await told(store, (0, 0), 1)
        assert [message.id for _, message in settled] == [before.messages[0].id], (
            "what may be overtaken is not told yet"
        )
        seen = [message.position for message in await store.read_messages()]
        cursor = settled[-1][0]
        assert await store.read_settled(after=cursor) == []
    assert position not in seen, "a cursor of positions alone would stand behind it now"
    assert position < max(seen)
    assert [one.envelope.id for one in await store.cluster.read_arrivals({"board": {1}})] == ["late"]
    assert await store.cluster.read_arrivals({"board": {1}}) == []
    rest = await told(store, cursor, 1, limit=1)
    rest += await told(store, rest[-1][0], 1)
    assert [message.id for _, message in rest] == ["late", after.messages[0].id]
    await late.close()
    for one in (writer, store):
        await one.close()


async def test_many_write_and_one_reads_everything_once(postgres_url: str) -> None:
    stores = [PostgresStore(postgres_url) for _ in range(3)]
    await stores[0].cluster.prepare()
    for number, store in enumerate(stores):
        await store.open(own=False)
        await store.cluster.join(Worker(f"w{number}"), ())
    await stores[0].cluster.claim({"board": {1}})
    arrived: list[int] = []
    log: list[tuple[tuple[int, int], str]] = []

    async def read() -> None:
        arrived.extend(one.id for one in await stores[0].cluster.read_arrivals({"board": {1}}))
        page = await stores[0].read_settled(after=log[-1][0] if log else (0, 0), limit=7)
        log.extend((cursor, message.id) for cursor, message in page)

    async def write_on(store: PostgresStore) -> list[Commit]:
        commits = [sent(consumer="board", partition=1) for _ in range(60)]
        for commit in commits:
            await write(store, commit)
        return commits

    async def read_on() -> None:
        while not writing.done():
            await read()

    try:
        writing = asyncio.gather(*map(write_on, stores[1:]))
        await asyncio.gather(writing, read_on())
        commits = [commit for each in writing.result() for commit in each]
        async with asyncio.timeout(PATIENCE):
            while len(log) < len(commits):
                await read()
        for _ in range(3):
            await read()  # nothing comes twice
        assert sorted(arrived) == sorted(commit.deliveries[0].id for commit in commits)
        assert len(log) == len({id for _, id in log}) == len(commits)
    finally:
        for store in stores:
            await store.close()


async def test_who_gives_and_who_claims_are_not_in_each_others_way(postgres_url: str) -> None:
    one, other = PostgresStore(postgres_url), PostgresStore(postgres_url)
    await one.cluster.prepare()
    for name, store in (("one", one), ("other", other)):
        await store.open(own=False)
        await store.cluster.join(Worker(name), ())
    owned = {f"consumer {number}": list(range(255, -1, -1)) for number in range(5, 0, -1)}
    count = sum(map(len, owned.values()))
    for _ in range(10):
        assert len(await one.cluster.claim(owned)) == count
        # a deadlock would be told to one of them, as StoreFailed
        await asyncio.gather(one.cluster.release(owned, clean=True), other.cluster.claim(owned))
        await other.cluster.claim(owned)
        await asyncio.gather(other.cluster.release(owned, clean=True), one.cluster.claim(owned))
    for store in (one, other):
        await store.close()
