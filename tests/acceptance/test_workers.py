"""The order process on several engines that share a store: the end is the one that it has on a single engine."""

from __future__ import annotations

import pytest
from tests.acceptance.orders.messages import PlaceOrder
from tests.acceptance.orders.processes import PROCESS, WAYS, order_app
from tests.acceptance.orders.running import ORDER, End, end_of, run_order
from tests.acceptance.orders.slow import FINISHES_AFTER, TIMEOUT, Gate, slow_app
from tests.acceptance.orders.world import World
from tests.acceptance.test_crash_everywhere import CRASHES, SCRIPTS, Script
from tests.acceptance.test_three_ways import CASES
from tests.engine.stage import until
from tests.engine.workers.crew import Crew, crew

from sagakit.errors import Stopping, StoreFailed, StoreUnusable
from sagakit.stores.memory import MemoryStore
from sagakit.testing.faults import At, Fault, FaultyStore, SimulatedCrash


def again(made: Crew) -> MemoryStore:
    return MemoryStore(made.data, shared=True)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", CASES)
async def test_ends_the_same(way: str, case: str) -> None:
    script, expected = CASES[case]
    world = World(**script)
    async with crew(order_app(way), "a", "b", "c", provide={World: world}) as made:
        await made.engines["a"].send(PlaceOrder(ORDER), idempotency_key=ORDER)
        await made.finish()
        assert await end_of(lambda: again(made), world) == expected


async def expected(way: str, script: Script) -> tuple[End, list[str]]:
    store, world = MemoryStore(), World(**script)
    await run_order(way, store.again, world)
    return await end_of(store.again, world), world.applied


async def with_crash(way: str, script: Script, name: str, number: int, fault: Fault) -> tuple[End, list[str], bool]:
    """One order on two engines, one of which dies at a commit; whether it came to that."""
    world = World(**script)
    async with crew(order_app(way), provide={World: world}) as made:
        for one in ("a", "b"):
            faults = [At(number, fault, "commit")] if one == name else []
            await made.join(one, store=FaultyStore(again(made), *faults))
        acknowledged = False
        lost = False
        while True:
            try:
                if not acknowledged:
                    await next(iter(made.engines.values())).send(PlaceOrder(ORDER), idempotency_key=ORDER)
                    acknowledged = True
                await made.finish()
                return await end_of(lambda: again(made), world), world.applied, lost
            except (SimulatedCrash, StoreFailed, StoreUnusable, Stopping):
                lost = True
                await made.crash(name)
                await made.join("c")


@pytest.mark.parametrize("name", ["a", "b"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("script", SCRIPTS)
async def test_one_of_two_dies_at_every_commit(way: str, script: str, name: str) -> None:
    end, applied = await expected(way, SCRIPTS[script])
    number, crashes = 1, 0
    while True:
        results = [await with_crash(way, SCRIPTS[script], name, number, fault) for fault in CRASHES]
        for reached, effects, _ in results:
            assert reached == end
            assert effects == applied
        if not any(lost for _, _, lost in results):
            break
        crashes += 1
        number += 1
    assert crashes or name == "b"


@pytest.mark.parametrize("order", [f"order-{number}" for number in range(4)])
@pytest.mark.parametrize("kind", sorted(FINISHES_AFTER))
async def test_a_slow_charge_is_never_refunded_before_it_ends(kind: str, order: str) -> None:
    world, gate = World(), Gate()
    async with crew(slow_app("code", kind), "a", "b", "c", provide={World: world, Gate: gate}) as made:
        await made.engines["a"].send(PlaceOrder(order))
        await until(lambda: gate.entered)
        await made.advance(TIMEOUT + 1)
        assert world.applied == ["reserve"]
        gate.open()
        await made.finish()
        assert world.held[order] in ([], ["cancellation"])
        assert await made.engines["b"].status(PROCESS, order) == "compensated"
