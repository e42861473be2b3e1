"""The day that the demo plays."""

from __future__ import annotations

from tests.each_store import ON_EACH_STORE, new_url

from sagakit.demos.hotel.app import hotel
from sagakit.demos.hotel.scenario import Scenario
from sagakit.demos.terminal import Line

pytestmark = ON_EACH_STORE


async def test_every_group_leaves_in_the_end() -> None:
    told: list[Line] = []
    async with hotel.engine(new_url()) as engine:
        await Scenario(engine, told.append).play()
    assert [line.what for line in told] == [
        *("a group stays", "check-out begins", "not all could leave", "they pay", "all have left") * 3,
        "that was it",
    ]
    begun = [line.detail for line in told if line.what == "check-out begins"]
    assert begun == [f"40 guests, by {way}" for way in ("choreography", "process manager", "batch")]
    for line in told:
        if line.what == "not all could leave":
            assert line.detail.startswith("37 have, 3 have not paid: ")
        elif line.what == "all have left":
            assert line.detail == "the next try asked just 3 of them"
