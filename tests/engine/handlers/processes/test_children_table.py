"""Children against their matrix in docs/protocol.md: every cell that can happen is brought about."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.core.protocol.tables import Cell, read
from tests.each_store import ON_EACH_STORE, AnyStore, new_store
from tests.engine.operating.shop import WHO

from sagakit import App, NotFound, OutcomeUnknown, Refused, Saga
from sagakit.core.streams import instance_id
from sagakit.errors import TerminalError
from sagakit.testing.manual import ManualEngine, engine

pytestmark = ON_EACH_STORE


@dataclass(frozen=True)
class Begin:
    key: str


@dataclass(frozen=True)
class Ask:
    key: str = "one"
    broken: bool = False


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
class Go:
    how: str
    key: str = "one"


PARENT, CHILD = instance_id("t.parent", "a"), instance_id("t.child", "one")
USED = "Refused: t.child: the key 'one' is used"


@dataclass
class Bench:
    """A parent "a" and its child "one"."""

    one: ManualEngine
    store: AnyStore
    told: list[str] = field(default_factory=list[str])
    """What parents were told."""
    dropped: list[str] = field(default_factory=list[str])
    drops: asyncio.Event = field(default_factory=asyncio.Event)
    """While it is not set, undos wait."""
    undo_breaks: bool = False
    begins_broken: bool = False
    other: int = 0

    async def begin(self) -> None:
        await self.one.send(Begin("a"))
        await self.one.settle()

    async def go(self, how: str) -> None:
        await self.one.publish(Go(how))
        await self.one.settle()

    async def act(self, action: Any) -> None:
        await self.one.operator.act(CHILD, action, **WHO)
        await self.one.settle()

    async def state(self) -> str:
        try:
            status = await self.one.status("t.child", "one")
        except NotFound:
            return "(none)"
        begun = bool(await self.store.read_history(CHILD))
        return "not_begun" if status == "parked" and not begun else status

    async def parked(self) -> int:
        (found,) = [one.id for one in await self.store.read_deliveries() if one.state == "parked"]
        return found

    async def cancelled_too_late(self, ends: Callable[[], Awaitable[object]]) -> None:
        """The parent is cancelled, and hears of the end of its child after it has given it up."""
        await self.one.operator.pause("instance", PARENT, **WHO)
        await self.one.cancel("t.parent", "a", reason="no more")
        await ends()
        await self.one.settle()


def app_of(bench: Callable[[], Bench]) -> App:
    app = App("t")

    @app.handles
    async def hold(command: Hold) -> Held:
        return Held(command.key)

    @app.handles
    async def drop(command: Drop) -> Dropped:
        await bench().drops.wait()
        if bench().undo_breaks:
            raise TerminalError("broken")
        bench().dropped.append(command.key)
        return Dropped(command.key)

    @app.saga(key="key", receives=Go)
    async def child(start: Ask, saga: Saga) -> Answered | None:
        if start.broken:
            raise ValueError("a bug")
        await saga.do(Hold("child"), then=Held, undo=Drop("child"))
        while True:
            go = await saga.receive(Go)
            if go.how == "returns":
                return Answered(start.key)
            if go.how == "ends_empty":
                return None
            if go.how == "bug":
                raise ValueError("a bug")

    with_parent(app, bench)
    return app


def with_parent(app: App, bench: Callable[[], Bench]) -> None:
    @app.saga(key="key")
    async def parent(start: Begin, saga: Saga) -> None:
        try:
            command = Ask(broken=bench().begins_broken and start.key == "a")
            answer = await saga.do(command, then=Answered, undo=Drop("what the child did"))
            bench().told.append(f"answered {answer.key}")
        except Refused as refused:
            bench().told.append(f"Refused: {refused.reason}")
        except OutcomeUnknown as unknown:
            bench().told.append(f"OutcomeUnknown: {unknown.reason}")


Make = Callable[[Bench], Awaitable[None]]


async def none(bench: Bench) -> None:
    await bench.one.operator.pause("process", "t.child", **WHO)
    await bench.begin()


async def not_begun(bench: Bench) -> None:
    bench.begins_broken = True
    await bench.begin()


async def running(bench: Bench) -> None:
    await bench.begin()


async def undoing(bench: Bench) -> None:
    bench.drops.clear()
    await bench.begin()
    await bench.one.cancel("t.child", "one", reason="enough")
    await bench.one._breathe()  # pyright: ignore[reportPrivateUsage]


async def parked(bench: Bench) -> None:
    await bench.begin()
    await bench.go("bug")


async def compensation_failed(bench: Bench) -> None:
    bench.undo_breaks = True
    await bench.begin()
    await bench.one.cancel("t.child", "one", reason="enough")
    await bench.one.settle()
    bench.undo_breaks = False


async def completed(bench: Bench) -> None:
    await bench.begin()
    await bench.go("returns")


async def compensated(bench: Bench) -> None:
    await bench.begin()
    await bench.one.cancel("t.child", "one", reason="enough")
    await bench.one.settle()


async def abandoned(bench: Bench) -> None:
    await bench.begin()
    await bench.act("abandon")


STATES: dict[str, Make] = {
    "(none)": none,
    "not_begun": not_begun,
    "running": running,
    "undoing": undoing,
    "parked": parked,
    "compensation_failed": compensation_failed,
    "completed": completed,
    "compensated": compensated,
    "abandoned": abandoned,
}
TOLD: dict[tuple[str, str], list[str]] = {
    ("(none)", "given_up"): [],
    ("not_begun", "operator_abandon"): ["Refused: t.child: it was ended before it had begun: by hand"],
    ("not_begun", "operator_drop"): ["Refused: t.child: its start was dropped: by hand"],
    ("running", "returns"): ["answered one"],
    ("running", "ends_empty"): ["Refused: t.Ask led to no event"],
    ("running", "operator_abandon"): ["OutcomeUnknown: by hand"],
    ("undoing", "undone"): ["Refused: enough"],
    ("undoing", "operator_abandon"): ["OutcomeUnknown: by hand"],
    ("parked", "operator_abandon"): ["OutcomeUnknown: by hand"],
    ("compensation_failed", "undone"): ["Refused: enough"],
    ("compensation_failed", "operator_abandon"): ["OutcomeUnknown: by hand"],
    ("compensation_failed", "operator_drop"): ["Refused: enough"],
}
"""What the parent is told by the event of a cell; nothing by the others."""
BEFORE = {
    "completed": ["answered one"],
    "compensated": ["Refused: enough"],
    "abandoned": ["OutcomeUnknown: by hand"],
}
"""What it was told when its child ended."""


async def other_start(bench: Bench) -> None:
    await bench.one.send(Begin("b"))
    await bench.one._breathe()  # pyright: ignore[reportPrivateUsage]


async def given_up(bench: Bench) -> None:
    await bench.one.cancel("t.parent", "a", reason="no more")
    await bench.one._breathe()  # pyright: ignore[reportPrivateUsage]
    for pause in list(bench.one.operator.pauses()):
        await bench.one.operator.resume(pause.scope, pause.name, **WHO)
    await bench.one._breathe()  # pyright: ignore[reportPrivateUsage]


async def happen(bench: Bench, cell: Cell) -> None:
    """Let the event of a cell happen."""
    match cell.state, cell.event:
        case "(none)", "start":
            await bench.one.operator.resume("process", "t.child", **WHO)
        case _, "other_start":
            await other_start(bench)
        case _, "given_up":
            if cell.state == "running":
                bench.drops.clear()
            await given_up(bench)
        case _, "returns" | "ends_empty":
            await bench.go(cell.event)
        case "undoing", "undone":
            bench.drops.set()
        case "undoing", "undo_given_up":
            bench.undo_breaks = True
            bench.drops.set()
        case "compensation_failed", "undone":
            await bench.act("resume_compensation")
        case _, "operator_abandon":
            await bench.one.operator.act(CHILD, "abandon", **WHO)
            bench.drops.set()
        case _, "operator_drop":
            await bench.one.operator.act_on_delivery(await bench.parked(), "drop", **WHO)
        case _:
            raise AssertionError(cell.name)


CELLS = [cell for cell in read("children").values() if cell.next is not None]


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
async def test_the_code_does_what_the_cell_says(cell: Cell) -> None:
    benches: list[Bench] = []
    store = new_store()
    async with engine(app_of(lambda: benches[0]), store=store) as one:
        bench = Bench(one, store)
        benches.append(bench)
        bench.drops.set()
        ended = cell.state in BEFORE
        if ended and cell.event == "given_up":
            await bench.begin()
            ends = {
                "completed": lambda: bench.go("returns"),
                "compensated": lambda: one.cancel("t.child", "one", reason="enough"),
                "abandoned": lambda: bench.act("abandon"),
            }[cell.state]
            await bench.cancelled_too_late(ends)
            assert await bench.state() == cell.state
        else:
            await STATES[cell.state](bench)
            assert await bench.state() == cell.state
            assert bench.told == BEFORE.get(cell.state, [])
        told = len(bench.told)
        await happen(bench, cell)
        if bench.drops.is_set():
            await one.settle()
        assert await bench.state() == cell.next
        expected = TOLD.get((cell.state, cell.event), [])
        if cell.event == "other_start" and cell.state not in ("not_begun", "parked"):
            expected = [USED]
        assert bench.told[told:] == expected
        if cell.event == "given_up":
            waits = cell.state in ("parked", "compensation_failed", "undoing", "running")
            late = cell.state in ("completed", "abandoned")
            assert ("what the child did" in bench.dropped) == late
            if not waits:
                assert await one.status("t.parent", "a") == "compensated"
        bench.drops.set()
        for pause in list(one.operator.pauses()):
            await one.operator.resume(pause.scope, pause.name, **WHO)


def test_every_state_has_a_row() -> None:
    assert {cell.state for cell in read("children").values()} == set(STATES)
    assert {cell.next for cell in CELLS} <= set(STATES)
