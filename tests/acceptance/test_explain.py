"""Each way in which an order stands still: explain names the cause, and the command that it prints mends it."""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.each_store import AnyStore, Stores, only_on

from sagakit import App, Retry, Saga, wire
from sagakit.core.streams import instance_id
from sagakit.engine.operating.explain import explain
from sagakit.engine.operating.explanation import Explanation
from sagakit.engine.operating.facts import Gathering
from sagakit.errors import UnknownMessage
from sagakit.testing.manual import ManualClock, ManualEngine, engine

ID = instance_id("t.order", "a")
FOR_EVER = Retry(None, first=30.0, factor=1.0, jitter=0.0)
ONCE = Retry(1)


@wire("t.Placed")
@dataclass(frozen=True)
class Placed:
    key: str = "a"


@wire("t.Reserve")
@dataclass(frozen=True)
class Reserve:
    key: str = "a"


@wire("t.Reserved")
@dataclass(frozen=True)
class Reserved:
    key: str


@wire("t.Release")
@dataclass(frozen=True)
class Release:
    key: str


@wire("t.Released")
@dataclass(frozen=True)
class Released:
    key: str


@wire("t.Confirm")
@dataclass(frozen=True)
class Confirm:
    key: str
    text: str = ""


@wire("t.Confirmed")
@dataclass(frozen=True)
class Confirmed:
    key: str


@wire("t.Hint")
@dataclass(frozen=True)
class Hint:
    key: str


@dataclass
class World:
    """What fails, and what was done."""

    down: set[type] = field(default_factory=set[type])
    done: list[Any] = field(default_factory=list[Any])

    def do(self, command: Any) -> None:
        if type(command) in self.down:
            raise ConnectionError(f"{type(command).__name__} is down")
        self.done.append(command)


async def buys(placed: Placed, saga: Saga) -> None:
    """Reserve, and done."""
    await saga.do(Reserve(placed.key), then=Reserved, undo=Release(placed.key))


async def awaits(placed: Placed, saga: Saga) -> None:
    """Reserve, and wait for a confirmation that comes by itself."""
    await saga.do(Reserve(placed.key), then=Reserved, undo=Release(placed.key))
    saga.publish(Hint(placed.key))
    await saga.receive(Confirmed)


async def sleeps(placed: Placed, saga: Saga) -> None:
    await saga.do(Reserve(placed.key), then=Reserved, undo=Release(placed.key))
    await saga.sleep(86_400)


def shop(
    code: Callable[..., Any] = buys, *, key: str | None = None, hints: bool = False, version: int = 1, other: Any = None
) -> App:
    app = App("t")

    @app.handles(retry=FOR_EVER, key=key)
    async def reserve(command: Reserve, world: World) -> Reserved:
        world.do(command)
        return Reserved(command.key)

    @app.handles(retry=ONCE, key=key)
    async def confirm(command: Confirm, world: World) -> Confirmed:
        world.do(command)
        return Confirmed(command.key)

    @app.handles(retry=ONCE)
    async def release(command: Release, world: World) -> Released:
        world.do(command)
        return Released(command.key)

    if hints:

        @app.on
        def on_hint(hint: Hint) -> Confirm:
            return Confirm(hint.key)

    app.saga(key="key", name="order", receives=Confirmed, version=version)(code)
    if other is not None:
        app.saga(key="key", name="order", receives=Confirmed, version=version + 1)(other)
    return app


class Case:
    """One database on which engines run one after another, with one clock."""

    def __init__(self, store: AnyStore) -> None:
        self.store = store.again
        self.clock = ManualClock()
        self.world = World()

    @asynccontextmanager
    async def runs(self, app: App | None = None) -> AsyncIterator[ManualEngine]:
        async with engine(app or shop(), provide={World: self.world}, store=self.store(), clock=self.clock) as one:
            yield one

    async def looks(self) -> Explanation:
        """What can be said with no engine, and without the code."""
        store = self.store()
        await store.open(own=False)
        try:
            return explain(await Gathering(store, None, self.clock.now()).of_instance(ID))
        finally:
            await store.close()


@pytest.fixture
def case(each_store: Stores) -> Case:
    return Case(each_store.new())


async def place(one: ManualEngine) -> None:
    await one.publish(Placed())
    await one.settle()


async def mend(one: ManualEngine, command: str, **given: Any) -> None:
    """Carry out a command as it is printed, its reason and payload filled in."""
    program, group, *words = shlex.split(command)
    assert program == "sagakit"
    options: dict[str, Any] = {"by": "ada"}
    plain: list[str] = []
    while words:
        word = words.pop(0)
        if word == "--keep-key":
            options["keep_key"] = True
        elif word.startswith("--"):
            options[word[2:]] = words.pop(0)
        else:
            plain.append(word)
    assert options["reason"] == "..."
    options |= given
    if group == "processes":
        action, id = plain
        await one.operator.act(id, action.replace("-", "_"), **options)  # type: ignore[arg-type]
    elif group == "deliveries":
        action, id = plain
        await one.operator.act_on_delivery(int(id), action, **options)  # type: ignore[arg-type]
    else:
        scope, *name = plain
        await (one.operator.resume if group == "resume" else one.operator.pause)(scope, *name, **options)  # type: ignore[arg-type]
    await one.settle()


