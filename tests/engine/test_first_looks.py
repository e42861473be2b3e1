"""What is sent is taken to start a new process, without a look into the store; where it is not new, nothing is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.each_store import ON_EACH_STORE

from sagakit import App, OutcomeUnknown, Saga
from sagakit.core.queries import InstanceQuery
from sagakit.core.streams import instance_id, lane_name
from sagakit.engine.engine import Engine

pytestmark = ON_EACH_STORE


@dataclass(frozen=True)
class Order:
    order_id: str


@dataclass(frozen=True)
class Ship:
    order_id: str


@dataclass(frozen=True)
class Shipped:
    order_id: str


def shop_app(shipped: list[str], bugs: list[Exception]) -> App:
    shop = App("shop")

    @shop.handles
    async def ship(command: Ship) -> Shipped:
        shipped.append(command.order_id)
        return Shipped(command.order_id)

    @shop.saga(key="order_id")
    async def fulfil(order: Order, saga: Saga) -> None:
        if bugs:
            raise bugs[0]
        await saga.do(Ship(order.order_id), then=Shipped)

    return shop


@pytest.fixture(params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/shop.db"


@pytest.fixture
async def shipped() -> list[str]:
    return []


@pytest.fixture
async def bugs() -> list[Exception]:
    return []


@pytest.fixture
async def engine(url: str, shipped: list[str], bugs: list[Exception]) -> AsyncIterator[Engine]:
    async with shop_app(shipped, bugs).engine(url) as engine:
        yield engine


def looks_of(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The instances that are read from now on."""
    looks: list[str] = []
    read: Callable[[str], object] = engine.store.read_instance

    def read_instance(id: str) -> object:
        looks.append(id)
        return read(id)

    monkeypatch.setattr(engine.store, "read_instance", read_instance)
    return looks


async def test_a_new_process_is_started_without_a_look(
    engine: Engine, shipped: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = looks_of(engine, monkeypatch)

    await engine.send_and_wait(Order("a"), until=Shipped, timeout=5)

    assert shipped == ["a"]
    assert looks == []


async def test_what_is_there_already_is_found_and_not_started_again(
    engine: Engine, shipped: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await engine.send_and_wait(Order("a"), until=Shipped, timeout=5)
    looks = looks_of(engine, monkeypatch)

    again = await engine.send(Order("a"))
    await engine.send_and_wait(Order("b"), until=Shipped, timeout=5)

    assert len(looks) == 1
    assert shipped == ["a", "b"]
    listed = await engine.store.read_instances(InstanceQuery())
    assert [one.row.key for one in listed] == ["b", "a"]
    story = await engine.store.read_story(again.correlation_id)
    assert [message.type for message in story] == ["shop.Order"]


async def test_a_bug_parks_no_instance_that_was_taken_to_be_new(engine: Engine, bugs: list[Exception]) -> None:
    await engine.send_and_wait(Order("a"), until=Shipped, timeout=5)
    bugs.append(ValueError("mended later"))

    await engine.send(Order("a"))
    with pytest.raises(OutcomeUnknown, match="mended later"):
        await engine.send_and_wait(Order("b"), until=Shipped, timeout=5)

    assert await engine.status("shop.fulfil", "a") == "completed"
    assert await engine.status("shop.fulfil", "b") == "parked"


async def test_an_instance_that_has_ended_leaves_the_memory(engine: Engine) -> None:
    await engine.send_and_wait(Order("a"), until=Shipped, timeout=5)

    assert engine._lanes.find(lane_name("shop.fulfil", instance_id("shop.fulfil", "a"))) is None
