"""What a worker sends to itself stays in order, also behind what others have sent before."""

from __future__ import annotations

from tests.engine.stage import Stage, asking_app
from tests.engine.workers.crew import crew

from sagakit.core.commit import Delivery, Envelope
from sagakit.engine.draft import Draft


def delivered(lane: str, id: int) -> tuple[Draft, Delivery]:
    envelope = Envelope(f"m{id}", "command", "t.Ask", b"{}", "c", 0)
    draft = Draft(lambda draft, result: None)
    return draft, Delivery(envelope, "t.ask", lane, id=id, partition=0)


async def test_nothing_overtakes_what_waits_for_arrivals() -> None:
    """A request at the door waits until they are read; what a handler has sent since then comes after it."""
    async with crew(asking_app(), "a", "b", provide={Stage: Stage()}) as made:
        engine = made.engines["a"]
        team = engine.team
        assert team is not None
        brought: list[int] = []
        team.arrivals._into_lane = lambda one: brought.append(one.id)  # type: ignore[method-assign]
        team._bring = lambda one: brought.append(one.id)  # type: ignore[method-assign]
        team.ownership.leaves = lambda one, own=True: False  # type: ignore[method-assign]
        (door, first), (inside, second) = delivered("lane", 1), delivered("lane", 2)
        door.at_door = True
        team.put(door, first)
        team.put(inside, second)
        team.put(*delivered("other", 3))
        await made.rest()
        assert brought == [3, 1, 2]
        team.put(*delivered("lane", 4))
        assert brought == [3, 1, 2, 4]
