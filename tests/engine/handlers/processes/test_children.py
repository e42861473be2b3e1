"""A process that a command has started answers it with its end, and is cancelled when whoever sent it gives it up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.acceptance.trips.agency import ALL, Agency
from tests.acceptance.trips.messages import BookTrip, TripBooked
from tests.acceptance.trips.processes import MEAL, STAY, TRIP, trips
from tests.engine.stage import until

from sagakit import Refused
from sagakit.stores.memory import MemoryStore
from sagakit.testing.manual import ManualEngine, engine


@asynccontextmanager
async def running(agency: Agency, store: MemoryStore | None = None) -> AsyncIterator[ManualEngine]:
    async with engine(trips(), provide={Agency: agency}, store=store) as one:
        yield one


async def ends(one: ManualEngine) -> list[str]:
    found: list[str] = []
    for process in (TRIP, STAY, MEAL):
        try:
            found.append(await one.status(process, "t"))
        except Exception:
            found.append("none")
    return found


async def test_a_parent_awaits_its_child() -> None:
    agency = Agency()
    async with running(agency) as one:
        booked = await one.send_and_wait(BookTrip("t"), until=TripBooked)
        assert booked == TripBooked("t")
        assert await ends(one) == ["completed"] * 3
    assert tuple(agency.held) == ALL


async def test_a_refusal_deep_down_undoes_all() -> None:
    agency = Agency(hold_wine="refused")
    async with running(agency) as one:
        with pytest.raises(Refused, match="says no"):
            await one.send_and_wait(BookTrip("t"), until=TripBooked)
        await one.settle()
        assert await ends(one) == ["compensated"] * 3
    assert agency.actions == ["hold visa", "hold room", "hold table", "drop table", "drop room", "drop visa"]


@pytest.mark.parametrize("at", ALL)
async def test_a_cancel_of_the_parent_at_every_point(at: str) -> None:
    agency = Agency()
    agency.closes(f"hold {at}")
    async with running(agency) as one:
        await one.send(BookTrip("t"))
        await until(lambda: agency.runs[f"hold {at}"])
        await one.cancel(TRIP, "t", reason="no more")
        agency.opens(f"hold {at}")
        await one.settle()
        assert set(await ends(one)) - {"none"} <= {"compensated", "completed"}
        assert await one.status(TRIP, "t") == "compensated"
    assert agency.held == []
