"""An operator's action at one worker, on what another one owns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple

import pytest
from tests.acceptance.orders.messages import PlaceOrder
from tests.acceptance.orders.processes import PROCESS, order_app
from tests.acceptance.orders.world import World
from tests.engine.stage import Ask, Stage, asking_app
from tests.engine.workers.crew import Crew, crew
from tests.engine.workers.test_waiting import asked_at, order_at

from sagakit import App, End
from sagakit.core.commit import Delivery
from sagakit.core.queries import DeliveryQuery
from sagakit.core.streams import instance_id
from sagakit.engine.lanes.lane import Lane, Moved
from sagakit.engine.workers.across.operating import PATIENCE, SharedOperator
from sagakit.errors import NotFound, NotPossible, StaleVersion, WaitTimeout

BY = {"by": "ann", "reason": "because"}
NAMES = ("a", "b", "c")


async def parked_order(made: Crew, world: World) -> str:
    order = order_at(made, "b")
    await made.engines["a"].send(PlaceOrder(order))
    await made.finish()
    assert await made.engines["a"].status(PROCESS, order) == "compensation_failed"
    return order


async def parked_ask(made: Crew, stage: Stage) -> Delivery:
    """A command that its handler at b has failed at three times."""
    ask = Ask(asked_at(made, "b"))
    stage.will(ask, *[TypeError("no")] * 3)
    await made.engines["a"].send(ask)
    await made.finish()
    (parked,) = await made.engines["a"].store.find_deliveries(DeliveryQuery(state="parked"))
    return parked


class Shipping(NamedTuple):
    """An order whose saga is at home at b, and at its third step."""

    made: Crew
    order: str
    world: World
    gate: asyncio.Event
    """The step ends once it is open."""


@asynccontextmanager
async def shipping() -> AsyncGenerator[Shipping]:
    world, gate = World(), asyncio.Event()
    world.waits["ship"] = gate.wait
    async with crew(order_app("code"), *NAMES, provide={World: world}) as made:
        order = order_at(made, "b")
        await made.engines["a"].send(PlaceOrder(order))
        await made.rest()
        yield Shipping(made, order, world, gate)


async def test_a_parked_command_elsewhere_is_tried_anew() -> None:
    stage = Stage()
    async with crew(asking_app(), *NAMES, provide={Stage: stage}) as made:
        parked = await parked_ask(made, stage)
        acted = await made.engines["a"].operator.act_on_delivery(parked.id, "retry", **BY)
        assert acted.action == "retry"
        await made.settle()
        assert len(stage.ended) == 4
        assert not made.data.deliveries


async def test_a_parked_command_elsewhere_is_dropped() -> None:
    stage = Stage()
    async with crew(asking_app(), *NAMES, provide={Stage: stage}) as made:
        parked = await parked_ask(made, stage)
        await made.engines["a"].operator.act_on_delivery(parked.id, "drop", **BY)
        await made.settle()
        assert not made.data.deliveries
        with pytest.raises(NotFound):
            await made.engines["a"].operator.act_on_delivery(parked.id, "drop", **BY)


async def test_what_does_not_fit_is_refused_in_words() -> None:
    stage = Stage()
    async with crew(asking_app(), *NAMES, provide={Stage: stage}) as made:
        ask = Ask(asked_at(made, "b"))
        stage.closes(ask)
        await made.engines["a"].send(ask)
        await made.rest()
        (running,) = await made.engines["a"].store.find_deliveries(DeliveryQuery())
        with pytest.raises(NotPossible, match="the delivery is ready"):
            await made.engines["a"].operator.act_on_delivery(running.id, "retry", **BY)
        stage.opens(ask)
        await made.settle()


async def test_an_instance_elsewhere_is_cancelled_and_abandoned() -> None:
    world, gate = World(), asyncio.Event()
    world.waits["ship"] = gate.wait
    async with crew(order_app("code"), *NAMES, provide={World: world}) as made:
        for action, status in (("cancel", "compensated"), ("abandon", "abandoned")):
            order = next(
                key
                for number in range(1000)
                if (key := f"{action}{number}") and made.owner(PROCESS, f"{PROCESS}/{instance_id(PROCESS, key)}") == "b"
            )
            await made.engines["a"].send(PlaceOrder(order))
            await made.rest()
            id = instance_id(PROCESS, order)
            acted = await made.engines["a"].operator.act(id, action, **BY)  # type: ignore[arg-type]
            assert acted.action == action
            await made.rest()
            assert await made.engines["c"].status(PROCESS, order) == status
            with pytest.raises(NotPossible, match="has ended"):
                await made.engines["a"].operator.act(id, action, **BY)  # type: ignore[arg-type]
        gate.set()
        await made.settle()
        assert not made.data.deliveries


@pytest.mark.parametrize("asks", ["b", "a"], ids=["at its owner", "at another"])
async def test_an_action_whose_lane_moves_meanwhile_is_done_all_the_same(
    asks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shipping() as (made, order, _, gate):
        desk = made.engines["b"].operator.desk  # type: ignore[attr-defined]
        claim, moved = desk.lanes.claim, list[str]()

        async def moves_once(key: str) -> Lane:
            if not moved:
                moved.append(key)
                raise Moved("it is just becoming another worker's")
            return await claim(key)

        monkeypatch.setattr(desk.lanes, "claim", moves_once)
        acted = await made.engines[asks].operator.act(instance_id(PROCESS, order), "cancel", **BY)
        assert acted.action == "cancel"
        assert len(moved) == 1
        gate.set()
        await made.settle()
        assert await made.engines["c"].status(PROCESS, order) == "compensated"
        assert not made.data.deliveries


async def test_a_version_that_has_moved_on_is_told() -> None:
    async with shipping() as (made, order, _, gate):
        with pytest.raises(StaleVersion) as stale:
            await made.engines["a"].operator.act(instance_id(PROCESS, order), "cancel", expected_version=1, **BY)
        assert stale.value.expected == 1
        gate.set()
        await made.settle()


@pytest.mark.parametrize("way", ["code", "steps"])
async def test_a_failed_undo_is_tried_again_wherever_it_is(way: str) -> None:
    world = World(ship="refused", refund=("broken", "done"))
    async with crew(order_app(way), *NAMES, provide={World: world}) as made:
        order = await parked_order(made, world)
        acted = await made.engines["c"].operator.act(instance_id(PROCESS, order), "resume_compensation", **BY)
        assert acted.action == "resume_compensation"
        await made.finish()
        assert await made.engines["a"].status(PROCESS, order) == "compensated"


async def test_a_pause_holds_at_every_worker() -> None:
    world = World()
    async with crew(order_app("code"), *NAMES, provide={World: world}) as made:
        await made.engines["a"].operator.pause("all", **BY)
        await made.settle()
        for number, name in enumerate(NAMES * 3):
            await made.engines[name].send(PlaceOrder(f"o{number}"))
        await made.settle()
        assert not world.effects
        await made.engines["b"].operator.resume("all", **BY)
        await made.settle()
        assert world.runs("confirm") == 9


async def test_an_instance_elsewhere_is_paused_and_resumed() -> None:
    async with shipping() as (made, order, world, gate):
        id = instance_id(PROCESS, order)
        await made.engines["a"].operator.pause("instance", id, **BY)
        gate.set()
        await made.settle()
        assert not world.runs("confirm")
        await made.engines["c"].operator.act(id, "resume", **BY)
        await made.settle()
        assert await made.engines["a"].status(PROCESS, order) == "completed"


async def test_the_owner_that_was_asked_crashes() -> None:
    stage = Stage()
    async with crew(asking_app(), *NAMES, provide={Stage: stage}) as made:
        parked = await parked_ask(made, stage)
        await made.crash("b", noticed=False)
        asking = asyncio.create_task(made.engines["a"].operator.act_on_delivery(parked.id, "retry", **BY))
        await made.rest()
        assert not asking.done()
        made.data.expire(made.gone["b"])
        await made.beat()
        await made.settle()
        assert (await asking).action == "retry"
        assert len(stage.ended) == 4


async def test_what_nobody_answers_in_time_is_done_all_the_same() -> None:
    """Whoever asks is given the time in which others notice a crash; what was asked for outlives the wait."""
    stage = Stage()
    async with crew(asking_app(), *NAMES, provide={Stage: stage}) as made:
        parked = await parked_ask(made, stage)
        await made.crash("b", noticed=False)
        asking = asyncio.create_task(made.engines["a"].operator.act_on_delivery(parked.id, "retry", **BY))
        await made.rest()
        await made.advance(PATIENCE + made.limits.lease)
        assert not asking.done()
        await made.advance(made.limits.lease)
        with pytest.raises(WaitTimeout, match=f"owns {parked.id} has not answered.*whoever owns it next does it"):
            await asking
        made.data.expire(made.gone["b"])
        await made.beat()
        await made.settle()
        assert len(stage.ended) == 4


async def test_who_is_asked_asks_nobody_else() -> None:
    """Not even while what it owns is still being taken over: it would wait for itself."""
    async with shipping() as (made, order, world, gate):
        operator = made.engines["b"].operator
        assert isinstance(operator, SharedOperator)
        operator.desk = replace(operator.desk, is_here=lambda consumer, number: False)
        acted = await made.engines["a"].operator.pause("instance", instance_id(PROCESS, order), **BY)
        assert acted.action == "pause"
        gate.set()
        await made.settle()
        assert not world.runs("confirm")


async def test_an_action_on_one_that_has_just_begun_waits_until_it_has_read_what_the_instance_is_parked_on() -> None:
    """Nobody knows then who lives: what is not here yet must not be taken for what nobody has code for."""
    broken = [True]

    def app() -> App:
        app = App("t")

        @app.process_manager(key="key", starts_with=Ask, name="count")
        @dataclass(frozen=True)
        class Count:
            def react(self, event: Ask) -> End:
                if broken:
                    raise ValueError("a bug")
                return End("completed")

        return app

    async with crew(app(), "a") as made:
        await made.engines["a"].publish(Ask("k"))
        await made.settle()
        assert await made.engines["a"].status("t.count", "k") == "parked"
        await made.leave("a")
        broken.clear()
        after = await made.join("b")
        await after.operator.act(instance_id("t.count", "k"), "retry", **BY)
        await made.settle()
        assert await after.status("t.count", "k") == "completed"
        assert not made.data.deliveries