async def ends(one: ManualEngine, status: str = "completed") -> None:
    await one.settle()
    assert await one.status("t.order", "a") == status
    assert (await one.operator.explain(ID)).situation == "ended"
    assert not [left for left in await one.store.read_deliveries() if left.envelope.type != "t.Confirm"]


async def test_retrying(case: Case) -> None:
    case.world.down = {Reserve}
    async with case.runs() as one:
        await place(one)
        found = await one.operator.explain(ID)
        assert found.situation == "retrying"
        assert found.who == "the service that handles t.Reserve (t.reserve)"
        (wait,) = found.waits_for
        assert (wait.kind, wait.what, wait.attempts) == ("delivery", "t.Reserve", 1)
        assert wait.last_error == "ConnectionError: Reserve is down"
        assert wait.due_at == case.clock.now() + 30_000_000
        assert found.next_step == "then its code goes on with the outcome of t.Reserve"
        case.world.down.clear()
        await mend(one, found.mend[0])
        await ends(one)


async def test_a_parked_command(case: Case) -> None:
    case.world.down = {Confirm}
    async with case.runs(shop(awaits, hints=True)) as one:
        await place(one)
        found = await one.operator.explain(ID)
        assert found.situation == "parked_command"
        assert "the command t.Confirm of its story is parked: ConnectionError: Confirm is down" in found.why
        assert found.blocked_by is not None
        assert found.who == "a person"
        case.world.down.clear()
        await mend(one, found.mend[0])
        await ends(one)


async def test_a_parked_event(case: Case) -> None:
    broken = [True]

    async def fails(placed: Placed, saga: Saga) -> None:
        await saga.do(Reserve(placed.key), then=Reserved, undo=Release(placed.key))
        if broken:
            raise ValueError("a bug")

    async with case.runs(shop(fails)) as one:
        await place(one)
        found = await one.operator.explain(ID)
        assert (found.situation, found.status) == ("parked_event", "parked")
        assert "its code failed on t.Reserved: line" in found.why
        assert "ValueError: a bug" in found.why
        broken.clear()
        await mend(one, found.mend[0])
        await ends(one)


async def test_behind_a_poisoned_head(case: Case) -> None:
    case.world.down = {Confirm}

    async def confirms(placed: Placed, saga: Saga) -> None:
        await saga.do(Confirm(placed.key), then=Confirmed)

    async with case.runs(shop(confirms, key="key")) as one:
        await one.send(Confirm("a", "from outside"))
        await one.settle()
        await place(one)
        found = await one.operator.explain(ID)
        assert found.situation == "behind_another"
        assert found.blocked_by is not None
        assert (found.blocked_by.message, found.blocked_by.state) == ("t.Confirm", "parked")
        assert found.blocked_by.last_error == "ConnectionError: Confirm is down"
        assert found.who == "a person"
        case.world.down.clear()
        await mend(one, found.mend[0])
        await ends(one)


async def test_a_message_that_nobody_can_decode(case: Case) -> None:
    @wire("t.Confirmed")
    @dataclass(frozen=True)
    class Stricter:
        key: str
        by: str

    async def stricter(placed: Placed, saga: Saga) -> None:
        await saga.do(Reserve(placed.key), then=Reserved, undo=Release(placed.key))
        await saga.receive(Stricter)

    def changed() -> App:
        app = App("t")

        @app.handles(retry=FOR_EVER)
        async def reserve(command: Reserve, world: World) -> Reserved:
            return Reserved(command.key)

        @app.handles(retry=ONCE)
        async def release(command: Release, world: World) -> Released:
            world.do(command)
            return Released(command.key)

        app.saga(key="key", name="order", receives=Stricter)(stricter)
        return app

    async def waits(placed: Placed, saga: Saga) -> None:
        await saga.do(Reserve(placed.key), then=Reserved, undo=Release(placed.key))
        await saga.receive(Confirmed)

    async with case.runs(shop(waits)) as one:
        await place(one)
        await one.operator.pause("process", "t.order", by="ada", reason="a deployment")
        await one.publish(Confirmed("a"))
        await one.settle()
    async with case.runs(changed()) as one:
        await one.operator.resume("process", "t.order", by="ada", reason="deployed")
        await one.settle()
        found = await one.operator.explain(ID)
        assert found.situation == "unreadable"
        assert "nobody can decode t.Confirmed" in found.why
        assert "by" in found.why
        assert "deliveries edit" in found.mend[0]
        await mend(one, found.mend[0], payload='{"key": "a", "by": "hand"}')
        await ends(one)


