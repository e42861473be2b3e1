from __future__ import annotations

import asyncio
import re
from pathlib import Path

import apsw
import pytest
from tests.cli import stories
from tests.cli.conftest import Sagakit

from sagakit.app.stores import open_store, place_of


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return stories.write(tmp_path / "shop.db", stories.everything())


def test_backup_is_a_database_of_the_same(db: Path, tmp_path: Path, sagakit: Sagakit) -> None:
    said = sagakit("backup", "--db", db, tmp_path / "copy.db")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith(f"{tmp_path / 'copy.db'}: ")
    assert said.out.endswith(f" kB copied from {db}\n")
    lists = [sagakit("processes", "list", "--json", "--db", one).json for one in (db, tmp_path / "copy.db")]
    assert lists[0] == lists[1]


def test_backup_overwrites_nothing(db: Path, tmp_path: Path, sagakit: Sagakit) -> None:
    (tmp_path / "copy.db").write_text("precious", encoding="utf-8")
    said = sagakit("backup", "--db", db, tmp_path / "copy.db")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith(f"sagakit: {tmp_path / 'copy.db'} exists already")
    assert (tmp_path / "copy.db").read_text(encoding="utf-8") == "precious"


def test_migrate_says_from_where_to_where(db: Path, tmp_path: Path, sagakit: Sagakit) -> None:
    apsw.Connection(str(tmp_path / "empty.db")).execute("VACUUM")
    said = sagakit("migrate", "--db", tmp_path / "empty.db")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith(f"{tmp_path / 'empty.db'}: schema 0 -> ")
    newest = said.out.rstrip().rpartition(" ")[2]
    assert sagakit("migrate", "--db", db).out == f"{db}: schema {newest}, up to date\n"


def test_migrate_makes_no_new_file(tmp_path: Path, sagakit: Sagakit) -> None:
    said = sagakit("migrate", "--db", tmp_path / "shop.db")
    assert (said.code, said.err) == (1, f"sagakit: {tmp_path / 'shop.db'} does not exist\n")
    assert list(tmp_path.iterdir()) == []


def test_migrate_makes_a_schema_on_postgresql(postgres_url: str, sagakit: Sagakit) -> None:
    said = sagakit("migrate", "--db", postgres_url)
    newest = said.out.rstrip().rpartition(" ")[2]
    assert (said.code, said.err, said.out) == (0, "", f"{place_of(postgres_url)}: schema 0 -> {newest}\n")
    assert sagakit("processes", "list", "--json", "--db", postgres_url).json["items"] == []
    again = sagakit("migrate", "--db", postgres_url)
    assert again.out == f"{place_of(postgres_url)}: schema {newest}, up to date\n"


async def test_migrate_beside_an_owner_on_postgresql(postgres_url: str, sagakit: Sagakit) -> None:
    store = open_store(postgres_url)
    await store.open()
    try:
        said = await asyncio.to_thread(sagakit, "migrate", "--db", postgres_url)
        assert (said.code, said.err) == (0, "")
        assert said.out.endswith(", up to date\n")
    finally:
        await store.close()


def test_what_is_kept_in_memory_has_nothing_to_migrate(sagakit: Sagakit) -> None:
    said = sagakit("migrate", "--db", "memory://")
    assert (said.code, said.out) == (1, "")
    assert said.err == "sagakit: memory:// is kept in memory: there is nothing to migrate\n"


def test_only_files_are_backed_up(sagakit: Sagakit) -> None:
    said = sagakit("backup", "copy.db", "--db", "postgresql://shop:secret@db.example/shop")
    assert (said.code, said.out) == (1, "")
    assert said.err == "sagakit: postgresql://db.example/shop is no SQLite file: its own tools look after it\n"


def test_copy_moves_a_file_to_postgresql(db: Path, postgres_url: str, sagakit: Sagakit) -> None:
    said = sagakit("copy", db, postgres_url)
    assert (said.code, said.err) == (0, "")
    assert re.search(r"^messages +\d+ +[0-9a-f]{32}$", said.out, re.MULTILINE)
    assert re.search(r"^\d+ rows in \d+\.\d s, the same on both sides$", said.out, re.MULTILINE)
    lists = [sagakit("processes", "list", "--json", "--db", one).json for one in (db, postgres_url)]
    assert lists[0]
    assert lists[0] == lists[1]


def test_copy_says_in_json_what_it_has_copied(db: Path, tmp_path: Path, sagakit: Sagakit) -> None:
    said = sagakit("copy", db, tmp_path / "copy.db", "--json")
    assert (said.code, said.err) == (0, "")
    told = said.json
    rows = {one["table"]: one["rows"] for one in told["tables"]}
    assert rows["messages"] > 0
    assert (told["rows"], told["seconds"] >= 0) == (sum(rows.values()), True)
    assert all(re.fullmatch("[0-9a-f]{32}", one["digest"]) for one in told["tables"])
    failed = sagakit("copy", db, tmp_path / "copy.db", "--json")
    assert (failed.code, failed.out) == (1, "")


def test_copy_to_what_is_not_empty(db: Path, postgres_url: str, sagakit: Sagakit) -> None:
    sagakit("copy", db, postgres_url)
    said = sagakit("copy", db, postgres_url)
    assert (said.code, said.out) == (1, "")
    assert "is not empty (messages)" in said.err


def test_copy_of_what_is_not_there(tmp_path: Path, sagakit: Sagakit) -> None:
    said = sagakit("copy", tmp_path / "no.db", tmp_path / "copy.db")
    assert (said.code, said.err) == (1, f"sagakit: {tmp_path / 'no.db'} does not exist: check the path\n")
    assert not list(tmp_path.iterdir())
