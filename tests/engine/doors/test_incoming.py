"""Messages of other services: ids and stories stay theirs, repeats and early undos are known, senders are told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from tests.each_store import ON_EACH_STORE

from sagakit import App, Context, InvalidMessage, KeyReused, Module, Retry
from sagakit.declare import ReplierDeclaration
from sagakit.ports import Origin
from sagakit.testing import engine as manual_engine

pytestmark = ON_EACH_STORE


@dataclass(frozen=True)
class Charge:
    order_id: str
    total: int = 1


@dataclass(frozen=True)
class Refund:
    order_id: str


@dataclass(frozen=True)
class Charged:
    order_id: str


@dataclass(frozen=True)
class Refunded:
    order_id: str


@dataclass(frozen=True)
class OrderShipped:
    order_id: str


@dataclass
class World:
    done: list[str] = field(default_factory=list[str])
    told: list[tuple[str, list[str], str | None]] = field(default_factory=list[tuple[str, list[str], str | None]])
    hold: asyncio.Event = field(default_factory=asyncio.Event)


def app() -> App:
    payments = Module("payments")

    @payments.handles(retry=Retry(1))
    async def charge(command: Charge, world: World) -> Charged | Sequence[Charged]:
        world.done.append(f"begin {command.order_id}")
        if command.total == 13:
            raise RuntimeError("the till is broken")
        if command.total == 7:
            await world.hold.wait()
        world.done.append(f"charge {command.order_id}")
        return [Charged(command.order_id)] * command.total if command.total < 3 else Charged(command.order_id)

    @payments.handles
    async def refund(command: Refund, world: World) -> Refunded:
        world.done.append(f"refund {command.order_id}")
        return Refunded(command.order_id)

    @payments.on
    async def shipped(event: OrderShipped, world: World, context: Context) -> None:
        world.done.append(f"shipped {event.order_id} in {context.correlation_id}")

    async def answer(event: object, context: Context, world: World) -> None:
        types = [one.type for one in context.outcome]
        world.told.append((context.lane, types, context.causation_id))

    payments.declared.repliers.append(ReplierDeclaration("answers", answer))
    return App("payments", payments)


def origin(id: str, undoes: str | None = None, key: str | None = None) -> Origin:
    return Origin("topic /orders", id, "story", "cause", undoes, "payments.answers/topic:key", key)


async def test_it_keeps_its_id_and_its_story_and_its_sender_is_told() -> None:
    world = World()
    async with manual_engine(app(), provide={World: world}) as engine:
        receipt = await engine.send(Charge("o-1", 2), origin=origin("id-1"), trace="00-1-2-01")
        await engine.settle()
        (command, *events) = await engine.store.read_story("story")
    assert (receipt.message_id, receipt.correlation_id) == ("id-1", "story")
    assert (command.id, command.causation_id, command.trace) == ("id-1", "cause", "00-1-2-01")
    assert {event.causation_id for event in events} == {"id-1"}
    assert world.told == [("payments.answers/topic:key", ["payments.Charged"] * 2, "id-1")]


async def test_one_that_fails_is_told_instead_of_parked() -> None:
    world = World()
    async with manual_engine(app(), provide={World: world}) as engine:
        await engine.send(Charge("o-1", 13), origin=origin("id-1"))
        await engine.settle()
    assert [types for _, types, _ in world.told] == [["sagakit.CommandFailed"]]


async def test_a_repeat_changes_nothing_and_another_under_the_same_id_is_refused() -> None:
    world = World()
    async with manual_engine(app(), provide={World: world}) as engine:
        await engine.send(Charge("o-1"), origin=origin("id-1"))
        await engine.settle()
        assert (await engine.send(Charge("o-1"), origin=origin("id-1"))).repeated
        both = await asyncio.gather(*(engine.send(Charge("o-2"), origin=origin("id-2")) for _ in range(5)))
        assert [one.repeated for one in both].count(False) == 1
        with pytest.raises(KeyReused):
            await engine.send(Charge("o-3"), origin=origin("id-1"))
        assert (await engine.send(Charge("o-4"), origin=origin("id-4", key="k"))).message_id == "id-4"
        assert (await engine.send(Charge("o-4"), origin=origin("id-5", key="k"))).message_id == "id-4"
        await engine.settle()
    assert [one for one in world.done if one.startswith("charge")] == ["charge o-1", "charge o-2", "charge o-4"]


async def test_a_repeat_is_the_same_bytes_or_the_same_words() -> None:
    async with manual_engine(app(), provide={World: World()}) as engine:

        async def comes(command: Charge, bytes: str) -> bool:
            return (await engine.send(command, origin=replace(origin("id-1"), digest=bytes))).repeated

        assert not await comes(Charge("o-1"), "its bytes")
        assert await comes(Charge("o-1", 2), "its bytes"), "newer code, that reads more in them"
        assert await comes(Charge("o-1"), "its words written anew")
        for bytes in ("its", "bytes", "others"):
            with pytest.raises(KeyReused):
                await comes(Charge("o-1", 2), bytes)


@pytest.mark.parametrize("name", ["message_id", "correlation_id", "causation_id", "undoes", "key"])
async def test_an_id_that_is_too_long_is_refused_and_named(name: str) -> None:
    ids = {"message_id": "id-1", "correlation_id": "story", name: "x" * 501}
    async with manual_engine(app(), provide={World: World()}) as engine:
        with pytest.raises(InvalidMessage, match=rf"^{name}: 'x+'\.\.\. has 501 characters: 500 are the most"):
            await engine.send(Charge("o-1"), origin=Origin("topic", **ids))
        with pytest.raises(InvalidMessage, match=r"^idempotency_key: "):
            await engine.send(Charge("o-1"), idempotency_key="x" * 501)


async def test_an_event_of_another_service_is_published_in_its_story() -> None:
    world = World()
    async with manual_engine(app(), provide={World: world}) as engine:
        for _ in range(2):
            await engine.publish(OrderShipped("o-1"), origin=Origin("topic /orders", "e-1", "story"))
        await engine.settle()
    assert world.done == ["shipped o-1 in story"]


async def test_an_undo_that_comes_first_keeps_its_do_out() -> None:
    world = World()
    async with manual_engine(app(), provide={World: world}) as engine:
        await engine.send(Refund("o-1"), origin=origin("id-2", undoes="id-1"))
        assert (await engine.send(Charge("o-1"), origin=origin("id-1"))).repeated
        await engine.settle()
    assert world.done == ["refund o-1"]
    assert [types for _, types, _ in world.told] == [["payments.Refunded"]]


async def test_an_undo_takes_back_what_still_runs_of_its_do() -> None:
    world = World()
    async with manual_engine(app(), provide={World: world}) as engine:
        await engine.send(Charge("o-1", 7), origin=origin("id-1"))
        while not world.done:
            await asyncio.sleep(0)
        await engine.send(Refund("o-1"), origin=origin("id-2", undoes="id-1"))
        await engine.settle()
    assert world.done == ["begin o-1", "refund o-1"]


async def test_an_undo_of_what_is_done_follows_it() -> None:
    world = World()
    async with manual_engine(app(), provide={World: world}) as engine:
        await engine.send(Charge("o-1", 5), origin=origin("id-1"))
        await engine.settle()
        await engine.send(Refund("o-1"), origin=origin("id-2", undoes="id-1"))
        await engine.settle()
    assert world.done == ["begin o-1", "charge o-1", "refund o-1"]
