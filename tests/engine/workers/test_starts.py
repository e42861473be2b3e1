"""A command that starts an instance at another worker: it is taken to be new, and looked for only if it is not."""

from __future__ import annotations

import pytest
from tests.engine.test_first_looks import Order, Shipped, looks_of, shop_app
from tests.engine.workers.crew import Crew, crew

from sagakit.core.queries import InstanceQuery
from sagakit.core.streams import instance_id, lane_name
from sagakit.errors import OutcomeUnknown, Refused

FULFIL = "shop.fulfil"


def keys_at(made: Crew, name: str) -> list[str]:
    """Two keys whose instances are at home at this worker."""
    keys = (f"k{number}" for number in range(1_000))
    here = (key for key in keys if made.owner(FULFIL, lane_name(FULFIL, instance_id(FULFIL, key))) == name)
    return [next(here), next(here)]


async def test_one_that_is_new_is_started_without_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    shipped: list[str] = []
    async with crew(shop_app(shipped, []), "a", "b") as made:
        looks, (key, _) = looks_of(made.engines["b"], monkeypatch), keys_at(made, "b")
        await made.engines["a"].send_and_wait(Order(key), until=Shipped)
        assert shipped == [key]
        assert looks == []


async def test_one_that_is_there_is_not_started_again() -> None:
    shipped: list[str] = []
    async with crew(shop_app(shipped, []), "a", "b") as made:
        key, other = keys_at(made, "b")
        await made.engines["a"].send_and_wait(Order(key), until=Shipped)
        await made.settle()
        with pytest.raises(Refused, match=f"the key '{key}' is used"):
            await made.engines["a"].send_and_wait(Order(key), until=Shipped)
        await made.engines["a"].send_and_wait(Order(other), until=Shipped)
        assert shipped == [key, other]
        listed = await made.engines["b"].store.read_instances(InstanceQuery())
        assert [one.row.key for one in listed] == [other, key]


async def test_a_bug_parks_no_instance_that_was_taken_to_be_new() -> None:
    shipped, bugs = list[str](), list[Exception]()
    async with crew(shop_app(shipped, bugs), "a", "b") as made:
        key, other = keys_at(made, "b")
        await made.engines["a"].send_and_wait(Order(key), until=Shipped)
        await made.settle()
        bugs.append(ValueError("mended later"))
        await made.engines["a"].send(Order(key))
        with pytest.raises(OutcomeUnknown, match="mended later"):
            await made.engines["a"].send_and_wait(Order(other), until=Shipped)
        assert await made.engines["b"].status(FULFIL, key) == "completed"
        assert await made.engines["b"].status(FULFIL, other) == "parked"
