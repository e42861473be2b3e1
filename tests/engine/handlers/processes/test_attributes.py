"""Attributes: what instances are searched by, after each thing that they take."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Self
from uuid import UUID

import msgspec
import pytest
from tests.each_store import ON_EACH_STORE, Around, new_store

from sagakit import App, Message, Retry, Saga, Step
from sagakit.core.commit import Commit
from sagakit.core.queries import InstanceQuery
from sagakit.engine.handlers.processes.attributes import gathered
from sagakit.ports import Store
from sagakit.testing import engine

pytestmark = ON_EACH_STORE


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True)
class Placed:
    id: str
    customer: str | None = "c-1"
    total: int = 3


@dataclass(frozen=True)
class Moved:
    id: str
    city: str
    customer: str | None = "c-1"


@dataclass(frozen=True)
class Pay:
    id: str


@dataclass(frozen=True)
class Paid:
    id: str
    receipt: str


ALL = ("customer", "total", "city", "receipt")


def handlers() -> App:
    app = App("t")

    @app.handles(retry=Retry(1))
    async def pay(command: Pay) -> Paid:
        return Paid(command.id, "r-7")

    return app


def as_code(*names: str) -> App:
    app = handlers()

    @app.saga(key="id", receives=Moved, attributes=names or ALL)
    async def order(placed: Placed, saga: Saga) -> None:
        while await saga.receive(Moved) != Moved(placed.id, "home"):
            pass
        await saga.do(Pay(placed.id), then=Paid)
        if placed.total == 13:
            raise ValueError("a bug")

    return app


def as_manager(*names: str) -> App:
    app = handlers()

    @app.process_manager(key="id", starts_with=Placed, attributes=names or ALL)
    @dataclass(frozen=True)
    class order:  # noqa: N801
        id: str = ""

        def evolve(self, event: Placed) -> Self:
            return replace(self, id=event.id)

        def react(self, event: Placed | Moved | Paid) -> Pay | None:
            return Pay(self.id) if isinstance(event, Moved) and event.city == "home" else None

    return app


class Counting(Around):
    """A store that counts what is written for those who search."""

    def __init__(self) -> None:
        super().__init__()
        self.written = 0

    async def commit(self, commits: Any) -> Any:
        self.written += sum(len(one.search) for one in commits if isinstance(one, Commit))
        return await self.inner.commit(commits)


async def attributes(store: Store, key: str = "o-1") -> dict[str, Any]:
    (found,) = await store.read_instances(InstanceQuery(key=key))
    return msgspec.json.decode(found.search.attributes)


@pytest.mark.parametrize("way", [as_code, as_manager])
async def test_they_are_those_of_the_newest_that_has_them(way: Any) -> None:
    store = Counting()
    async with engine(way(), store=store) as one:

        async def take(event: Message) -> dict[str, Any]:
            await one.publish(event)
            await one.settle()
            return await attributes(store)

        assert await take(Placed("o-1")) == {"customer": "c-1", "total": 3}
        assert await take(Moved("o-1", "Kyoto")) == {"customer": "c-1", "total": 3, "city": "Kyoto"}
        assert await take(Moved("o-1", "Nara", "c-2")) == {"customer": "c-2", "total": 3, "city": "Nara"}
        before = store.written
        assert await take(Moved("o-1", "Nara", "c-2")) == {"customer": "c-2", "total": 3, "city": "Nara"}
        assert store.written == before  # nothing has changed
        assert await take(Moved("o-1", "Nara", None)) == {"total": 3, "city": "Nara"}
        assert await take(Moved("o-1", "home")) == {"customer": "c-1", "total": 3, "city": "home", "receipt": "r-7"}
        assert await store.read_instances(InstanceQuery(attributes=(("city", "Nara"),))) == []
        assert len(await store.read_instances(InstanceQuery(attributes=(("city", "home"), ("total", "3"))))) == 1


async def test_what_is_not_declared_is_not_kept_and_costs_nothing() -> None:
    store = Counting()
    async with engine(as_code("city"), store=store) as one:
        await one.publish(Placed("o-1"))
        await one.settle()
        assert await attributes(store) == {}
        await one.publish(Moved("o-1", "Kyoto"))
        await one.settle()
        assert await attributes(store) == {"city": "Kyoto"}
        assert store.written == 2


async def test_they_are_kept_over_an_end_and_a_restart_and_no_late_event_changes_them() -> None:
    store = new_store()
    async with engine(as_code(), store=store) as one:
        await one.publish(Placed("o-1"))
        await one.settle()
    async with engine(as_code(), store=store) as one:
        await one.publish(Moved("o-1", "home"))
        await one.settle()
        (found,) = await store.read_instances(InstanceQuery(key="o-1"))
        assert found.row.status == "completed"
        await one.publish(Moved("o-1", "Kyoto"))
        await one.settle()
        assert await attributes(store) == {"customer": "c-1", "total": 3, "city": "home", "receipt": "r-7"}


async def test_one_that_parks_is_found_by_them() -> None:
    app = App("t")

    @app.saga(key="id", attributes="customer")
    async def order(placed: Placed, saga: Saga) -> None:
        raise ValueError("a bug")

    store = new_store()
    async with engine(app, store=store) as one:
        await one.publish(Placed("o-1"))
        await one.settle()
        assert await attributes(store) == {"customer": "c-1"}


async def test_of_a_step_saga() -> None:
    app = handlers()
    app.step_saga("order", Step(Pay, then=Paid), starts_with=Placed, key="id", attributes=("receipt", "total"))
    store = new_store()
    async with engine(app, store=store) as one:
        await one.publish(Placed("o-1"))
        await one.settle()
        assert await attributes(store) == {"receipt": "r-7", "total": 3}


@dataclass(frozen=True)
class Any_:  # noqa: N801
    value: Any


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("text", "text"),
        (7, 7),
        (True, True),
        (1.5, 1.5),
        (Decimal("1.50"), "1.50"),
        (Colour.RED, "red"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01T00:00:00Z"),
        (float("nan"), None),
        (float("inf"), None),
        ([1], None),
        ({"a": 1}, None),
        (object(), None),
    ],
)
def test_text_and_numbers(value: Any, kept: Any) -> None:
    found = msgspec.json.decode(gathered(("value", "other"), (Any_(value),)))
    assert found == ({} if kept is None else {"value": kept})
