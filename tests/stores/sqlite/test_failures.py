"""What the disk can do to the store: a clear error, nothing half done, no acknowledgement after a failed sync."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
from tests.stores.sqlite.disk import FaultyDisk, mounted

from sagakit.core.commit import Commit, Pause
from sagakit.errors import CommitLost, StoreFailed, StoreUnusable
from sagakit.stores.sqlite import SqliteStore, connection
from sagakit.testing.store_contract.samples import event, fired, item, message, read_all, sent, started, timer, write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shop.db"


@pytest.fixture
def disk() -> Iterator[FaultyDisk]:
    with mounted() as disk:
        yield disk


async def stored(path: Path) -> list[str]:
    """The log as the next owner finds it, on a sound disk."""
    store = SqliteStore(path)
    await store.open()
    found = await read_all(store)
    await store.close()
    return found


async def test_nothing_is_acknowledged_after_a_failed_sync(disk: FaultyDisk, path: Path) -> None:
    store = SqliteStore(path)
    await store.open()
    first, second = Commit(messages=[event("order/1", 1)]), Commit(messages=[event("order/1", 2)])
    await write(store, first)
    disk.breaks("sync", apsw.SQLITE_IOERR_FSYNC)
    with pytest.raises(CommitLost, match=r"shop\.db did not confirm"):
        await store.commit([second])
    assert second.messages[0].position == 0
    disk.mend()
    for _ in range(2):
        with pytest.raises(StoreFailed, match="must be opened again"):
            await store.commit([sent()])
    with pytest.raises(StoreFailed, match="must be opened again"):
        await store.read_messages()
    with pytest.raises(StoreFailed, match="must be opened again"):
        await store.subscribe([])
    [written] = await store.committed([second])
    assert bool(second.messages[0].position) == written
    third = Commit(messages=[event("order/1", 3 if written else 2)])
    await write(store, third)
    assert third.messages[0].position == (3 if written else 2)
    await store.close()
    disk.unmount()
    assert await stored(path) == [
        commit.messages[0].id for commit in (first, second, third) if commit.messages[0].position
    ]


@pytest.mark.parametrize("fault", ["sync", "write"])
async def test_a_lost_answer_without_messages_can_be_asked_for(disk: FaultyDisk, path: Path, fault: str) -> None:
    store = SqliteStore(path)
    await store.open()
    scheduled, pause = timer(), Pause("all", "", "ann", "", 1)
    await write(store, Commit(deliveries=[scheduled], instances=started("one").instances))
    commits = [Commit(forgotten=[scheduled.envelope.id]), Commit(items=[item("one", 0)]), Commit(pauses=[pause])]
    disk.breaks(fault, apsw.SQLITE_IOERR)
    with pytest.raises(CommitLost):
        await store.commit(commits)
    disk.mend()
    written = set(await store.committed(commits))
    assert len(written) == 1
    if written == {False}:
        await write(store, *commits)
    assert (await store.commit([fired(scheduled)]))[0] is not None
    await store.close()
    disk.unmount()
    await store.open()
    assert await store.read_scheduled() == []
    assert await store.read_items("one", 1) == [item("one", 0)]
    assert await store.read_pauses() == [pause]
    await store.close()


async def test_as_long_as_the_disk_fails_nothing_can_be_told(disk: FaultyDisk, path: Path) -> None:
    store = SqliteStore(path)
    await store.open()
    disk.breaks("sync", apsw.SQLITE_IOERR_FSYNC)
    lost = sent()
    with pytest.raises(CommitLost):
        await store.commit([lost])
    for _ in range(2):
        with pytest.raises(StoreFailed):
            await store.committed([lost])
    disk.mend()
    [written] = await store.committed([lost])
    assert [lost.messages[0].id] * written == [found.envelope.id for found in lost.deliveries if found.id]
    await write(store, sent())
    await store.close()


async def test_a_failed_write_at_commit_leaves_the_answer_open(disk: FaultyDisk, path: Path) -> None:
    store = SqliteStore(path)
    await store.open()
    first, lost = sent(), sent()
    await write(store, first)
    disk.breaks("write", apsw.SQLITE_IOERR_WRITE)
    with pytest.raises(CommitLost):
        await store.commit([lost])
    disk.mend()
    assert await store.committed([lost, first]) == [False, False]
    await write(store, lost)
    await store.close()
    disk.unmount()
    assert await stored(path) == [first.messages[0].id, lost.messages[0].id]


async def test_a_crash_after_a_failed_sync_is_an_unclean_end(disk: FaultyDisk, path: Path) -> None:
    store = SqliteStore(path)
    await store.open()
    first = sent()
    await write(store, first)
    disk.breaks("sync", apsw.SQLITE_IOERR_FSYNC)
    with pytest.raises(CommitLost):
        await store.commit([sent()])
    disk.mend()
    await store.close()
    disk.unmount()
    again = SqliteStore(path)
    assert not await again.open()
    assert first.messages[0].id in await read_all(again)
    await again.close()


async def test_a_disk_full_at_commit_writes_nothing_and_goes_on_with_space(disk: FaultyDisk, path: Path) -> None:
    store = SqliteStore(path)
    await store.open()
    disk.breaks("write", apsw.SQLITE_FULL, after=1)
    commit = sent()
    with pytest.raises(StoreFailed, match=r"the disk of .*shop\.db is full") as raised:
        await store.commit([commit])
    assert not isinstance(raised.value, CommitLost)
    assert disk.failed
    assert (commit.messages[0].position, commit.deliveries[0].id) == (0, 0)
    disk.mend()
    await write(store, commit)
    await store.close()
    disk.unmount()
    assert await stored(path) == [commit.messages[0].id]


async def test_a_full_database_writes_nothing_and_goes_on_with_space(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.SETTINGS, "max_page_count", 60)
    store = SqliteStore(path)
    await store.open()
    small = Commit(messages=[event("order/1", 1)])
    large = Commit(messages=[event("order/1", 2)])
    large.messages[0].payload = bytes(500_000)
    await write(store, small)
    with pytest.raises(StoreFailed, match="is full, nothing was written"):
        await store.commit([large])
    assert await read_all(store) == [small.messages[0].id]
    small_again = Commit(messages=[event("order/1", 2)])
    await write(store, small_again)
    assert len(await read_all(store)) == 2
    await store.close()


async def test_a_disk_that_cannot_be_read_is_no_empty_database(disk: FaultyDisk, path: Path) -> None:
    store = SqliteStore(path)
    await store.open()
    await write(store, sent())
    await store.close()
    disk.breaks("read", apsw.SQLITE_IOERR_READ)
    with pytest.raises(StoreFailed, match=r"shop\.db could not be read"):
        await store.open()
    disk.mend()
    await store.open()
    await store.close()


async def test_a_damaged_page_is_told(path: Path) -> None:
    store = SqliteStore(path)
    await store.open()
    await write(store, *(Commit(messages=[message()]) for _ in range(500)))
    await store.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:8192] + b"\xa5" * (len(whole) - 8192))
    with pytest.raises(StoreUnusable, match=r"shop\.db is damaged .*restore it from a backup"):
        await damaged_use(store)
    await store.close(clean=False)


async def damaged_use(store: SqliteStore) -> None:
    await store.open()
    await store.read_messages()


async def test_a_damaged_page_stops_a_commit(path: Path) -> None:
    store = SqliteStore(path)
    await store.open()
    await write(store, *(Commit(messages=[event(f"order/{number}", 1)]) for number in range(500)))
    await store.close()
    whole = path.read_bytes()
    reading = apsw.Connection(str(path))
    root = reading.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'deliveries'").fetchall()[0][0]
    reading.close()
    path.write_bytes(whole[: (root - 1) * 4096] + b"\xa5" * 4096 + whole[root * 4096 :])
    await store.open()
    commit = sent()
    with pytest.raises(StoreUnusable, match=r"shop\.db is damaged"):
        await store.commit([commit])
    assert commit.messages[0].position == 0
    await write(store, Commit(messages=[message()]))
    assert len(await read_all(store)) == 501
    await store.close()
