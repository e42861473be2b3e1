"""What still runs here when its lane has become another worker's."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from tests.engine.workers.crew import crew

from sagakit import App


@dataclass(frozen=True)
class Ring:
    bell: str


@dataclass(frozen=True)
class Rung:
    bell: str


async def test_its_failure_is_nobodys_attempt() -> None:
    """The other one knows the delivery as it was: it must stay so."""
    gate, app = asyncio.Event(), App("bells")

    @app.handles
    async def ring(command: Ring) -> Rung:
        await gate.wait()
        raise ConnectionError("broken")

    async with crew(app, "a") as made:
        engine = made.engines["a"]
        await engine.send(Ring("one"))
        await made.rest()
        (lane,) = [one for one in engine._lanes.all() if one.queue]
        engine._lanes.forget(lane)
        gate.set()
        await made.settle()
        (left,) = made.data.deliveries.values()
        assert (left.state, left.attempt) == ("ready", 1)
