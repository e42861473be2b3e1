"""`run --workers` as processes of their own on PostgreSQL, and `workers list`."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.cli.conftest import PATIENCE, Sagakit
from tests.cli.conftest import until as until_found
from tests.cli.test_apps import GOOD
from tests.cli.test_running import address, running, started

from sagakit.app.stores import open_store
from sagakit.core.commit import Commit, Delivery, Envelope

LISTENER = """@tills.on
def hear(event: CashCounted) -> None:
    return None
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(GOOD, encoding="utf-8")
    return tmp_path


def until(find: Callable[[], Any]) -> Any:
    """What is found, once it is; while workers begin and end, nothing may be."""

    def found() -> Any:
        with suppress(httpx.TransportError, AssertionError, json.JSONDecodeError):
            return find()

    return until_found(found)


def listed(sagakit: Sagakit, db: str) -> list[dict[str, Any]]:
    said = sagakit("workers", "list", "--db", db, "--json")
    return json.loads(said.out)["items"] if not said.code else []


def test_workers_are_kept_running_and_restarted_one_after_another(
    folder: Path, postgres_url: str, sagakit: Sagakit
) -> None:
    with started(folder, "run", "mine:bank", "--db", postgres_url, "--port", 0, "--workers", 2) as (process, line):
        url = address(line)
        assert "2 workers" in line

        def both() -> list[dict[str, Any]]:
            found = listed(sagakit, postgres_url)
            shares = sorted((one["partitions"], one["state"]) for one in found)
            return found if shares == [(128, "alive")] * 2 else []  # one that was held up is late for a moment

        first = until(both)
        assert [one["name"].rpartition("/")[2] for one in sorted(first, key=lambda one: one["name"])] == ["1", "2"]
        assert len({one["pid"] for one in first}) == 2
        for door in (url, *(one["url"] for one in first)):
            until(lambda door=door: httpx.get(f"{door}/health/ready", timeout=60).status_code == 200)
        jobs = httpx.get(f"{url}/metrics/targets", timeout=60).json()
        targets = {target for one in jobs for target in one["targets"]}
        assert {f"http://{target}" for target in targets} == {one["url"] for one in first}

        os.kill(first[0]["pid"], signal.SIGKILL)
        again = until(
            lambda: (found := both()) and {one["pid"] for one in found} != {one["pid"] for one in first} and found
        )
        assert {one["name"] for one in again} == {one["name"] for one in first}

        (folder / "mine.py").write_text(GOOD.replace("bank = App", f"{LISTENER}\n\nbank = App"), encoding="utf-8")
        process.send_signal(signal.SIGHUP)
        old = {one["pid"] for one in again}
        newest = until(lambda: (found := both()) and not old & {one["pid"] for one in found} and found)
        assert {one["consumers"] for one in newest} == {one["consumers"] + 1 for one in again}

        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
        assert process.returncode == 0
        assert listed(sagakit, postgres_url) == []


def test_workers_end_with_their_supervisor(folder: Path, postgres_url: str, sagakit: Sagakit) -> None:
    with started(folder, "run", "mine:bank", "--db", postgres_url, "--port", 0, "--workers", 2) as (process, _):
        until(lambda: len(listed(sagakit, postgres_url)) == 2)
        process.kill()
        process.wait()
        until(lambda: listed(sagakit, postgres_url) == [])


def test_several_workers_need_a_store_that_they_share(folder: Path) -> None:
    with running(folder, "run", "mine:bank", "--db", folder / "bank.db", "--port", 0, "--workers", 2) as process:
        _, said = process.communicate()
        assert process.returncode == 1
        assert "several workers share a database on PostgreSQL" in said


def test_a_store_of_one_engine_has_no_workers(tmp_path: Path, sagakit: Sagakit) -> None:
    said = sagakit("workers", "list", "--db", str(tmp_path / "none.db"))
    assert said.code == 1


def test_what_waits_for_code_that_no_worker_has_is_named(postgres_url: str, sagakit: Sagakit) -> None:
    async def seed() -> None:
        store = open_store(postgres_url)
        await store.open()
        envelope = Envelope("m", "command", "shop.Ship", b"{}", "m", 0)
        deliveries = [Delivery(envelope, "shop.ship", f"lane {number}") for number in range(3)]
        await store.commit([Commit(messages=[envelope], deliveries=deliveries)])
        await store.close()

    asyncio.run(seed())
    said = sagakit("workers", "list", "--db", postgres_url)
    assert said.code == 0
    assert "3 deliveries wait for shop.ship, which no living worker has code for" in said.out
    said = sagakit("workers", "list", "--db", postgres_url, "--json")
    assert said.json == {"items": [], "unclaimed": [{"consumer": "shop.ship", "deliveries": 3}]}
