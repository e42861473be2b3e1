"""Where messages go: to whoever takes them, once, and to nobody where a key says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec
from tests.each_store import ON_EACH_STORE, AnyStore, new_store
from tests.engine.stage import Ask, Stage, Told, asking_app, until

from sagakit import App, End, Message, Saga
from sagakit.core.queries import InstanceQuery
from sagakit.core.streams import instance_id
from sagakit.testing.manual import engine

pytestmark = ON_EACH_STORE


@dataclass(frozen=True)
class Begun:
    key: str | None


@dataclass(frozen=True)
class Move:
    key: str | None
    number: int = 0


@dataclass(frozen=True)
class Moved:
    number: int


async def state(store: AnyStore, process: str, key: str) -> dict[str, object]:
    reader = store.again()
    await reader.open(own=False)
    row = await reader.read_instance(instance_id(process, key))
    assert row is not None
    return msgspec.json.decode(row.state)["state"]


@dataclass(frozen=True)
class Hears:
    """Keeps the numbers of what it is told."""

    heard: tuple[int, ...] = ()

    def evolve(self, event: Begun | Told) -> Hears:
        return self if isinstance(event, Begun) else replace(self, heard=(*self.heard, event.number))

    def react(self, event: Begun | Told) -> Message | Sequence[Message] | None:
        return Ask(event.key or "", 1) if isinstance(event, Begun) else None


async def test_an_outcome_is_told_once_and_not_by_its_key_as_well() -> None:
    app, stage, store = asking_app(), Stage(), new_store()
    app.process_manager(key="key", starts_with=Begun, name="hears")(Hears)
    async with engine(app, store=store, provide={Stage: stage}) as running:
        await running.publish(Begun("a"))
        await running.settle()
        assert await state(store, "t.hears", "a") == {"heard": [1]}
        await running.send(Ask("a", 7))  # of this one it hears by the key
        await running.settle()
        assert await state(store, "t.hears", "a") == {"heard": [1, 7]}


async def test_an_outcome_is_told_to_others_by_their_key() -> None:
    app, stage, store = asking_app(), Stage(), new_store()
    app.process_manager(key="key", starts_with=Begun, name="hears")(Hears)

    @app.process_manager(key="key", starts_with=Told)
    @dataclass(frozen=True)
    class Other:
        def react(self, event: Told) -> Message:
            return End("completed")

    async with engine(app, store=store, provide={Stage: stage}) as running:
        await running.publish(Begun("a"))
        await running.settle()
        assert await running.status("t.Other", "a") == "completed"


async def test_an_event_whose_key_is_none_is_for_nobody() -> None:
    app, store = asking_app(), new_store()
    app.process_manager(key="key", starts_with=Begun, name="hears")(Hears)
    async with engine(app, store=store, provide={Stage: Stage()}) as running:
        await running.publish(Begun(None))
        await running.settle()
        assert [message.type for message in await store.read_messages()] == ["t.Begun"]
        assert not await store.read_instances(InstanceQuery())
        assert not await store.read_deliveries()


async def test_a_command_whose_key_is_none_waits_for_no_other() -> None:
    app, stage = App("t"), Stage()

    @app.handles(key="key")
    async def move(command: Move, stage: Stage) -> Moved:
        await stage.play(Ask(command.key or "", command.number))
        return Moved(command.number)

    first, second = Ask("", 1), Ask("", 2)
    stage.closes(first, second)
    async with engine(app, provide={Stage: stage}) as running:
        await running.send(Move(None, 1))
        await running.send(Move(None, 2))
        await until(lambda: stage.now == {first, second})
        stage.opens(first, second)


async def test_what_a_command_starts_gives_its_outcome_to_who_waits() -> None:
    app, stage = asking_app(), Stage()

    @app.saga(key="key")
    async def saga(move: Move, saga: Saga) -> Moved:
        await saga.do(Ask(move.key or "", move.number), then=Told)
        return Moved(move.number)

    async with engine(app, provide={Stage: stage}) as running:
        assert await running.send_and_wait(Move("a", 3), until=Moved) == Moved(3)