async def test_waiting_for_an_event(case: Case) -> None:
    async with case.runs(shop(awaits)) as one:
        await place(one)
        found = await one.operator.explain(ID)
        assert found.situation == "waiting_for_event"
        assert found.why == "it waits for t.Confirmed with the key 'a'"
        assert found.who == "whoever publishes t.Confirmed"
        assert [(wait.kind, wait.what) for wait in found.waits_for] == [("event", "t.Confirmed")]
        await mend(one, found.mend[0], payload='{"key": "a"}')
        await ends(one)


async def test_sleeping(case: Case) -> None:
    async with case.runs(shop(sleeps)) as one:
        await place(one)
        found = await one.operator.explain(ID)
        assert found.situation == "sleeping"
        assert found.who == "nobody: it wakes at 2026-01-02 00:00:00 UTC"
        assert found.waits_for[0].due_at == case.clock.now() + 86_400_000_000
        await mend(one, found.mend[0])
        await ends(one)
        assert not await one.store.read_scheduled()


@pytest.mark.parametrize(("scope", "name"), [("all", ""), ("module", "t"), ("process", "t.order"), ("instance", ID)])
async def test_paused(case: Case, scope: Any, name: str) -> None:
    async with case.runs(shop(awaits)) as one:
        await place(one)
        await one.operator.pause(scope, name, by="bob", reason="stocktaking")
        await one.publish(Confirmed("a"))
        await one.settle()
        found = await one.operator.explain(ID)
        assert found.situation == "paused"
        assert "is paused by bob: stocktaking" in found.why
        assert found.since == case.clock.now()
        await mend(one, found.mend[0])
        await ends(one)


async def test_a_failed_compensation(case: Case) -> None:
    case.world.down = {Release}
    async with case.runs(shop(awaits)) as one:
        await place(one)
        await one.operator.act(ID, "cancel", by="ada", reason="not wanted")
        await one.settle()
        found = await one.operator.explain(ID)
        assert (found.situation, found.status) == ("compensation_failed", "compensation_failed")
        assert "t.Release was given up: ConnectionError: Release is down" in found.why
        case.world.down.clear()
        await mend(one, found.mend[0])
        await ends(one, "compensated")


async def test_code_that_contradicts_the_record(case: Case) -> None:
    async def differs(placed: Placed, saga: Saga) -> None:
        await saga.do(Confirm(placed.key), then=Confirmed)
        await saga.receive(Confirmed)

    async with case.runs(shop(awaits)) as one:
        await place(one)
    async with case.runs(shop(differs)) as one:
        await one.publish(Confirmed("a"))
        await one.settle()
        found = await one.operator.explain(ID)
        assert found.situation == "code_contradicts_record"
        assert "t.Reserve is recorded, the code now sends t.Confirm" in found.why
        assert found.who == "a deployment"
    async with case.runs(shop(awaits)) as one:
        await mend(one, found.mend[0])
        await ends(one)


async def test_a_version_that_is_gone(case: Case) -> None:
    async with case.runs(shop(awaits)) as one:
        await place(one)
    async with case.runs(shop(buys, version=2)) as one:
        found = await one.operator.explain(ID)
        assert found.situation == "no_code"
        await one.publish(Confirmed("a"))
        await one.settle()
        found = await one.operator.explain(ID)
        assert (found.situation, found.status) == ("no_code", "parked")
        assert found.why == "no worker has its code: version 1 of t.order is no longer declared"
        assert [command.split()[2] for command in found.mend] == ["cancel"]
    async with case.runs(shop(awaits, other=buys)) as one:  # goes on by itself
        await ends(one)


@only_on("memory", "sqlite", because="where several engines may be, another one may have its code")
async def test_a_consumer_that_is_gone(case: Case) -> None:
    case.world.down = {Reserve}
    async with case.runs() as one:
        await place(one)
    other = App("t")

    @other.handles
    async def unrelated(command: Confirm, world: World) -> Confirmed:
        return Confirmed(command.key)

    with pytest.raises(UnknownMessage, match=r"t\.Reserve"):
        async with case.runs(other):
            pass
    found = await case.looks()
    assert found.situation == "no_code"
    assert found.why == "no worker has its code: no t.order is declared"
    assert found.mend[0] == "sagakit run MODULE:APP"
    assert not found.engine
    case.world.down.clear()
    async with case.runs() as one:
        await one.advance(seconds=60)
        await ends(one)


async def test_with_no_engine_that_is_said(case: Case) -> None:
    case.world.down = {Reserve}
    async with case.runs() as one:
        await place(one)
    found = await case.looks()
    assert found.situation == "retrying"
    assert not found.engine
