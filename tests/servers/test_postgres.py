"""The PostgreSQL that other tests run on: started once, gone afterwards."""

from __future__ import annotations

from pathlib import Path
from shutil import copytree

import psycopg
import pytest
from tests.servers import postgres
from tests.servers.postgres import server
from tests.servers.shared import shared

pytestmark = pytest.mark.long


def test_two_share_a_server_and_the_last_one_ends_it(tmp_path: Path) -> None:
    with shared("postgres", tmp_path) as one:
        with shared("postgres", tmp_path) as two:
            assert one == two
        with psycopg.connect(one) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    with shared("postgres", tmp_path) as three, psycopg.connect(three) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_one_of_its_own_is_killed_and_comes_back() -> None:
    with server() as own:
        own.restart("immediate")
        with psycopg.connect(own.url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_its_user_runs_programs_that_are_in_the_home_of_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = postgres._programs().parent.parent
    home = tmp_path / "home"
    for folder in (wheel, wheel.with_name(f"{wheel.name}.libs")):
        copytree(folder, home / folder.name, symlinks=True)
    home.chmod(0o700)
    programs = home / wheel.name / postgres._programs().parent.name / "bin"
    monkeypatch.setattr(postgres, "_programs", lambda: programs)
    with server() as own, psycopg.connect(own.url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
