"""Keys that a worker makes for itself: what begins with one of them there stays there."""

from __future__ import annotations

import pytest
from tests.engine.test_first_looks import Order, Shipped, shop_app
from tests.engine.workers.crew import crew
from tests.engine.workers.test_faults import Numbers, lists

from sagakit.core.streams import instance_id, lane_name
from sagakit.errors import NotFound
from sagakit.testing.manual import engine

FULFIL = "shop.fulfil"


def lane(key: str) -> str:
    return lane_name(FULFIL, instance_id(FULFIL, key))


async def test_it_is_at_home_where_it_was_made() -> None:
    async with crew(shop_app([], []), "a", "b", "c") as made:
        for name, one in made.engines.items():
            keys = [one.new_key(FULFIL) for _ in range(50)]
            assert len(set(keys)) == 50
            assert {made.owner(FULFIL, lane(key)) for key in keys} == {name}


async def test_an_aggregate_of_it_is_at_home_too() -> None:
    app = lists()
    async with crew(app, "a", "b") as made:
        consumer = made.engines["a"].topology.aggregates[Numbers].name
        keys = [made.engines["b"].new_key(Numbers) for _ in range(20)]
        assert {made.owner(consumer, lane_name(consumer, key)) for key in keys} == {"b"}


async def test_what_begins_with_it_crosses_to_nobody() -> None:
    shipped: list[str] = []
    async with crew(shop_app(shipped, []), "a", "b") as made:
        other = made.engines["b"].team
        assert other is not None
        heard: list[str] = []
        really = other.notices.came
        made.data.listeners[other.me.id] = lambda notice: (heard.append(notice.kind), really(notice))[1]
        await made.settle()
        heard.clear()
        one = made.engines["a"]
        for _ in range(20):
            await one.send_and_wait(Order(one.new_key(FULFIL)), until=Shipped)
        await made.settle()
        assert len(shipped) == 20
        assert "came" not in heard
        key = next(key for n in range(100) if made.owner(FULFIL, lane(key := f"k{n}")) == "b")
        await one.send_and_wait(Order(key), until=Shipped)
        assert "came" in heard


async def test_one_who_only_sends_makes_keys_as_well() -> None:
    async with crew(shop_app([], []), "a") as made:
        sender = await made.join("sender", works=False)
        assert len({sender.new_key(FULFIL) for _ in range(5)}) == 5


async def test_one_engine_alone_makes_keys_as_well() -> None:
    async with engine(shop_app([], [])) as alone:
        key = alone.new_key(FULFIL)
        assert len(key) == 32
        await alone.send_and_wait(Order(key), until=Shipped)
        assert await alone.status(FULFIL, key) == "completed"
        assert alone.new_key() != key
        with pytest.raises(NotFound, match=r"'shop\.nothing' is no process of this app"):
            alone.new_key("shop.nothing")
