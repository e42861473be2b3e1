from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli import stories
from tests.cli.conftest import Sagakit

from sagakit.demos import database_of


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path


def test_the_demo_is_looked_at_by_default(home: Path, sagakit: Sagakit) -> None:
    path = database_of("shop")
    path.parent.mkdir(parents=True)
    stories.write(path, [stories.completed()])
    said = sagakit("processes", "list")
    assert (said.code, said.err) == (0, f"the demo's database: {path}\n")
    assert "order-1" in said.out


def test_without_a_demo_a_database_must_be_named(home: Path, sagakit: Sagakit) -> None:
    said = sagakit("processes", "list")
    assert said.code == 2
    assert said.err == (
        "sagakit: which database? give --db PATH_OR_URL, or set SAGAKIT_DB (the demo has not run here yet)\n"
    )


def test_the_environment_may_name_it(shop_db: Path, sagakit: Sagakit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAGAKIT_DB", str(shop_db))
    said = sagakit("processes", "list", "--key", "order-1")
    assert (said.code, said.err) == (0, "")


def test_the_command_line_goes_before_the_environment(
    shop_db: Path, sagakit: Sagakit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAGAKIT_DB", "nowhere.db")
    assert sagakit("processes", "list", "--db", shop_db).code == 0


def test_a_url_means_the_same_as_its_path(shop_db: Path, sagakit: Sagakit) -> None:
    by_url = sagakit("processes", "list", "--db", f"sqlite:///{shop_db}")
    assert by_url.out == sagakit("processes", "list", "--db", shop_db).out
