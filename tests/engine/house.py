"""A house whose guests move in groups: a batch, its items by a service handler, and what a test says of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Any

import msgspec
from tests.each_store import AnyStore, Around
from tests.engine.stage import PATIENCE

from sagakit import App, Retry, Saga
from sagakit.core.commit import Commit, Instance, Rejected
from sagakit.core.queries import InstanceQuery
from sagakit.testing.manual import ManualEngine


@dataclass(frozen=True)
class Group:
    key: str
    count: int
    stop_at: int | None = None


@dataclass(frozen=True)
class Move:
    key: str
    number: int


@dataclass(frozen=True)
class Moved:
    number: int


@dataclass(frozen=True)
class Stayed:
    number: int
    reason: str


@dataclass(frozen=True)
class MoveBack:
    number: int


@dataclass(frozen=True)
class MovedBack:
    number: int


@dataclass(frozen=True)
class GroupMoved:
    done: int
    failed: tuple[int, ...]


class House:
    """Where guests move, as a test says."""

    def __init__(self) -> None:
        self.moved: Counter[int] = Counter()
        self.back: list[int] = []
        self.refuses: frozenset[int] = frozenset()
        self.breaks: frozenset[int] = frozenset()
        self.stuck: frozenset[int] = frozenset()
        """Those that cannot move back."""
        self.running = 0
        self.most = 0
        self.gate = asyncio.Event()
        self.gate.set()


def moving(*, at_once: int = 10, undo: bool = False) -> App:
    app = App("t")

    @app.handles(retry=Retry(1))
    async def move(command: Move, house: House) -> Moved | Stayed:
        house.running += 1
        house.most = max(house.most, house.running)
        try:
            await house.gate.wait()
        finally:
            house.running -= 1
        if command.number in house.refuses:
            return Stayed(command.number, "no room")
        if command.number in house.breaks:
            raise RuntimeError("the lift broke")
        house.moved[command.number] += 1
        return Moved(command.number)

    @app.handles(retry=Retry(1))
    async def move_back(command: MoveBack, house: House) -> MovedBack:
        if command.number in house.stuck:
            raise RuntimeError("no way back")
        house.back.append(command.number)
        return MovedBack(command.number)

    def taken_back(number: int) -> MoveBack:
        return MoveBack(number)

    @app.saga(key="key")
    async def move_group(group: Group, saga: Saga) -> GroupMoved:
        def one(number: int) -> Move:
            return Move(group.key, number)

        moved = await saga.each(
            range(group.count),
            one,
            then=Moved,
            at_once=at_once,
            stop_at=group.stop_at,
            undo=taken_back if undo else None,
        )
        return GroupMoved(moved.done, tuple(number for number, _ in moved.failures()))

    return app


class Counting(Around):
    """Keeps the Commits."""

    def __init__(self, store: AnyStore | None = None) -> None:
        super().__init__(None if store is None else store.again())
        self.commits: list[Commit] = []

    async def commit(self, commits: Any) -> list[Rejected | None]:
        self.commits += commits
        return await self.inner.commit(commits)


async def moved(running: ManualEngine, count: int, **asked: Any) -> GroupMoved:
    return await running.send_and_wait(Group("g", count, **asked), until=GroupMoved, timeout=PATIENCE)


async def the_one(running: ManualEngine) -> Instance:
    """The only instance."""
    (listed,) = await running.store.read_instances(InstanceQuery())
    return listed.row


async def counts(running: ManualEngine) -> dict[str, int]:
    """How the items of the only instance stand."""
    return {one.state: one.count for one in await running.store.count_items((await the_one(running)).id)}


async def sent_back(running: ManualEngine) -> list[int]:
    """Those whose undo was sent, in the order of the log."""
    found: list[int] = []
    after = 0
    while page := await running.store.read_messages(after=after):
        found += [msgspec.json.decode(one.payload)["number"] for one in page if one.type == "t.MoveBack"]
        after = page[-1].position
    return found
