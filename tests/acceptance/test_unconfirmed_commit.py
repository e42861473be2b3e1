"""The store does not confirm a transaction, written or not: the engine finds out, and nothing is lost or done twice."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import apsw
import pytest
from tests.acceptance.orders.messages import OrderCancelled, PlaceOrder
from tests.acceptance.orders.processes import PROCESS, WAYS
from tests.acceptance.orders.running import End, end_of, run_order, topology
from tests.acceptance.orders.world import World

from sagakit.core.commit import Commit, Rejected
from sagakit.core.queries import InstanceQuery
from sagakit.engine.engine import Engine
from sagakit.errors import StoreFailed
from sagakit.stores.postgres.store import PostgresStore
from sagakit.stores.postgres.writing.writer import Writer
from sagakit.stores.sqlite import SqliteStore
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
    make_store, world = (lambda: SqliteStore(folder / "orders.db")), World(ship="refused")
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


class Breaking:
    """Breaks the connection at one transaction, when it is written or before it is sent."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.number = 0
        self.at = 0
        self.done = False
        write = Writer.write

        async def counted(writer: Writer, routing: int, given: list[Any]) -> int:
            self.number += 1
            if self.number != self.at:
                return await write(writer, routing, given)
            if self.done:
                await write(writer, routing, given)
            raise ConnectionResetError("connection reset by peer")

        patch.setattr(Writer, "write", counted)

    def strike(self, at: int, *, done: bool) -> None:
        """Count from now on, and break at this one."""
        self.number, self.at, self.done = 0, at, done


@pytest.mark.parametrize("way", WAYS)
async def test_a_connection_to_postgres_breaks(way: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    world, breaking = World(ship="refused"), Breaking(monkeypatch)
    engine = Engine(topology(way), PostgresStore(postgres_url), provide={World: world})
    await engine.start()

    async def order(id: str) -> tuple[str, ...]:
        """Its story: placed again until it is acknowledged, and to its end."""
        with suppress(StoreFailed):
            await engine.send(PlaceOrder(id), idempotency_key=id)
        receipt = await engine.send(PlaceOrder(id), idempotency_key=id)
        await engine.wait(until=OrderCancelled, correlation_id=receipt.correlation_id, timeout=60)
        update = await engine.wait(PROCESS, id, timeout=60)
        assert (update.status, world.held[id]) == ("compensated", world.held["first"])
        [listed] = await engine.store.read_instances(InstanceQuery(type=PROCESS, key=id))
        return tuple(one.type for one in await engine.store.read_story(listed.search.correlation_id))

    try:
        expected = await order("first")
        calls, transactions = world.calls.total(), breaking.number
        assert transactions > 5
        orders = [(at, done) for at in range(1, transactions + 1) for done in (True, False)]
        for at, done in orders:
            breaking.strike(at, done=done)
            assert await order(f"order {at} {done}") == expected, f"transaction {at}, {done}"
        assert breaking.number >= transactions
        assert world.calls.total() == calls * (len(orders) + 1)
        assert await engine.store.read_deliveries() == []
    finally:
        await engine.stop()
