"""The PostgreSQL that other tests run on: started once, gone afterwards."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
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
