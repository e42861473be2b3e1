"""What other workers wait for: sent to them once it has come, and nothing before."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.acceptance.orders.messages import OrderCancelled, OrderConfirmed, PlaceOrder
from tests.acceptance.orders.processes import PROCESS, order_app
from tests.acceptance.orders.world import World
from tests.engine.stage import Ask, Declined, Stage, Told, asking_app
from tests.engine.workers.crew import Crew, crew
from tests.engine.workers.test_waiting import asked_at, order_at

from sagakit.core.cluster.members import Notice
from sagakit.core.streams import instance_id, lane_name
from sagakit.engine.workers.across import notices as words
from sagakit.engine.workers.waiting import awaited

ORDERS = 6
LONG = "x" * (awaited.MOST_BYTES + 1)


def reads_of(made: Crew, name: str) -> list[str]:
    """The stories that an engine reads from now on."""
    store, read = made.engines[name].store, list[str]()
    read_story = store.read_story

    async def noted(correlation_id: str, **rest: Any) -> Any:
        read.append(correlation_id)
        return await read_story(correlation_id, **rest)

    store.read_story = noted  # type: ignore[method-assign]
    return read


def said_by(made: Crew, name: str) -> list[Notice]:
    """What an engine says to the others from now on."""
    cluster, said = made.engines[name].store.cluster, list[Notice]()
    assert cluster is not None
    notify = cluster.notify

    async def noted(notices: Any) -> None:
        said.extend(notices)
        await notify(notices)

    cluster.notify = noted  # type: ignore[method-assign]
    return said


def remembered(made: Crew, name: str) -> list[str]:
    """The ids that an engine remembers for others."""
    team = made.engines[name].team
    assert team is not None
    known = team.interest.elsewhere
    return [*known._all, *known._waiting, *known._stories.by_id]


async def test_the_event_itself_is_sent_and_nobody_looks_it_up() -> None:
    async with crew(order_app("code"), "a", "b", "c", provide={World: World()}) as made:
        read, said = reads_of(made, "a"), said_by(made, "b")
        order = order_at(made, "b")
        event = await made.engines["a"].send_and_wait(PlaceOrder(order), until=(OrderConfirmed, OrderCancelled))
        assert event == OrderConfirmed(order)
        await made.settle()
        assert read == []
        assert [notice.kind for notice in said if notice.kind in (words.NEWS, words.ANSWERED)] == [words.ANSWERED]


async def test_a_saga_that_is_undone_goes_on_towards_what_is_awaited() -> None:
    async with crew(order_app("code"), "a", "b", provide={World: World(charge="refused")}) as made:
        read, order = reads_of(made, "a"), order_at(made, "b")
        event = await made.engines["a"].send_and_wait(PlaceOrder(order), until=(OrderConfirmed, OrderCancelled))
        assert isinstance(event, OrderCancelled)
        assert read == []


async def test_what_was_told_is_forgotten_everywhere() -> None:
    async with crew(order_app("code"), "a", "b", "c", provide={World: World()}) as made:
        for name in ("a", "b", "c"):
            await made.engines["a"].send_and_wait(PlaceOrder(order_at(made, name)), until=OrderConfirmed)
        await made.settle()
        assert {name: remembered(made, name) for name in made.engines} == {"a": [], "b": [], "c": []}


@pytest.mark.parametrize("step", ["reserve", "ship"])
async def test_what_an_engine_waited_for_is_forgotten_with_it(step: str) -> None:
    world, gate = World(), asyncio.Event()
    world.waits[step] = gate.wait
    async with crew(order_app("code"), "a", "b", provide={World: world}) as made:
        order = order_at(made, "b")
        waiting = asyncio.create_task(made.engines["a"].send_and_wait(PlaceOrder(order), until=OrderConfirmed))
        await made.rest()
        assert remembered(made, "b")
        await made.crash("a")
        await made.rest()
        assert remembered(made, "b") == []
        gate.set()
        await made.settle()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def test_who_cannot_be_told_finds_it_by_another_look(monkeypatch: pytest.MonkeyPatch) -> None:
    async with crew(order_app("code"), "a", "b", provide={World: World()}) as made:
        order = order_at(made, "b")

        def fails(*_: object) -> None:
            raise RuntimeError("a bug")

        monkeypatch.setattr(awaited.Awaited, "came", fails)
        waiting = asyncio.create_task(made.engines["a"].send_and_wait(PlaceOrder(order), until=OrderConfirmed))
        await made.rest()
        assert not waiting.done()
        await made.advance(3)
        assert await waiting == OrderConfirmed(order)
        assert made.engines["b"].fatal is None


async def test_a_long_event_is_looked_up() -> None:
    stage = Stage()
    async with crew(asking_app(), "a", "b", provide={Stage: stage}) as made:
        read, said = reads_of(made, "a"), said_by(made, "b")
        ask = Ask(asked_at(made, "b"))
        stage.will(ask, Declined(ask.key, LONG))
        assert await made.engines["a"].send_and_wait(ask, until=Declined) == Declined(ask.key, LONG)
        assert read
        assert words.ANSWERED not in [notice.kind for notice in said]


@pytest.mark.parametrize("kept", [awaited.NEWEST, 0])
async def test_what_happened_before_the_word_came_is_told(kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner reads the command by itself, and has handled it before it hears that somebody waits."""
    monkeypatch.setattr(awaited, "NEWEST", kept)
    async with crew(asking_app(), "a", "b", provide={Stage: Stage()}) as made:
        heard = made.data.listeners.pop(_id_of(made, "b"))
        waiting = asyncio.create_task(made.engines["a"].send_and_wait(Ask(asked_at(made, "b")), until=Told))
        said, read = said_by(made, "a"), reads_of(made, "a")
        await made.rest()
        team = made.engines["b"].team
        assert team is not None
        team.arrivals.look()
        await made.rest()
        assert not waiting.done()
        for notice in said:
            heard(Notice(notice.kind, notice.about, notice.to, _id_of(made, "a")))
        assert isinstance(await waiting, Told)
        assert bool(read) is not bool(kept), "what is not kept is looked up"


