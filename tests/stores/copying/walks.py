"""An app whose instances stand still in every way that there is, and what sets them going again."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Self

from sagakit import App, Retry, Saga
from sagakit.core.queries import InstanceQuery
from sagakit.core.streams import instance_id
from sagakit.testing.manual import ManualEngine


@dataclass(frozen=True)
class Begin:
    id: str


@dataclass(frozen=True)
class Begun:
    id: str


@dataclass(frozen=True)
class Call:
    id: str


@dataclass(frozen=True)
class Called:
    id: str


@dataclass(frozen=True)
class Ring:
    id: str
    number: int


@dataclass(frozen=True)
class Rang:
    id: str
    number: int


@dataclass(frozen=True)
class Count:
    name: str


@dataclass(frozen=True)
class Counted:
    name: str


class World:
    """What is out of order, until it is mended."""

    def __init__(self) -> None:
        self.broken = True
        self.rings: list[tuple[str, int]] = []
        self.calls: list[str] = []

    async def called(self, id: str) -> None:
        if self.broken and id.startswith("runs"):
            await asyncio.Event().wait()  # until the app is stopped
        if self.broken:
            raise ConnectionError("out of order")
        self.calls.append(id)


@dataclass(frozen=True)
class Counter:
    count: int = 0

    def decide(self, command: Count) -> Counted:
        return Counted(command.name)

    def evolve(self, event: Counted) -> Self:
        return replace(self, count=self.count + 1)


def walks(world: World) -> App:
    app = App("walks")
    app.aggregate(key="name", snapshot_every=2)(Counter)

    @app.handles
    async def begin(command: Begin) -> Begun:
        return Begun(command.id)

    @app.handles(retry=Retry(9, first=600.0, jitter=0.0))
    async def call(command: Call) -> Called:
        await world.called(command.id)
        return Called(command.id)

    @app.handles(retry=Retry(9, first=600.0, jitter=0.0))
    async def ring(command: Ring) -> Rang:
        if world.broken and command.number >= 3:
            raise ConnectionError("out of order")
        world.rings.append((command.id, command.number))
        return Rang(command.id, command.number)

    @app.saga(key="id", receives=Called, attributes=("id",), deadline=10_000)
    async def walk(begun: Begun, saga: Saga) -> None:
        match begun.id.partition("-")[0]:
            case "sleeps":
                await saga.sleep(3600)
            case "waits":
                await saga.receive(Called)
            case "parks":
                if world.broken:
                    raise RuntimeError("a bug")
            case "retries" | "runs":
                await saga.do(Call(begun.id), then=Called)
            case _:
                await saga.each(range(6), lambda number: Ring(begun.id, number), then=Rang, at_once=4)

    return app


KINDS = ("sleeps", "waits", "parks", "retries", "rings")
"""And one more, `runs`, whose step still runs when the app is stopped."""
PAUSED = ("waits-2", "waits-1")


async def stand_still(engine: ManualEngine, each: int = 3) -> None:
    """Have instances that stand still in every way, so many in each; ten of each begin in the same second."""
    for number in range(each):
        for kind in KINDS:
            await engine.send(Begin(f"{kind}-{number}"), idempotency_key=f"{kind}-{number}")
        if number % 10 == 9:
            await engine.advance(seconds=1)
    for _ in range(5):
        await engine.send(Count("steps"))
    await engine.advance(seconds=1)
    for key in PAUSED:
        await engine.operator.pause("instance", instance_id("walks.walk", key), by="ann", reason="maintenance")


async def set_going(engine: ManualEngine, each: int = 3) -> None:
    """Do what each of them waits for."""
    for key in PAUSED:
        await engine.operator.resume("instance", instance_id("walks.walk", key), by="ann", reason="done")
    for number in range(each):
        await engine.publish(Called(f"waits-{number}"))
        await engine.operator.act(instance_id("walks.walk", f"parks-{number}"), "retry", by="ann", reason="mended")
        if number % 10 == 9:
            await engine.advance(seconds=1)
    await engine.advance(seconds=7200)
    await engine.settle()


async def statuses(engine: ManualEngine) -> dict[str, str]:
    """Each instance with its status."""
    found = await engine.store.read_instances(InstanceQuery(type="walks.walk", limit=1000))
    return {one.search.key: one.search.status for one in found}
