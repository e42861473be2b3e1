"""Processes that have started others, as the command line shows them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.acceptance.trips.agency import Agency
from tests.acceptance.trips.messages import BookTrip
from tests.acceptance.trips.processes import MEAL, STAY, TRIP, trips
from tests.cli.conftest import Sagakit
from tests.engine.stage import until

from sagakit.core.streams import instance_id
from sagakit.engine.limits import Limits
from sagakit.stores.sqlite import SqliteStore
from sagakit.testing.manual import engine

DONE, CANCELLED, UNDER_WAY = "done", "cancelled", "under way"


@pytest.fixture(scope="module")
def trips_db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trip that is done, one that was cancelled, and one that is being cancelled."""
    path = tmp_path_factory.mktemp("trips") / "trips.db"
    asyncio.run(travel(path))
    return path


async def travel(path: Path) -> None:
    agency = Agency()
    async with engine(
        trips(), provide={Agency: agency}, store=SqliteStore(path), limits=Limits(stop_within=0.01)
    ) as one:
        await one.send(BookTrip(DONE))
        await one.settle()
        for key, action in ((CANCELLED, "hold wine"), (UNDER_WAY, "drop room")):
            agency.runs.clear()
            agency.closes(action)
            if action != "hold wine":
                agency.closes("hold key")
                agency.opens("hold wine")
            await one.send(BookTrip(key))
            await until(lambda: agency.runs["hold wine"] if key == CANCELLED else agency.runs["hold key"])  # noqa: B023
            await one.cancel(TRIP, key, reason="no more")
            await until(lambda: agency.runs["drop visa"] if key == CANCELLED else agency.runs["drop room"])  # noqa: B023
            if key == CANCELLED:
                await one.settle()


def test_the_ids_of_children(sagakit: Sagakit, trips_db: Path) -> None:
    said = sagakit("processes", "show", instance_id(TRIP, DONE), "--db", trips_db)
    assert (
        f"2  trips.BookStay                            trips.StayBooked\n   started {instance_id(STAY, DONE)}"
        in said.out
    )
    said = sagakit("processes", "show", instance_id(STAY, DONE), "--db", trips_db)
    assert f"  started by   trips.trip {instance_id(TRIP, DONE)}\n" in said.out
    assert f"   started {instance_id(MEAL, DONE)}" in said.out


def test_as_json(sagakit: Sagakit, trips_db: Path) -> None:
    trip = sagakit("processes", "show", instance_id(TRIP, DONE), "--db", trips_db, "--json").json
    stay = sagakit("processes", "show", instance_id(STAY, DONE), "--db", trips_db, "--json").json
    assert [step["command"]["child"] for step in trip["steps"]] == [None, instance_id(STAY, DONE), None]
    assert trip["parent"] is None
    assert stay["parent"] == {"process": TRIP, "id": instance_id(TRIP, DONE)}


def test_a_child_that_was_cancelled_with_its_parent(sagakit: Sagakit, trips_db: Path) -> None:
    step = sagakit("processes", "show", instance_id(TRIP, CANCELLED), "--db", trips_db, "--json").json["steps"][1]
    assert step["command"]["answer"] == {"events": [], "failed": "no more"}
    assert step["undo"]["message"] == "sagakit.CancelChild"
    assert step["undo"]["answer"] == {"events": [], "failed": None}


def test_a_child_that_is_being_cancelled(sagakit: Sagakit, trips_db: Path) -> None:
    shown = sagakit("processes", "show", instance_id(TRIP, UNDER_WAY), "--db", trips_db, "--json").json
    assert shown["status"] == "undoing"
    assert shown["state"] == "undoing trips.BookStay"
    assert shown["waiting_for"] == ["sagakit.CancelChild"]
    assert shown["steps"][1]["undo"]["answer"] is None