@pytest.mark.parametrize("few", [awaited.FEW, 1])
async def test_a_saga_that_has_ended_before_the_word_came(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(awaited, "FEW", few)
    async with crew(order_app("code"), "a", "b", provide={World: World(charge="refused")}) as made:
        heard = made.data.listeners.pop(_id_of(made, "b"))
        order = order_at(made, "b")
        waiting = asyncio.create_task(made.engines["a"].send_and_wait(PlaceOrder(order), until=OrderConfirmed))
        said = said_by(made, "a")
        for _ in range(20):
            await made.rest()
            made.look()
        assert not waiting.done()
        for notice in said:
            heard(Notice(notice.kind, notice.about, notice.to, _id_of(made, "a")))
        with pytest.raises(Exception, match="charge says no"):
            await waiting


async def test_two_who_wait_for_different_events_of_a_story_are_both_told() -> None:
    world, gate = World(), asyncio.Event()
    world.waits["ship"] = gate.wait
    async with crew(order_app("code"), "a", "b", provide={World: world}) as made:
        order = order_at(made, "b")
        receipt = await made.engines["a"].send(PlaceOrder(order))
        await made.rest()
        story = receipt.correlation_id
        first = asyncio.create_task(made.engines["a"].wait(until=OrderConfirmed, correlation_id=story))
        other = asyncio.create_task(
            made.engines["a"].wait(until=(OrderConfirmed, OrderCancelled), correlation_id=story)
        )
        await made.rest()
        gate.set()
        assert await first == await other == OrderConfirmed(order)


async def test_what_may_not_come_any_more_is_looked_at_by_who_waits() -> None:
    async with crew(order_app("code"), "a", "b", provide={World: World(charge="refused")}) as made:
        said = said_by(made, "b")
        with pytest.raises(Exception, match="charge says no"):
            await made.engines["a"].send_and_wait(PlaceOrder(order_at(made, "b")), until=OrderConfirmed)
        assert words.NEWS in [notice.kind for notice in said]


def _id_of(made: Crew, name: str) -> str:
    team = made.engines[name].team
    assert team is not None
    return team.me.id


async def test_of_many_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(awaited, "MOST", 2)
    async with crew(order_app("code"), "a", "b", provide={World: World()}) as made:
        team = made.engines["b"].team
        assert team is not None
        for number in range(3):
            word = f'["story {number}","{_name_of(made, OrderConfirmed)}"]'
            team.notices.came(Notice(words.AWAITS, (word,), None, _id_of(made, "a")))
        assert remembered(made, "b") == ["story 1", "story 2"]


def _name_of(made: Crew, event: type) -> str:
    return made.engines["a"].topology.codecs.by_class[event].name


async def test_who_waits_is_told_of_a_saga_that_moves_away() -> None:
    world, gate = World(), asyncio.Event()
    world.waits["ship"] = gate.wait
    async with crew(order_app("code"), "a", provide={World: world}) as made:
        orders = [f"k{number}" for number in range(ORDERS)]
        waiting = [
            asyncio.create_task(made.engines["a"].send_and_wait(PlaceOrder(order), until=OrderConfirmed))
            for order in orders
        ]
        await made.rest()
        joining = asyncio.create_task(made.join("b"))
        await made.rest()
        gate.set()
        await joining
        await made.settle()
        assert {_at(made, order) for order in orders} == {"a", "b"}
        assert await asyncio.wait_for(asyncio.gather(*waiting), 60) == [OrderConfirmed(order) for order in orders]


async def test_who_waits_is_told_by_one_who_has_come_since() -> None:
    world, gate = World(), asyncio.Event()
    world.waits["ship"] = gate.wait
    async with crew(order_app("code"), "a", "b", provide={World: world}) as made:
        at_b = [order for order in (f"k{number}" for number in range(10 * ORDERS)) if _at(made, order) == "b"]
        waiting = [
            asyncio.create_task(made.engines["a"].send_and_wait(PlaceOrder(order), until=OrderConfirmed))
            for order in at_b
        ]
        await made.rest()
        joining = asyncio.create_task(made.join("c"))
        await made.rest()
        gate.set()
        await joining
        await made.settle()
        assert "c" in {_at(made, order) for order in at_b}
        assert await asyncio.wait_for(asyncio.gather(*waiting), 60) == [OrderConfirmed(order) for order in at_b]


async def test_who_comes_is_told_of_what_is_awaited_in_the_order_in_which_it_was_asked_for() -> None:
    async with crew(order_app("code"), "a", provide={World: World()}) as made:
        team = made.engines["a"].team
        assert team is not None
        asked = [f"event-{number}" for number in range(20)]
        for name in asked:
            team.interest.waits("story", (name,))
        await made.settle()
        said = said_by(made, "a")
        await made.join("b")
        await made.beat()
        await made.settle()
        told = [json.loads(word) for notice in said if notice.kind == words.AWAITS for word in notice.about]
        assert told == [["story", name] for name in asked]


def _at(made: Crew, order: str) -> str:
    return made.owner(PROCESS, lane_name(PROCESS, instance_id(PROCESS, order)))
