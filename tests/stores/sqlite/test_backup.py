"""A copy of the file while its engine writes."""

import os
from pathlib import Path

import pytest

from sagakit.core.commit import Commit, Pause
from sagakit.core.queries import InstanceQuery, OwnerSeen
from sagakit.errors import StoreUnusable
from sagakit.stores.sqlite import SqliteStore
from sagakit.stores.sqlite import backup as module
from sagakit.stores.sqlite.backup import backup
from sagakit.testing.store_contract.samples import item, message, read_all, started, timer, write


async def test_a_live_copy_is_whole_and_can_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGES", 8)
    store = SqliteStore(tmp_path / "shop.db")
    await store.open()
    await write(store, *(Commit(messages=[message()]) for _ in range(500)))
    steps: list[tuple[int, int]] = []

    backup(tmp_path / "shop.db", tmp_path / "copy.db", lambda done, pages: steps.append((done, pages)))

    assert len(steps) > 2
    assert steps[-1][0] == steps[-1][1]
    await write(store, Commit(messages=[message()]))
    copy = SqliteStore(tmp_path / "copy.db")
    await copy.open()
    assert await read_all(copy) == (await read_all(store))[:500]
    await write(copy, Commit(messages=[message()]))
    await copy.close()
    await store.close()


async def test_writing_goes_on_and_is_not_in_the_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGES", 8)
    store = SqliteStore(tmp_path / "shop.db")
    await store.open()
    await write(store, *(Commit(messages=[message()]) for _ in range(500)))
    owner = store._owner  # a step of the copy is told in this thread, where nothing can be awaited
    assert owner is not None
    written: list[int] = []

    def write_another(done: int, pages: int) -> None:
        commit = Commit(messages=[message()])
        assert owner.commit([commit]) == [None]
        written.append(commit.messages[0].position)

    backup(tmp_path / "shop.db", tmp_path / "copy.db", write_another)

    assert len(await read_all(store)) == 500 + len(written)
    copy = SqliteStore(tmp_path / "copy.db")
    await copy.open(own=False)
    assert len(await read_all(copy)) == 500
    await copy.close()
    await store.close()


async def test_a_copy_has_what_is_for_later_and_no_owner(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "shop.db")
    await store.open()
    await store.announce("http://127.0.0.1:8080")
    begin = started("one", attributes=b'{"city":"Kyoto"}')
    begin.items, begin.pauses, begin.deliveries = [item("one", 0)], [Pause("all", "", "ann", "", 1)], [timer()]
    await write(store, begin)

    backup(tmp_path / "shop.db", tmp_path / "copy.db")

    copy = SqliteStore(tmp_path / "copy.db")
    await copy.open(own=False)
    assert await copy.read_owner() is None
    await copy.close()
    await copy.open()
    assert await copy.read_owner() == OwnerSeen(os.getpid(), None)
    assert await copy.read_items("one", 1) == begin.items
    assert await copy.read_pauses() == begin.pauses
    assert await copy.read_scheduled() == begin.deliveries
    assert len(await copy.read_instances(InstanceQuery(attributes=(("city", "Kyoto"),)))) == 1
    await copy.close()
    await store.close()


async def test_refuses_to_overwrite_and_to_invent(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "shop.db")
    await store.open()
    await store.close()
    (tmp_path / "there.db").write_text("precious")
    with pytest.raises(StoreUnusable, match=r"there\.db exists already"):
        backup(tmp_path / "shop.db", tmp_path / "there.db")
    with pytest.raises(StoreUnusable, match="does not exist"):
        backup(tmp_path / "missing.db", tmp_path / "copy.db")
    with pytest.raises(StoreUnusable, match=r"copy\.db"):
        backup(tmp_path / "shop.db", tmp_path / "missing" / "copy.db")
    assert (tmp_path / "there.db").read_text() == "precious"
