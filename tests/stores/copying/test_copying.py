"""A copy goes on where its source has stopped."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest
from tests.stores.copying.walks import KINDS, Begin, Count, World, set_going, stand_still, statuses, walks

from sagakit.app.copying import copy_store
from sagakit.app.stores import open_store
from sagakit.core.cluster.members import Worker
from sagakit.core.commit import Subscription
from sagakit.core.streams import instance_id
from sagakit.errors import KeyReused, StoreInUse, StoreUnusable
from sagakit.stores.copying.copying import Copied, CopyDiffers
from sagakit.stores.copying.tables import BATCH, TABLES, Row, Table
from sagakit.stores.postgres.copying.sides import PostgresSide
from sagakit.stores.postgres.store import PostgresStore
from sagakit.stores.sqlite.copying.sides import SqliteSide
from sagakit.testing.manual import ManualClock, ManualEngine, engine


@asynccontextmanager
async def opened(url: str, world: World, clock: ManualClock | None = None) -> AsyncIterator[ManualEngine]:
    async with engine(walks(world), store=open_store(url), clock=clock) as running:
        yield running


@pytest.fixture
async def source(tmp_path: Path) -> tuple[str, ManualClock]:
    """A file in which instances stand still in every way, and its clock."""
    url = str(tmp_path / "source.db")
    async with opened(url, World()) as running:
        await stand_still(running)
        found = await statuses(running)
    assert Counter(found.values()) == {"running": 12, "parked": 3}
    return url, running.hand


@pytest.fixture
def file_url(tmp_path: Path) -> str:
    return str(tmp_path / "copy.db")


def by_table(copied: list[Copied]) -> dict[str, Copied]:
    return {one.table: one for one in copied}


@pytest.mark.parametrize("target", ["postgres_url", "file_url"])
async def test_everything_ends_in_the_copy(
    source: tuple[str, ManualClock], target: str, request: pytest.FixtureRequest
) -> None:
    url, clock = source
    to = request.getfixturevalue(target)
    copied = by_table(await copy_store(url, to))
    assert [name for name, one in copied.items() if not one.rows] == ["checkpoints"]
    assert (copied["processes"].rows, copied["inbox"].rows, copied["pauses"].rows) == (15, 15, 2)

    world = World()
    world.broken = False
    async with opened(to, world, clock) as running:
        assert (await running.send(Begin("waits-0"), idempotency_key="waits-0")).repeated
        with pytest.raises(KeyReused):
            await running.send(Begin("waits-1"), idempotency_key="waits-0")
        await running.operator.pause("instance", instance_id("walks.walk", "sleeps-0"), by="bob", reason="third")
        assert [pause.by for pause in await running.store.read_pauses()] == ["ann", "ann", "bob"]
        await running.operator.resume("instance", instance_id("walks.walk", "sleeps-0"), by="bob", reason="done")
        await set_going(running)
        assert Counter((await statuses(running)).values()) == {"completed": len(KINDS) * 3}
        await running.send(Count("steps"))
        await running.send(Begin("sleeps-9"))
        await running.settle()
        story = await running.store.read_history(instance_id("walks.walk", "sleeps-9"))
    assert sorted(world.rings) == [(f"rings-{number}", at) for number in range(3) for at in (3, 4, 5)]
    assert story, "new numbers are behind all that were copied"


async def test_there_and_back_again_nothing_has_changed(
    source: tuple[str, ManualClock], postgres_url: str, file_url: str
) -> None:
    there = await copy_store(source[0], postgres_url)
    assert await copy_store(postgres_url, file_url) == there


async def test_what_is_copied_is_older_than_every_transaction(
    source: tuple[str, ManualClock], postgres_url: str
) -> None:
    await copy_store(source[0], postgres_url)
    server, _, schema = postgres_url.partition("?schema=")
    with psycopg.connect(server) as connection:
        assert connection.execute(f'SELECT DISTINCT xid::text FROM "{schema}".messages').fetchall() == [("0",)]


async def test_an_unclean_end_is_copied_too(source: tuple[str, ManualClock], postgres_url: str, file_url: str) -> None:
    store = open_store(source[0])
    await store.open()
    await store.close(clean=False)
    await copy_store(source[0], postgres_url)
    await copy_store(source[0], file_url)
    for url in (postgres_url, file_url):
        store = open_store(url)
        assert not await store.open()
        await store.close()


@pytest.mark.parametrize("target", ["postgres_url", "file_url"])
async def test_a_source_on_which_an_engine_runs(
    source: tuple[str, ManualClock], target: str, request: pytest.FixtureRequest
) -> None:
    to = request.getfixturevalue(target)
    async with opened(source[0], World(), source[1]):
        with pytest.raises(StoreInUse, match="stop it first"):
            await copy_store(source[0], to)
    assert len(await copy_store(source[0], to)) == len(TABLES)


async def test_a_postgres_source_on_which_an_engine_runs(
    source: tuple[str, ManualClock], postgres_url: str, file_url: str
) -> None:
    await copy_store(source[0], postgres_url)
    async with opened(postgres_url, World(), source[1]):
        with pytest.raises(StoreInUse):
            await copy_store(postgres_url, file_url)
    assert not Path(file_url).exists()


@pytest.mark.parametrize("target", ["postgres_url", "file_url"])
async def test_a_target_that_is_not_empty(
    source: tuple[str, ManualClock], target: str, request: pytest.FixtureRequest
) -> None:
    to = request.getfixturevalue(target)
    await copy_store(source[0], to)
    with pytest.raises(StoreUnusable, match=r"not empty|exists already"):
        await copy_store(source[0], to)


async def test_a_postgres_store_that_is_owned_alone(
    source: tuple[str, ManualClock], postgres_url: str, file_url: str
) -> None:
    store = PostgresStore(postgres_url)
    await store.open()
    try:
        for one, other in ((source[0], postgres_url), (postgres_url, file_url)):
            with pytest.raises(StoreInUse, match="an engine: stop it"):
                await copy_store(one, other)
    finally:
        await store.close()


async def test_a_target_on_which_an_engine_runs(source: tuple[str, ManualClock], postgres_url: str) -> None:
    async with opened(postgres_url, World()):
        with pytest.raises(StoreInUse):
            await copy_store(source[0], postgres_url)


async def test_an_engine_that_starts_while_it_is_copied_waits_or_is_refused(
    source: tuple[str, ManualClock], postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[BaseException] = []

    async def start_an_engine(table: str, rows: int) -> None:
        if table == "messages" and not refused:
            for url in (source[0], postgres_url):
                store = open_store(url)
                with pytest.raises(StoreInUse) as caught:
                    await store.open()
                refused.append(caught.value)

    meddle(monkeypatch, PostgresSide, start_an_engine)
    await copy_store(source[0], postgres_url)
    assert len(refused) == 2


async def joined(url: str) -> PostgresStore:
    """A store that a worker has joined which takes one message alone."""
    store = PostgresStore(url)
    await store.open(own=False)
    assert store.cluster is not None
    me = Worker("w-1", "W-1", "host", 7, "walks", "1", None, ("walks.walk",))
    await store.cluster.join(me, [Subscription("walks.walk", "walks.Called", 0, "process", "id")])
    return store


async def test_a_target_that_has_workers(source: tuple[str, ManualClock], postgres_url: str) -> None:
    store = PostgresStore(postgres_url)
    await store.open()
    await store.close()
    worker = await joined(postgres_url)
    try:
        with pytest.raises(StoreInUse, match="workers"):
            await copy_store(source[0], postgres_url)
    finally:
        await worker.close()


async def test_a_worker_joins_before_or_after(
    source: tuple[str, ManualClock], postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[str] = []

    async def join(table: str, rows: int) -> None:
        if table == "messages":
            with pytest.raises(StoreInUse) as caught:
                await joined(postgres_url)
            refused.append(str(caught.value))

    meddle(monkeypatch, PostgresSide, join)
    copied = by_table(await copy_store(source[0], postgres_url))
    assert len(refused) == 1
    worker = await joined(postgres_url)
    try:
        assert len(await worker.read_messages(limit=10_000)) == copied["messages"].rows
        found = {(one.consumer, one.type) for one in await worker.read_subscriptions()}
        assert found == {("walks.walk", "walks.Called")}, "what nobody takes any more is gone"
    finally:
        await worker.close()


@pytest.mark.parametrize("target", ["postgres_url", "file_url"])
async def test_a_copy_that_is_cut_short_is_none(
    source: tuple[str, ManualClock], target: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = request.getfixturevalue(target)
    side = PostgresSide if target == "postgres_url" else SqliteSide

    async def cut(table: str, rows: int) -> None:
        if table == "reactions":
            raise asyncio.CancelledError

    with monkeypatch.context() as patch:
        meddle(patch, side, cut)
        with pytest.raises(asyncio.CancelledError):
            await copy_store(source[0], to)
    assert not list(Path(source[0]).parent.glob("copy.db*"))
    assert len(await copy_store(source[0], to)) == len(TABLES)


@pytest.mark.parametrize("target", ["postgres_url", "file_url"])
async def test_a_row_that_is_lost_on_the_way_is_noticed(
    source: tuple[str, ManualClock], target: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = request.getfixturevalue(target)
    side = PostgresSide if target == "postgres_url" else SqliteSide
    write: Callable[..., object] = side.write

    async def lose(self: SqliteSide, table: Table, rows: list[Row]) -> None:
        await write(self, table, rows[:-1] if table.name == "deliveries" else rows)  # type: ignore[misc]

    with monkeypatch.context() as patch:
        patch.setattr(side, "write", lose)
        with pytest.raises(CopyDiffers, match="deliveries: "):
            await copy_store(source[0], to)
    assert len(await copy_store(source[0], to)) == len(TABLES)


async def test_progress_is_told(source: tuple[str, ManualClock], file_url: str) -> None:
    told: list[tuple[str, int, int]] = []
    copied = by_table(await copy_store(source[0], file_url, lambda *one: told.append(one)))
    rows = copied["messages"].rows
    assert rows < BATCH
    assert told[:2] == [("messages", 0, rows), ("messages", rows, rows)]


@pytest.mark.parametrize("url", ["memory://", "missing.db"])
async def test_what_cannot_be_copied(url: str, file_url: str, tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match=r"in memory|does not exist"):
        await copy_store(url if "://" in url else str(tmp_path / url), file_url)


def meddle(patch: pytest.MonkeyPatch, side: type, what: Callable[[str, int], object]) -> None:
    """Do something whenever rows are to be written."""
    write = side.write  # type: ignore[attr-defined]

    async def meddling(self: object, table: Table, rows: list[Row]) -> None:
        await what(table.name, len(rows))  # type: ignore[misc]
        await write(self, table, rows)

    patch.setattr(side, "write", meddling)
