"""Everything comes more than once, and in any order that is allowed: the end is the same."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest
from tests.acceptance.orders.messages import PlaceOrder
from tests.acceptance.orders.processes import WAYS
from tests.acceptance.orders.running import End, HastyClock, end_of, finish, mortal
from tests.acceptance.orders.world import Reply, World
from tests.each_store import ON_EACH_STORE, new_store

from sagakit.engine.lanes.lane import Lane
from sagakit.engine.lanes.lanes import Lanes
from sagakit.errors import KeyInFlight
from sagakit.testing.crashes.disorder import LateProcesses, StaleLanes, ThriceLanes
from sagakit.testing.manual import ManualEngine

pytestmark = ON_EACH_STORE

SCRIPT: dict[str, Reply | tuple[Reply, ...]] = {
    "ship order-1": "refused",
    "charge order-2": "broken after",
    "charge order-3": ("lost", "fails", "done"),
    "refund order-4": "broken",
    "ship order-4": "refused",
    "confirm order-5": "nothing",
}
ORDERS = [f"order-{number}" for number in range(8)]
SEEDS = range(5)


async def ends(way: str, send: Callable[[ManualEngine, str], object] | None = None) -> tuple[dict[str, End], World]:
    """How eight orders end that run at the same time."""
    store, world = new_store(), World(**SCRIPT)
    async with mortal(way, store, world, HastyClock()) as engine:
        for order in ORDERS:
            answer = (send or send_once)(engine, order)
            assert asyncio.iscoroutine(answer)
            await answer
        await finish(engine)
    return {order: await end_of(store.again, world, order) for order in ORDERS}, world


async def send_once(engine: ManualEngine, order: str) -> None:
    await engine.send(PlaceOrder(order), idempotency_key=order)


@pytest.fixture(params=["inline", "by delivery"])
def reacting(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether processes react in the Commit of what they are told, or later."""
    if request.param == "by delivery":
        monkeypatch.setattr(ManualEngine, "processes_class", LateProcesses)
    return request.param


@pytest.mark.parametrize("way", WAYS)
async def test_every_delivery_three_times(way: str, reacting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, once = await ends(way)
    monkeypatch.setattr(ManualEngine, "lanes_class", ThriceLanes)
    found, world = await ends(way)
    assert found == expected
    assert sorted(world.applied) == sorted(once.applied)
    assert world.calls.total() > once.calls.total()


@pytest.mark.parametrize("way", WAYS)
async def test_every_delivery_with_stale_runs_before_and_after(
    way: str, reacting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, once = await ends(way)

    monkeypatch.setattr(ManualEngine, "lanes_class", StaleLanes)
    found, world = await ends(way)
    assert found == expected
    assert sorted(world.applied) == sorted(once.applied)


@pytest.mark.parametrize("way", WAYS)
async def test_every_message_three_times_through_its_door(way: str, reacting: str) -> None:
    expected, _ = await ends(way)

    async def send_thrice(engine: ManualEngine, order: str) -> None:
        """Twice at the same time, and once after its end."""
        sends = [send_once(engine, order), send_once(engine, order)]
        answers = await asyncio.gather(*sends, return_exceptions=True)
        assert [type(answer) for answer in answers] == [type(None), KeyInFlight]
        await finish(engine)
        await send_once(engine, order)

    found, world = await ends(way, send_thrice)
    assert found == expected
    assert set(world.calls.values()) <= {1, 2, 3}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("way", WAYS)
async def test_lanes_in_any_order(way: str, reacting: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, _ = await ends(way)
    chance = random.Random(seed)
    wake = Lanes.wake

    def wake_somewhere(self: Lanes, lane: Lane) -> None:
        wake(self, lane)
        chance.shuffle(self._ready)

    async def linger() -> None:
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)

    act = World.act

    async def act_slowly(self: World, *args: object) -> object:
        await linger()
        answer = await act(self, *args)  # type: ignore[arg-type]
        await linger()
        return answer

    monkeypatch.setattr(Lanes, "wake", wake_somewhere)
    monkeypatch.setattr(World, "act", act_slowly)
    found, _ = await ends(way)
    assert found == expected
