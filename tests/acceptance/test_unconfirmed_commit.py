"""SQLite does not confirm a transaction, written or not: the engine finds out, and nothing is lost or done twice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw
import pytest
from tests.acceptance.orders.processes import WAYS
from tests.acceptance.orders.running import End, end_of, run_order, stores
from tests.acceptance.orders.world import World

from sagakit.core.commit import Commit, Rejected
from sagakit.stores.sqlite.owner import Owner
from sagakit.stores.sqlite.queries import QUERIES


class Unconfirmed:
    """A connection whose COMMIT fails, after it was done or instead."""

    def __init__(self, connection: Any, *, done: bool) -> None:
        self._connection = connection
        self._done = done

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, query: str, *bindings: Any) -> Any:
        if query != QUERIES["commit"]:
            return self._connection.execute(query, *bindings)
        if self._done:
            self._connection.execute(query)
        raise apsw.IOError("disk I/O error")


async def run(
    way: str, folder: Path, patch: pytest.MonkeyPatch, unconfirmed: Sequence[int] = (), *, done: bool = False
) -> tuple[End, World, int]:
    """One order, with these of its transactions unconfirmed; how it ended, and how many there were."""
    folder.mkdir()
    make_store, world = stores("sqlite", folder), World(ship="refused")
    commit, number = Owner.commit, 0

    def counted(self: Owner, commits: Sequence[Commit]) -> list[Rejected | None]:
        nonlocal number
        number += 1
        if number not in unconfirmed:
            return commit(self, commits)
        connection = self._connection
        self._connection = Unconfirmed(connection, done=done)  # type: ignore[assignment]
        try:
            return commit(self, commits)
        finally:
            self._connection = connection

    with patch.context() as patched:
        patched.setattr(Owner, "commit", counted)
        await run_order(way, make_store, world)
    return await end_of(make_store, world), world, number


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("way", WAYS)
async def test_nothing_is_lost_or_done_twice(
    way: str, done: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, without, transactions = await run(way, tmp_path / "without", monkeypatch)
    for number in range(1, transactions + 1):
        end, world, _ = await run(way, tmp_path / str(number), monkeypatch, [number], done=done)
        assert end == expected, f"transaction {number}"
        assert world.calls.total() == without.calls.total(), f"transaction {number}"


@pytest.mark.parametrize("done", [True, False])
async def test_however_often_it_happens(done: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, without, _ = await run("code", tmp_path / "without", monkeypatch)
    end, world, _ = await run("code", tmp_path / "often", monkeypatch, range(1, 40, 2), done=done)
    assert end == expected
    assert world.calls.total() == without.calls.total()
