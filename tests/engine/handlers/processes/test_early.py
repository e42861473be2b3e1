"""Events that come before the start: they wait for it, in their order, and are listed if it does not come."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import pytest
from tests.each_store import ON_EACH_STORE, new_store

from sagakit import App, Saga
from sagakit.core.queries import DeliveryQuery
from sagakit.core.streams import instance_id, lane_name
from sagakit.engine.draft import Draft
from sagakit.ports import Store
from sagakit.stores.sqlite import SqliteStore
from sagakit.testing import engine
from sagakit.testing.manual import ManualClock, ManualEngine

pytestmark = ON_EACH_STORE

UNMATCHED = "sagakit.EventUnmatched"
ID = instance_id("t.order", "o-1")


@dataclass(frozen=True)
class Placed:
    id: str = "o-1"


@dataclass(frozen=True)
class Paid:
    number: int
    id: str = "o-1"


def as_manager(early_for: Any = 60) -> tuple[App, list[int]]:
    app, seen = App("t"), list[int]()

    @app.process_manager(key="id", starts_with=Placed, early_for=early_for)
    @dataclass(frozen=True)
    class order:  # noqa: N801
        paid: int = 0

        def evolve(self, event: Paid) -> Self:
            return replace(self, paid=event.number)

        def react(self, event: Placed | Paid) -> None:
            if isinstance(event, Paid):
                seen.append(event.number)

    return app, seen


async def publish(one: ManualEngine, *events: Any) -> None:
    for event in events:
        await one.publish(event)
    await one.settle()


async def asleep(store: Store) -> int:
    return len(await store.find_deliveries(DeliveryQuery(state="scheduled", lane=lane_name("t.order", ID))))


async def listed(store: Store) -> list[str]:
    return [one.type for one in await store.read_messages(limit=100) if one.type == UNMATCHED]


def unmatched(one: ManualEngine) -> int:
    return one._router.unmatched  # pyright: ignore[reportPrivateUsage]


async def test_they_are_told_in_their_order_once_it_has_started() -> None:
    app, seen = as_manager()
    async with engine(app) as one:
        await publish(one, Paid(1), Paid(2))
        assert (seen, await asleep(one.store), unmatched(one)) == ([], 2, 0)
        await one.advance(seconds=59)
        await publish(one, Placed())
        await publish(one, Paid(3))
        assert (seen, await asleep(one.store)) == ([1, 2, 3], 0)
        await one.advance(seconds=600)
        assert (seen, await listed(one.store), unmatched(one)) == ([1, 2, 3], [], 0)


async def test_in_vain() -> None:
    app, seen = as_manager(timedelta(minutes=1))
    async with engine(app) as one:
        await publish(one, Paid(1))
        await one.advance(seconds=59)
        assert (await listed(one.store), unmatched(one)) == ([], 0)
        await one.advance(seconds=1)
        assert (await listed(one.store), unmatched(one), await asleep(one.store)) == ([UNMATCHED], 1, 0)
        await publish(one, Placed())
        assert seen == []


async def test_where_nothing_is_declared_they_do_not_wait() -> None:
    app, seen = as_manager(0)
    async with engine(app) as one:
        await publish(one, Paid(1))
        assert (await asleep(one.store), await listed(one.store), unmatched(one)) == (0, [], 1)
        await publish(one, Placed())
        assert seen == []


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_they_wait_over_a_restart(kind: str, tmp_path: Path) -> None:
    store = new_store() if kind == "memory" else SqliteStore(tmp_path / "early.db")
    clock = ManualClock()
    async with engine(as_manager()[0], store=store, clock=clock) as one:
        await publish(one, Paid(1))
    app, seen = as_manager()
    store = store if kind == "memory" else SqliteStore(tmp_path / "early.db")
    async with engine(app, store=store, clock=clock) as one:
        await publish(one, Placed())
        assert (seen, await asleep(store)) == ([1], 0)


async def test_one_that_is_given_up_while_the_start_is_behind_it() -> None:
    app, seen = as_manager()
    async with engine(app) as one:
        await publish(one, Paid(1))
        await one.operator.pause("process", "t.order", by="ada", reason="a look")
        await publish(one, Placed())  # waits in the lane
        await one.advance(seconds=60)  # and so does that it was in vain
        assert await listed(one.store) == [UNMATCHED]
        await one.operator.resume("process", "t.order", by="ada", reason="seen")
        await one.settle()
        assert (seen, unmatched(one)) == ([1], 0)


async def test_one_that_was_told_is_not_told_again() -> None:
    app, seen = as_manager()
    async with engine(app) as one:
        await publish(one, Paid(1))
        (sleeper,) = await one.store.find_deliveries(DeliveryQuery(state="scheduled"))
        await publish(one, Placed())
        assert seen == [1]
        # as it comes where the start and the end of the wait were written side by side
        process = one.topology.processes["t.order"]
        draft = Draft(lambda draft, result: None)
        draft.commit.messages.append(sleeper.envelope)
        processes = one._processes  # pyright: ignore[reportPrivateUsage]
        await processes.tell(draft, process, sleeper.lane, None, (sleeper.envelope,))
        one._committer.submit(draft)  # pyright: ignore[reportPrivateUsage]
        await one.settle()
        assert seen == [1]


async def test_a_code_saga_and_a_step_saga() -> None:
    app = App("t")

    @app.saga(key="id", receives=Paid, early_for=60)
    async def order(placed: Placed, saga: Saga) -> None:
        for number in (1, 2):
            assert (await saga.receive(Paid)).number == number

    async with engine(app) as one:
        await publish(one, Paid(1), Paid(2), Placed())
        row = await one.store.read_instance(ID)
        assert row is not None
        assert (row.status, row.version) == ("completed", 3)
        assert app.step_saga("steps", starts_with=Placed, key="id", early_for=5).early_for == 5.0


async def test_more_than_a_page_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sagakit.engine.handlers.processes.early.PAGE", 2)
    app, seen = as_manager()
    async with engine(app) as one:
        await publish(one, *map(Paid, range(5)), Placed())
        assert (seen, await asleep(one.store)) == ([0, 1, 2, 3, 4], 0)


async def test_a_start_in_the_same_run_finds_them() -> None:
    """A pause, as a restart, leaves several in a lane, which are handled together."""
    app, seen = as_manager()
    async with engine(app) as one:
        await one.operator.pause("process", "t.order", by="ann", reason="looking")
        await publish(one, Paid(1), Paid(2), Placed(), Paid(3))
        await one.operator.resume("process", "t.order", by="ann", reason="looked")
        await one.settle()
        assert (sorted(seen), await asleep(one.store)) == ([1, 2, 3], 0)


async def test_another_key_starts_nothing_of_it() -> None:
    app, seen = as_manager()
    async with engine(app) as one:
        await publish(one, Paid(1), Placed("o-2"))
        assert (seen, await asleep(one.store)) == ([], 1)
