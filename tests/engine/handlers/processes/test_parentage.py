"""Which instance has started which, found in a store."""

from __future__ import annotations

import pytest
from tests.acceptance.trips.agency import Agency
from tests.acceptance.trips.messages import BookTrip
from tests.acceptance.trips.processes import MEAL, STAY, TRIP, trips
from tests.each_store import ON_EACH_STORE, new_store

from sagakit.core.streams import instance_id, lane_name
from sagakit.engine.handlers.processes import parentage
from sagakit.engine.handlers.processes.parentage import children_of, parent_of
from sagakit.testing.manual import engine

pytestmark = ON_EACH_STORE


@pytest.fixture(params=[1, 100])
def page(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(parentage, "PAGE", request.param)
    return request.param


async def test_children_and_parents(page: int) -> None:
    store = new_store()
    async with engine(trips(), provide={Agency: Agency()}, store=store) as one:
        for key in ("t", "u"):
            await one.send(BookTrip(key))
        await one.settle()
        trip, stay, meal = (instance_id(process, "t") for process in (TRIP, STAY, MEAL))
        histories = [await store.read_history(id) for id in (trip, stay, meal)]
        children = [await children_of(store, history) for history in histories]
    assert [list(found.values()) for found in children] == [[stay], [meal], []]
    (command,) = children[0]
    assert command in {output.id for entry in histories[0] for output in entry.outputs}
    assert [parent_of(history) for history in histories] == [None, lane_name(TRIP, trip), lane_name(STAY, stay)]
    assert parent_of([]) is None


async def test_no_more_instances_are_looked_at_than_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parentage, "PAGE", 1)
    monkeypatch.setattr(parentage, "MOST", 1)
    store = new_store()
    async with engine(trips(), provide={Agency: Agency()}, store=store) as one:
        await one.send(BookTrip("t"))
        await one.settle()
        # the newest one of the story is the meal
        assert await children_of(store, await store.read_history(instance_id(TRIP, "t"))) == {}
