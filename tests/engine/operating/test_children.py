"""What an operator does to a child reaches its parent."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.each_store import ON_EACH_STORE, AnyStore, new_store
from tests.engine.operating.shop import WHO

from sagakit import App, NotDone, Saga
from sagakit.core.streams import instance_id
from sagakit.errors import TerminalError
from sagakit.testing.manual import ManualEngine, engine

pytestmark = ON_EACH_STORE


@dataclass(frozen=True)
class Begin:
    key: str


@dataclass(frozen=True)
class Ask:
    key: str
    wrong: bool = True


@dataclass(frozen=True)
class Answered:
    key: str


@dataclass(frozen=True)
class Hold:
    key: str


@dataclass(frozen=True)
class Held:
    key: str


@dataclass(frozen=True)
class Drop:
    key: str


@dataclass(frozen=True)
class Dropped:
    key: str


@dataclass(frozen=True)
class GiveBack:
    """An undo that is a saga."""

    key: str


@dataclass
class World:
    broken: set[type] = field(default_factory=set[type])
    done: list[str] = field(default_factory=list[str])
    said: list[str] = field(default_factory=list[str])


PARENT, CHILD = (instance_id(f"t.{name}", "a") for name in ("parent", "child"))


def nested(at: str, world: World) -> App:
    """A child that cannot go on: at its start, later, or with an undo."""
    app = App("t")

    @app.handles
    async def hold(command: Hold) -> Held:
        world.done.append(f"hold {command.key}")
        return Held(command.key)

    @app.handles
    async def drop(command: Drop) -> Dropped:
        if Drop in world.broken:
            raise TerminalError("broken")
        world.done.append(f"drop {command.key}")
        return Dropped(command.key)

    @app.saga(key="key")
    async def child(start: Ask, saga: Saga) -> Answered:
        if at == "start" and start.wrong:
            raise ValueError("a bug")
        await saga.do(Hold("child"), then=Held, undo=Drop("child"))
        if at == "later" and start.wrong:
            raise ValueError("a bug")
        if at == "undo":
            world.broken.add(Drop)
            await saga.do(Hold("more"), then=None, undo=Drop("more"))
            raise NotDone("enough")
        return Answered(start.key)

    @app.saga(key="key")
    async def parent(start: Begin, saga: Saga) -> None:
        await saga.do(Hold("parent"), then=Held)
        try:
            await saga.do(Ask(start.key), then=Answered, undo=Drop("what the child did"))
        except NotDone as told:
            world.said.append(f"{type(told).__name__}: {told.reason}")
            raise
        world.said.append("answered")

    return app


@asynccontextmanager
async def stuck(at: str, world: World) -> AsyncGenerator[tuple[ManualEngine, AnyStore]]:
    """A parent whose child waits for a person."""
    store = new_store()
    async with engine(nested(at, world), store=store) as one:
        await one.send(Begin("a"))
        await one.settle()
        assert await one.status("t.child", "a") == ("compensation_failed" if at == "undo" else "parked")
        assert await one.status("t.parent", "a") == "running"
        yield one, store


async def parked(store: AnyStore) -> int:
    (found,) = [one for one in await store.read_deliveries() if one.state == "parked"]
    return found.id


async def act(one: ManualEngine, store: AnyStore, action: str) -> None:
    await one.operator.act(CHILD, action, **WHO)  # type: ignore[arg-type]


async def drop_delivery(one: ManualEngine, store: AnyStore, action: str) -> None:
    await one.operator.act_on_delivery(await parked(store), "drop", **WHO)


async def edit_delivery(one: ManualEngine, store: AnyStore, action: str) -> None:
    payload = {"key": "a", "wrong": False}
    await one.operator.act_on_delivery(await parked(store), "edit", payload=payload, **WHO)


Act = Callable[[ManualEngine, AnyStore, str], Any]


@pytest.mark.parametrize(
    ("at", "action", "how", "child", "parent", "said"),
    [
        ("start", "cancel", act, "compensated", "compensated", "Refused: t.child: it was ended"),
        ("start", "abandon", act, "abandoned", "compensated", "Refused: t.child: it was ended"),
        ("start", "drop", drop_delivery, "abandoned", "compensated", "Refused: t.child: its start was dropped"),
        ("start", "edit", edit_delivery, "completed", "completed", "answered"),
        ("later", "cancel", act, "compensated", "compensated", "Refused: by hand"),
        ("later", "abandon", act, "abandoned", "compensated", "OutcomeUnknown: by hand"),
        ("undo", "resume_compensation", act, "compensated", "compensated", "Refused: enough"),
        ("undo", "abandon", act, "abandoned", "compensated", "OutcomeUnknown: by hand"),
        ("undo", "drop", drop_delivery, "compensated", "compensated", "Refused: enough"),
    ],
)
async def test_its_parent_is_told(at: str, action: str, how: Act, child: str, parent: str, said: str) -> None:
    world = World()
    async with stuck(at, world) as (one, store):
        world.broken.clear()
        await how(one, store, action)
        await one.settle()
        assert await one.status("t.child", "a") == child
        assert [told[: len(said)] for told in world.said] == [said]
        assert await one.status("t.parent", "a") == parent
        assert await store.read_deliveries() == []
    # what may have been left behind is undone by what the step says
    assert (world.done[-1:] == ["drop what the child did"]) == said.startswith("OutcomeUnknown")


@pytest.mark.parametrize("at", ["start", "later", "undo"])
async def test_what_a_parent_waits_for_is_its_child(at: str) -> None:
    async with stuck(at, World()) as (one, _):
        told = await one.operator.explain(PARENT)
        assert told.situation == "waiting_for_child"
        assert told.mend == [f"sagakit processes explain {CHILD}"]
        assert CHILD in told.why


async def test_an_undo_that_was_a_saga_and_was_undone_waits_for_a_person() -> None:
    app = App("t")

    @app.handles
    async def hold(command: Hold) -> Held:
        return Held(command.key)

    @app.saga(key="key")
    async def give_back(start: GiveBack, saga: Saga) -> None:
        raise NotDone("not now")

    @app.saga(key="key")
    async def parent(start: Begin, saga: Saga) -> None:
        await saga.do(Hold("parent"), then=Held, undo=GiveBack(start.key))
        raise NotDone("enough")

    store = new_store()
    async with engine(app, store=store) as one:
        await one.send(Begin("a"))
        await one.settle()
        assert await one.status("t.parent", "a") == "compensation_failed"
        await one.operator.act(PARENT, "resume_compensation", **WHO)
        await one.settle()
        assert await one.status("t.parent", "a") == "compensation_failed"  # its key is used
        await one.operator.act(PARENT, "abandon", **WHO)
        assert await one.status("t.parent", "a") == "abandoned"
