"""Whoever waits at one worker is told what happens at another one."""

from __future__ import annotations

import asyncio

import pytest
from tests.acceptance.orders.messages import OrderCancelled, OrderConfirmed, PlaceOrder
from tests.acceptance.orders.processes import PROCESS, order_app
from tests.acceptance.orders.world import World
from tests.engine.stage import Ask, Declined, Stage, Told, asking_app, until
from tests.engine.workers.crew import Crew, crew

from sagakit.core.commit import Delivery
from sagakit.core.streams import instance_id, lane_name
from sagakit.errors import NotFound, OutcomeUnknown, Refused, WaitTimeout

ORDERS = 6


def order_at(made: Crew, name: str) -> str:
    """An order whose saga is at home at this worker."""
    return made.key_at(name, PROCESS, lambda key: lane_name(PROCESS, instance_id(PROCESS, key)))


async def test_what_completes_elsewhere_is_told() -> None:
    async with crew(order_app("code"), "a", "b", provide={World: World()}) as made:
        for name in ("a", "b"):
            order = order_at(made, name)
            event = await made.engines["a"].send_and_wait(PlaceOrder(order), until=OrderConfirmed)
            assert event == OrderConfirmed(order)


async def test_what_is_refused_elsewhere_is_told_at_once() -> None:
    async with crew(order_app("code"), "a", "b", provide={World: World(charge="refused")}) as made:
        for name in ("a", "b"):
            with pytest.raises(Refused, match="charge says no"):
                await made.engines["a"].send_and_wait(PlaceOrder(order_at(made, name)), until=OrderConfirmed)


async def test_one_may_wait_for_the_undo_elsewhere() -> None:
    async with crew(order_app("code"), "a", "b", provide={World: World(charge="refused")}) as made:
        order = order_at(made, "b")
        event = await made.engines["a"].send_and_wait(PlaceOrder(order), until=(OrderConfirmed, OrderCancelled))
        assert isinstance(event, OrderCancelled)


async def test_what_parks_elsewhere_is_told() -> None:
    world = World(ship="refused", refund="broken")
    async with crew(order_app("code"), "a", "b", provide={World: world}) as made:
        order = order_at(made, "b")
        with pytest.raises((OutcomeUnknown, Refused)):
            await made.engines["a"].send_and_wait(PlaceOrder(order), until=OrderCancelled)


async def test_a_wait_ends_in_time() -> None:
    world, gate = World(), asyncio.Event()
    world.waits["ship"] = gate.wait
    async with crew(order_app("code"), "a", "b", provide={World: world}) as made:
        waiting = asyncio.create_task(
            made.engines["a"].send_and_wait(PlaceOrder(order_at(made, "b")), until=OrderConfirmed, timeout=5)
        )
        await made.rest()
        await made.advance(6)
        with pytest.raises(WaitTimeout):
            await waiting
        gate.set()
        await made.settle()


def asked_at(made: Crew, name: str) -> str:
    return made.key_at(name, "t.ask", lambda key: lane_name("t.ask", key))


@pytest.mark.parametrize("answer", ["told", "declined", "nothing", "broken"])
async def test_what_a_handler_elsewhere_answers(answer: str) -> None:
    stage = Stage()
    async with crew(asking_app(), "a", "b", provide={Stage: stage}) as made:
        ask = Ask(asked_at(made, "b"))
        answers = {"told": Told(ask.key), "declined": Declined(ask.key, "no"), "nothing": [], "broken": TypeError("x")}
        stage.will(ask, *([answers[answer]] * 3))
        waiting = asyncio.create_task(made.engines["a"].send_and_wait(ask, until=Told))
        await made.rest()
        await made.advance(10)
        if answer == "told":
            assert await waiting == Told(ask.key)
        elif answer == "declined":
            with pytest.raises(Refused, match="no"):
                await waiting
        elif answer == "nothing":
            with pytest.raises(Refused, match=r"t\.Ask led to no event|stage\.Ask led to no event"):
                await waiting
        else:
            with pytest.raises(OutcomeUnknown, match="TypeError: x"):
                await waiting


