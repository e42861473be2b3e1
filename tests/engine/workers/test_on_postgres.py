"""The same on PostgreSQL, with the system's clock and leases that are renewed by threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest
from tests.acceptance.orders.messages import OrderCancelled, OrderConfirmed, PlaceOrder
from tests.acceptance.orders.processes import PROCESS, WAYS, order_app
from tests.acceptance.orders.world import World
from tests.engine.workers.test_withdrawing import Desk, Travel, trips

from sagakit import App
from sagakit.app.stores import open_store
from sagakit.core.queries import DeliveryQuery
from sagakit.core.streams import instance_id, lane_name
from sagakit.engine.engine import Engine
from sagakit.engine.limits import Limits
from sagakit.errors import LeaseLost, Refused

ORDERS = 30
LIMITS = Limits(lease=8.0, stop_within=30.0, hand_over_within=30.0)
"""So long that nobody loses a lease or a handler where the machine stands still for some seconds."""


async def soon(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.02)


async def join(app: App, url: str, name: str, provide: dict[type, object], *, works: bool = True) -> Engine:
    engine = Engine(app.topology(provide=provide), open_store(url), provide=provide, limits=LIMITS)
    assert engine.team is not None
    engine.team.me.name, engine.team.works = name, works
    await engine.start()
    return engine


@asynccontextmanager
async def several(app: App, url: str, provide: dict[type, object], *names: str) -> AsyncGenerator[dict[str, Engine]]:
    engines = {name: await join(app, url, name, provide) for name in names}
    try:
        await balanced(engines)
        yield engines
    finally:
        for engine in engines.values():
            if engine.fatal is None:
                await engine.stop()


async def balanced(engines: dict[str, Engine]) -> None:
    """Wait until everybody has his share."""
    consumers = len(next(iter(engines.values())).topology.consumers) + 1

    def shares() -> list[int]:
        return [sum(map(len, engine.team.ownership.live.values())) for engine in engines.values() if engine.team]

    await soon(lambda: sum(shares()) == 256 * consumers and max(shares()) - min(shares()) <= consumers)


@pytest.mark.parametrize("way", WAYS)
async def test_orders_cross_from_one_worker_to_another(postgres_url: str, way: str) -> None:
    world = World(**{"charge o7": "refused"})
    async with several(order_app(way), postgres_url, {World: world}, "a", "b", "c") as engines:
        doors = list(engines.values())
        waits = [
            doors[number % 3].send_and_wait(PlaceOrder(f"o{number}"), until=OrderConfirmed, timeout=60)
            for number in range(ORDERS)
        ]
        answers = await asyncio.gather(*waits, return_exceptions=True)
        assert isinstance(answers[7], Refused)
        assert [one for place, one in enumerate(answers) if place != 7] == [
            OrderConfirmed(f"o{number}") for number in range(ORDERS) if number != 7
        ]
        assert max(world.calls.values()) == 1


async def test_workers_come_and_go(postgres_url: str) -> None:
    world, app = World(), order_app("code")
    world.waits["ship"] = lambda: asyncio.sleep(0.05)
    provide: dict[type, object] = {World: world}
    async with several(app, postgres_url, provide, "a", "b") as engines:

        async def place(number: int) -> None:
            door = next(engine for engine in engines.values() if engine.ready() is None)
            await door.send(PlaceOrder(f"o{number}"), idempotency_key=f"o{number}")

        async def load() -> None:
            for number in range(60):
                await place(number)
                await asyncio.sleep(0.02)

        loading = asyncio.create_task(load())
        engines["c"] = await join(app, postgres_url, "c", provide)
        await asyncio.sleep(0.3)
        await engines.pop("b").stop()
        engines["d"] = await join(app, postgres_url, "d", provide)
        await asyncio.sleep(0.2)
        await engines.pop("c").stop()
        await loading
        await soon(lambda: all(len(world.held[f"o{number}"]) == 4 for number in range(60)))
        assert max(world.calls.values()) == 1
        for number in range(60):
            update = await engines["a"].wait(PROCESS, f"o{number}", timeout=60)
            assert update.status == "completed"


async def test_one_whose_lease_expires_dies_and_is_taken_over(postgres_url: str) -> None:
    world, gate = World(), asyncio.Event()
    world.waits["ship"] = gate.wait
    async with several(order_app("code"), postgres_url, {World: world}, "a", "b") as engines:
        for number in range(ORDERS):
            await engines["a"].send(PlaceOrder(f"o{number}"))
        await soon(lambda: world.runs("ship") == ORDERS)
        zombie = engines["b"]
        assert zombie.team is not None
        assert zombie.team._heart is not None
        await zombie.team._heart.stop()
        left = {"a": engines["a"]}
        await balanced(left)
        gate.set()
        await soon(lambda: all(len(world.held[f"o{number}"]) == 4 for number in range(ORDERS)))
        await asyncio.wait_for(zombie.stopped(), 60)
        assert isinstance(zombie.fatal, LeaseLost)
        await zombie.stop()
        assert len(world.applied) == 4 * ORDERS


def at(engines: dict[str, Engine], name: str, consumer: str, lane_of: Callable[[str], str]) -> str:
    """A key whose lane this worker owns."""
    team = engines[name].team
    assert team is not None
    keys = (f"k{number}" for number in range(10_000))
    return next(key for key in keys if not team.ownership.is_elsewhere(consumer, lane_of(key)))


@pytest.mark.parametrize(("saga", "do", "undo"), [("a", "b", "a"), ("a", "a", "b"), ("a", "b", "c")])
async def test_an_undo_waits_for_a_run_elsewhere(postgres_url: str, saga: str, do: str, undo: str) -> None:
    desk = Desk()
    desk.stubborn = True
    async with several(trips(), postgres_url, {Desk: desk}, "a", "b", "c") as engines:
        process = "trips.travel"
        trip = Travel(
            at(engines, saga, process, lambda key: lane_name(process, instance_id(process, key))),
            at(engines, do, "trips.book", lambda key: lane_name("trips.book", key)),
            at(engines, undo, "trips.unbook", lambda key: lane_name("trips.unbook", key)),
        )
        await engines["a"].publish(trip)
        await soon(lambda: desk.done == ["begin"])
        assert await engines["c"].cancel(process, trip.trip, reason="no")
        await asyncio.sleep(0.7)
        assert desk.done == ["begin"]
        desk.leave.set()
        assert (await engines["b"].wait(process, trip.trip, timeout=60)).status == "compensated"
        assert desk.done == ["begin", "cancelled", "unbook"]
        assert not await engines["a"].store.find_deliveries(DeliveryQuery())


async def test_an_operator_reaches_what_others_own(postgres_url: str) -> None:
    world = World(ship="refused", refund=("broken", "done"))
    async with several(order_app("code"), postgres_url, {World: world}, "a", "b", "c") as engines:
        order = at(engines, "b", PROCESS, lambda key: lane_name(PROCESS, instance_id(PROCESS, key)))
        await engines["a"].send(PlaceOrder(order))
        await soon(lambda: world.runs("refund") == 1)
        async with asyncio.timeout(60):
            while await engines["a"].status(PROCESS, order) != "compensation_failed":
                await asyncio.sleep(0.02)
        id = instance_id(PROCESS, order)
        acted = await engines["c"].operator.act(id, "resume_compensation", by="ann", reason="mended")
        assert acted.action == "resume_compensation"
        assert (await engines["c"].wait(PROCESS, order, timeout=60)).status == "compensated"


async def test_one_that_only_sends_waits_for_what_others_do(postgres_url: str) -> None:
    world = World(charge="refused")
    provide: dict[type, object] = {World: world}
    async with several(order_app("code"), postgres_url, provide, "a", "b") as engines:
        assert engines
        door = await join(order_app("code"), postgres_url, "door", provide, works=False)
        try:
            event = await door.send_and_wait(PlaceOrder("o1"), until=OrderCancelled, timeout=60)
            assert event.order_id == "o1"
        finally:
            await door.stop()
