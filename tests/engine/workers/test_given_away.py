"""What still runs when its lane has become another worker's, or when its worker ends."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from tests.engine.workers.crew import crew

from sagakit import App
from sagakit.errors import StoreFailed


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


async def test_nothing_is_read_after_the_end() -> None:
    """A store that is closed fails, and whoever tries again would do so for ever."""

    async def fails() -> None:
        raise StoreFailed("not now")

    async with crew(App("bells"), "a") as made:
        engine = made.engines["a"]
        team = engine.team
        assert team is not None
        engine.store.read_pauses = fails  # type: ignore[method-assign, assignment]
        team._read_pauses()
        reading = team._pausing
        assert reading is not None
        await asyncio.sleep(0)
        await made.leave("a")
        await asyncio.sleep(0)
        assert reading.done()