async def test_a_lost_word_is_made_good_by_another_look() -> None:
    stage = Stage()
    async with crew(asking_app(), "a", "b", provide={Stage: stage}) as made:
        made.data.listeners.clear()
        waiting = asyncio.create_task(made.engines["a"].send_and_wait(Ask(asked_at(made, "b")), until=Told))
        await made.rest()
        assert not waiting.done()
        made.look()
        await made.rest()
        await made.advance(3)
        assert isinstance(await waiting, Told)


async def test_an_instance_elsewhere_is_watched() -> None:
    world, gate = World(), asyncio.Event()
    world.waits["ship"] = gate.wait
    async with crew(order_app("code"), "a", "b", provide={World: world}) as made:
        order = order_at(made, "b")
        await made.engines["b"].send(PlaceOrder(order))
        await made.rest()
        told: list[str] = []

        async def watch() -> None:
            told.extend([update.status async for update in made.engines["a"].watch(PROCESS, order)])

        watching = asyncio.create_task(watch())
        ending = asyncio.create_task(made.engines["a"].wait(PROCESS, order))
        await made.rest()
        gate.set()
        await made.settle()
        await watching
        assert told[-1] == "completed"
        assert (await ending).status == "completed"


async def test_an_instance_that_is_still_to_begin_elsewhere_is_waited_for() -> None:
    async with crew(order_app("code"), "a", "b", provide={World: World()}) as made:
        order = order_at(made, "b")
        with made.unnoticed():  # what is left to the other worker, by that one
            await made.engines["a"].send(PlaceOrder(order))
            with pytest.raises(NotFound):
                await made.engines["a"].wait(PROCESS, order)
            ending = asyncio.create_task(made.engines["a"].wait(PROCESS, order, begun=False))
            await made.rest()
            assert not ending.done()
        await made.settle()
        await made.advance(3)  # that it is waited for was not noticed either
        assert (await ending).status == "completed"


async def test_a_story_that_goes_on_elsewhere_is_watched() -> None:
    world, gate = World(), asyncio.Event()
    world.waits["ship"] = gate.wait
    async with crew(order_app("code"), "a", "b", "c", provide={World: world}) as made:
        order = order_at(made, "b")
        receipt = await made.engines["a"].send(PlaceOrder(order))
        await made.rest()
        told: list[tuple[str, str]] = []

        async def watch() -> None:
            updates = made.engines["a"].watch(correlation_id=receipt.correlation_id)
            told.extend([(update.status, update.state.rpartition(".")[2]) async for update in updates])

        watching = asyncio.create_task(watch())
        await made.rest()
        gate.set()
        await made.settle()
        await watching
        assert told == [
            ("running", ""),
            ("running", "OrderShipped"),
            ("running", "ConfirmOrder"),
            ("ended", "OrderConfirmed"),
        ]


async def test_what_comes_while_it_is_looked_for_is_found() -> None:
    """All of it ends between the look into the log and the look at what is under way."""
    world, gate = World(), asyncio.Event()
    world.waits["ship"] = gate.wait
    async with crew(order_app("code"), "a", "b", provide={World: world}) as made:
        order = order_at(made, "b")
        receipt = await made.engines["a"].send(PlaceOrder(order))
        await made.rest()
        cluster = made.engines["a"].store.cluster
        assert cluster is not None
        read = cluster.read_outstanding
        looks = 0

        async def read_later(correlation_id: str) -> list[Delivery]:
            nonlocal looks
            looks += 1
            if looks == 1:
                gate.set()
                await until(lambda: world.runs("confirm"))
                await asyncio.sleep(0.01)
            return await read(correlation_id)

        cluster.read_outstanding = read_later  # type: ignore[method-assign]
        event = await made.engines["a"].wait(until=OrderConfirmed, correlation_id=receipt.correlation_id)
        assert event == OrderConfirmed(order)
        assert looks
