from __future__ import annotations

import re
from pathlib import Path

import apsw
import pytest
from tests.cli import stories
from tests.cli.conftest import Sagakit


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


@pytest.mark.parametrize("words", [["migrate"], ["backup", "copy.db"]], ids=" ".join)
def test_only_files_are_kept(sagakit: Sagakit, words: list[str]) -> None:
    said = sagakit(*words, "--db", "memory://")
    assert (said.code, said.out) == (1, "")
    assert said.err == "sagakit: memory:// is no SQLite file: its own tools look after it\n"


def test_copy_moves_a_file_to_postgresql(db: Path, postgres_url: str, sagakit: Sagakit) -> None:
    said = sagakit("copy", db, postgres_url)
    assert (said.code, said.err) == (0, "")
    assert re.search(r"^messages +\d+ +[0-9a-f]{32}$", said.out, re.MULTILINE)
    assert re.search(r"^\d+ rows in \d+\.\d s, the same on both sides$", said.out, re.MULTILINE)
    lists = [sagakit("processes", "list", "--json", "--db", one).json for one in (db, postgres_url)]
    assert lists[0]
    assert lists[0] == lists[1]


def test_copy_to_what_is_not_empty(db: Path, postgres_url: str, sagakit: Sagakit) -> None:
    sagakit("copy", db, postgres_url)
    said = sagakit("copy", db, postgres_url)
    assert (said.code, said.out) == (1, "")
    assert "is not empty (messages)" in said.err


def test_copy_of_what_is_not_there(tmp_path: Path, sagakit: Sagakit) -> None:
    said = sagakit("copy", tmp_path / "no.db", tmp_path / "copy.db")
    assert (said.code, said.err) == (1, f"sagakit: {tmp_path / 'no.db'} does not exist: check the path\n")
    assert not list(tmp_path.iterdir())
