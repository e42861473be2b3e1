"""From one schema to the next, with what is in the file."""

from __future__ import annotations

import re
from pathlib import Path

import apsw
import msgspec
import pytest

from sagakit.core.commit import Commit, Delivery, Fence
from sagakit.core.queries import DeliveryQuery, InstanceQuery
from sagakit.errors import SchemaTooNew, StoreUnusable
from sagakit.stores.sqlite import SqliteStore, schema
from sagakit.stores.sqlite.backup import backup
from sagakit.stores.sqlite.schema import APPLICATION_ID, migrate, migrations
from sagakit.testing.store_contract.samples import fired, item, read_all, sent, timer, write

FIRST = """
INSERT INTO messages (position, id, kind, type, payload, correlation_id, recorded_at, version)
VALUES (1, 'm1', 'command', 'shop.PlaceOrder', x'7b7d', 'story', 70, 1);
INSERT INTO deliveries VALUES
    (2, 1, 0, 'orders.place', 'lane', 7, 'scheduled', 99, 1, 0, NULL, NULL),
    (3, 1, 0, 'orders.place', 'lane', 7, 'ready', 0, 2, 0, NULL, NULL),
    (4, 1, 0, 'orders.mail', 'lane', 7, 'parked', 0, 9, 0, 'no mail today', NULL);
INSERT INTO processes VALUES
    (1, 'one', 'shop.fulfil', 'k', 1, 3, 'running', x'00'), (2, 'two', 'shop.fulfil', 'k', 1, 3, 'completed', x'00');
INSERT INTO process_search VALUES
    (1, 'one', 'shop.fulfil', 'k', 'running', 'story', 1, 2, NULL, '', '', NULL, CAST('{"city":"Kyoto"}' AS BLOB)),
    (2, 'two', 'shop.fulfil', 'k', 'completed', 'story', 1, 2, 3, '', '', NULL, CAST('{}' AS BLOB));
UPDATE store SET schema_version = 1, clean = 0, last_position = 1, last_delivery = 4, last_instance = 2;
"""
"""What a sagakit that knows schema 1 has left behind."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "shop.db"
    old = apsw.Connection(str(path))
    old.execute(migrations()[0])
    old.execute(FIRST)
    old.pragma("application_id", APPLICATION_ID)
    old.close()
    return path


async def test_the_engine_migrates_what_the_first_schema_held(path: Path) -> None:
    store = SqliteStore(path)
    assert not await store.open()
    ready, parked = await store.read_deliveries()
    assert (ready.id, ready.envelope.id, ready.attempt, parked.error) == (3, "m1", 2, "no mail today")
    assert await store.find_deliveries(DeliveryQuery(state="parked")) == [parked]
    [asleep] = await store.read_scheduled()
    assert (asleep.id, asleep.due_at, asleep.envelope.id) == (2, 99, "m1")
    assert [found.row.id for found in await store.read_instances(InstanceQuery(correlation_id="story"))] == [
        "two",
        "one",
    ]
    assert [found.row.id for found in await store.read_instances(InstanceQuery(attributes=(("city", "Kyoto"),)))] == [
        "one"
    ]
    assert await store.last_recorded() == 70
    assert await store.read_pauses() == []
    await goes_on(store, ready)
    await store.close()


async def goes_on(store: SqliteStore, ready: Delivery) -> None:
    """All that is new can be written of what is old."""
    scheduled = timer()
    await write(store, Commit(done=[Fence(ready.id, ready.attempt)], deliveries=[scheduled], items=[item("one", 0)]))
    assert scheduled.id == 5
    assert await store.read_items("one", 1) == [item("one", 0)]
    await write(store, fired(scheduled))
    assert await read_all(store) == ["m1", scheduled.envelope.id]


async def test_migrate_alone_tells_from_and_to(path: Path) -> None:
    assert migrate(path) == (1, 2)
    assert migrate(path) == (2, 2)


async def test_a_reader_and_a_backup_say_how_to_migrate(path: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match=r"has schema 1, older than this sagakit's 2: run `sagakit migrate`"):
        await SqliteStore(path).open(own=False)
    with pytest.raises(StoreUnusable, match=r"run `sagakit migrate`"):
        backup(path, tmp_path / "copy.db")


async def test_code_that_would_overlook_what_is_for_later_may_not_open_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqliteStore(path)
    await store.open()
    await write(store, Commit(deliveries=[timer()]))
    await store.close()
    first = migrations()[:1]
    monkeypatch.setattr(schema, "migrations", lambda: first)
    with pytest.raises(SchemaTooNew, match=r"has schema 2, which needs .* schema 2; this one knows 1: upgrade"):
        await SqliteStore(path).open()


async def test_a_migration_that_fails_leaves_the_file_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts = [*migrations(), "CREATE TABLE half (a); CREATE TABLE half (a);"]
    monkeypatch.setattr(schema, "migrations", lambda: scripts)
    with pytest.raises(StoreUnusable):
        migrate(path)
    monkeypatch.undo()
    assert migrate(path) == (2, 2)
    store = SqliteStore(path)
    await store.open()
    assert len(await store.read_deliveries()) == 2
    await store.close()


def test_migrations_are_numbered_and_only_add() -> None:
    folder = Path(schema.__file__).parent / "migrations"
    names = sorted(entry.name for entry in folder.glob("*.sql"))
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))
    for script in migrations()[1:]:
        assert not re.search(r"\b(DROP|RENAME)\b", script, re.IGNORECASE)


async def test_attributes_that_are_no_json_object_are_kept_and_not_found(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "new.db")
    await store.open()
    ready = sent()
    await write(store, ready)
    connection = apsw.Connection(str(tmp_path / "new.db"))
    for number, attributes in enumerate((b"", b"{", b"[1]", b"7"), 1):
        connection.execute(
            "INSERT INTO process_search VALUES (?, ?, 't', 'k', 'running', 's', 1, 2, NULL, '', '', NULL, ?)",
            (number, str(number), attributes),
        )
        connection.execute("UPDATE process_search SET attributes = ? WHERE number = ?", (attributes * 2, number))
    assert connection.execute("SELECT count(*) FROM process_search").get == 4
    connection.execute("UPDATE process_search SET attributes = ? WHERE number = 1", (msgspec.json.encode({"a": [1]}),))
    assert connection.execute("SELECT name, value FROM process_attributes WHERE number = 1").get == ("a", "[1]")
    connection.close()
    await store.close()
