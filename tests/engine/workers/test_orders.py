"""One order process on several engines that share a store: commands and outcomes cross from one to another."""

from __future__ import annotations

import asyncio

import pytest
from tests.acceptance.orders.messages import PlaceOrder
from tests.acceptance.orders.processes import PROCESS, WAYS, order_app
from tests.acceptance.orders.world import World
from tests.engine.stage import until
from tests.engine.workers.crew import PATIENT, Crew, crew

from sagakit.core.queries import InstanceQuery

ORDERS = 20


async def place(made: Crew, count: int = ORDERS) -> None:
    names = list(made.engines)
    for number in range(count):
        engine = made.engines[names[number % len(names)]]
        await engine.send(PlaceOrder(f"o{number}"), idempotency_key=f"o{number}")


async def ends(made: Crew) -> dict[str, str]:
    store = next(iter(made.engines.values())).store
    return {one.row.key: one.row.status for one in await store.read_instances(InstanceQuery(type=PROCESS, limit=1000))}


def all_done(world: World, count: int = ORDERS) -> None:
    for number in range(count):
        assert world.held[f"o{number}"] == ["stock", "money", "parcel", "confirmation"]
    assert max(world.calls.values()) == 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("count", [1, 2, 3])
async def test_all_are_done_once(way: str, count: int) -> None:
    world = World()
    async with crew(order_app(way), *[f"w{n}" for n in range(count)], provide={World: world}) as made:
        await place(made)
        await made.settle()
        assert set((await ends(made)).values()) == {"completed"}
        assert len(await ends(made)) == ORDERS
        all_done(world)


async def test_each_partition_has_one_owner() -> None:
    async with crew(order_app("code"), "a", "b", "c", provide={World: World()}) as made:
        for consumer in made.app.topology(provide=[World]).consumers:
            owned = [made.owned(name)[consumer] for name in "abc"]
            assert [len(one) for one in owned] in ([85, 85, 86], [85, 86, 85], [86, 85, 85])
            assert len(set().union(*owned)) == 256


async def test_one_that_joins_takes_its_share_of_what_is_under_way() -> None:
    world, gate = World(), asyncio.Event()
    world.waits["ship"] = gate.wait
    async with crew(order_app("code"), "a", provide={World: world}, limits=PATIENT) as made:
        await place(made)
        await made.rest()
        await made.join("b")
        await until(lambda: made.owned("b"))
        gate.set()
        await made.settle()
        assert set((await ends(made)).values()) == {"completed"}
        all_done(world)
        assert made.owned("b")


async def test_one_that_leaves_gives_its_share_to_the_others() -> None:
    world = World(charge="fails")
    async with crew(order_app("code"), "a", "b", "c", provide={World: world}) as made:
        await place(made)
        await made.rest()
        await made.leave("b")
        await made.finish()
        assert set((await ends(made)).values()) == {"compensated"}
        assert world.runs("charge") == 3 * ORDERS


async def test_what_one_that_crashes_had_is_taken_over() -> None:
    world, gate = World(), asyncio.Event()
    world.waits["ship"] = gate.wait
    async with crew(order_app("code"), "a", "b", provide={World: world}) as made:
        await place(made)
        await made.rest()
        await made.crash("b")
        gate.set()
        await made.settle()
        assert set((await ends(made)).values()) == {"completed"}
        assert len(await ends(made)) == ORDERS
        for number in range(ORDERS):
            assert world.held[f"o{number}"] == ["stock", "money", "parcel", "confirmation"]
        assert {count for (action, _), count in world.calls.items() if action != "ship"} == {1}
