"""What can be wrong with a file, its folder or its owner when it is opened: one clear line each."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import apsw
import pytest

from sagakit.core.queries import OwnerSeen
from sagakit.errors import SchemaTooNew, StoreFailed, StoreInUse, StoreUnusable
from sagakit.stores.sqlite import SqliteStore
from sagakit.stores.sqlite.lock import LOOKING_SECONDS, OwnerLock
from sagakit.stores.sqlite.schema import migrate
from sagakit.testing.store_contract.samples import read_all, sent, write

OWNS = """
import asyncio, sys
from sagakit.stores.sqlite import SqliteStore
from sagakit.testing.store_contract.samples import sent

async def main():
    store = SqliteStore(sys.argv[1])
    await store.open()
    await store.commit([sent()])
    print("owns", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shop.db"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may enter (pytest's own is closed to them)."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Without the rights of root, which no file mode binds."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


async def fails_to_open(path: Path, own: bool = True) -> str:
    store = SqliteStore(path)
    with pytest.raises(StoreUnusable) as raised:
        await store.open(own=own)
    await store.close()
    text = str(raised.value)
    assert str(path) in text
    assert "\n" not in text
    return text


async def test_a_file_that_is_no_database(path: Path) -> None:
    path.write_bytes(b"order,customer\n" * 1000)
    for own in (True, False):
        assert "not an SQLite database" in await fails_to_open(path, own)
    assert path.read_bytes() == b"order,customer\n" * 1000


async def test_another_programs_database(path: Path) -> None:
    other = apsw.Connection(str(path))
    other.execute("CREATE TABLE photos (name TEXT)")
    other.close()
    before = path.read_bytes()
    for own in (True, False):
        assert "another program's database" in await fails_to_open(path, own)
    assert path.read_bytes() == before


async def test_a_newer_schema(path: Path) -> None:
    migrate(path)
    newer = apsw.Connection(str(path))
    newer.execute("UPDATE store SET schema_version = 9, oldest_code = 8")
    newer.close()
    for own in (True, False):
        store = SqliteStore(path)
        with pytest.raises(SchemaTooNew, match=r"has schema 9, which needs .* schema 8; this one knows 2: upgrade"):
            await store.open(own=own)
    with pytest.raises(SchemaTooNew):
        migrate(path)


async def test_a_newer_schema_that_older_code_may_use(path: Path) -> None:
    migrate(path)
    newer = apsw.Connection(str(path))
    newer.execute("UPDATE store SET schema_version = 9")
    newer.close()
    store = SqliteStore(path)
    await store.open()
    await write(store, sent())
    await store.close()
    assert migrate(path) == (9, 9)


async def test_a_reader_migrates_nothing(path: Path) -> None:
    path.touch()
    assert "run `sagakit migrate`" in await fails_to_open(path, own=False)
    assert path.stat().st_size == 0


async def test_a_reader_creates_nothing(path: Path) -> None:
    assert "does not exist" in await fails_to_open(path, own=False)
    assert list(path.parent.iterdir()) == []


async def test_a_missing_folder(path: Path) -> None:
    assert "create that folder" in await fails_to_open(path.parent / "missing" / "shop.db")


async def test_a_folder_in_place_of_the_file(path: Path) -> None:
    path.mkdir()
    assert "cannot be opened" in await fails_to_open(path)


async def test_a_read_only_folder(open_folder: Path) -> None:
    open_folder.chmod(0o555)
    with ordinary_user():
        assert "cannot be written" in await fails_to_open(open_folder / "shop.db")
    assert list(open_folder.iterdir()) == []
    open_folder.chmod(0o777)


async def test_a_read_only_file(open_folder: Path) -> None:
    path = open_folder / "shop.db"
    migrate(path)
    path.chmod(0o444)
    (open_folder / "shop.db-owner").unlink()
    with ordinary_user():
        assert "cannot be written" in await fails_to_open(path)


def test_migrate_tells_from_and_to(path: Path) -> None:
    assert migrate(path) == (0, 2)
    assert migrate(path) == (2, 2)


async def test_a_second_engine_is_told_who_owns_the_file(path: Path) -> None:
    store = SqliteStore(path)
    await store.open()
    with pytest.raises(StoreInUse, match=rf"shop\.db is in use by process {os.getpid()}"):
        await SqliteStore(path).open()
    with pytest.raises(StoreInUse):
        migrate(path)
    await write(store, sent())
    await store.close()
    migrate(path)


async def test_a_killed_owner_leaves_the_file_to_the_next(path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNS, str(path)], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout
        assert owner.stdout.readline() == "owns\n"
        reader = SqliteStore(path)
        assert not await reader.open(own=False)
        assert len(await read_all(reader)) == 1
        await reader.close()
        with pytest.raises(StoreInUse, match=f"process {owner.pid}:"):
            await SqliteStore(path).open()
        await reader.open(own=False)
        assert await reader.read_owner() == OwnerSeen(owner.pid, None)
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        assert await reader.read_owner() is None
        await reader.close()
    store = SqliteStore(path)
    assert not await store.open()
    assert len(await read_all(store)) == 1
    await store.close()


async def test_who_looks_for_an_owner_keeps_nobody_out(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    migrate(path)
    lock = OwnerLock(path)
    assert not lock.is_held()
    looking = os.open(f"{path}-owner", os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)

    def sleep(seconds: float) -> None:
        assert seconds == LOOKING_SECONDS
        os.close(looking)  # it has looked by then

    with monkeypatch.context() as patch:
        patch.setattr("sagakit.stores.sqlite.lock.time", SimpleNamespace(sleep=sleep))
        lock.acquire()
    assert OwnerLock(path).is_held()
    lock.release()
    assert not OwnerLock(path).is_held()
    assert not OwnerLock(path.with_name("missing.db")).is_held()


async def test_a_lock_that_may_not_be_looked_at_counts_as_held(open_folder: Path) -> None:
    path = open_folder / "shop.db"
    migrate(path)
    Path(f"{path}-owner").chmod(0)
    with ordinary_user():
        assert OwnerLock(path).is_held()


async def test_the_address_of_an_owner_that_lost_its_lock_is_refused(path: Path) -> None:
    first, second = SqliteStore(path), SqliteStore(path)
    await first.open()
    path.with_name("shop.db-owner").unlink()
    await second.open()
    with pytest.raises(StoreInUse, match="taken over"):
        await first.announce("http://127.0.0.1:8080")
    assert await second.read_owner() == OwnerSeen(os.getpid(), None)
    await first.close()
    await second.close()


async def test_an_owner_that_lost_its_lock_cannot_write(path: Path) -> None:
    first, second = SqliteStore(path), SqliteStore(path)
    await first.open()
    await write(first, sent())
    path.with_name("shop.db-owner").unlink()
    await second.open()
    late = sent()
    with pytest.raises(StoreInUse, match="taken over"):
        await first.commit([late])
    assert late.messages[0].position == 0
    await write(second, sent())
    await first.close()
    assert len(await read_all(second)) == 2
    await second.close(clean=False)
    assert not await second.open()
    await second.close()


async def test_a_reader_in_the_middle_of_reading_locks_nobody_out(path: Path) -> None:
    store = SqliteStore(path)
    await store.open()
    await write(store, sent(), sent())
    reading = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    rows = iter(reading.execute("SELECT id FROM messages"))
    next(rows)
    await write(store, sent())
    await store.close()
    assert await store.open()
    assert len(list(rows)) == 1
    reading.close()
    assert len(await read_all(store)) == 3
    await store.close()


async def test_giving_up_while_it_opens_leaves_no_owner_behind(path: Path) -> None:
    import asyncio

    store = SqliteStore(path)
    opening = asyncio.create_task(store.open())
    await asyncio.sleep(0)
    opening.cancel()
    await asyncio.wait([opening])
    with pytest.raises(StoreFailed):
        await store.read_messages()
    again = SqliteStore(path)
    while True:
        try:
            await again.open()
            break
        except StoreInUse:
            await asyncio.sleep(0)
    await again.close()
