"""Time on an engine: the same order waits for its payment in three ways, and a restart loses no time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Self

import pytest
from tests.each_store import ON_EACH_STORE, new_store

from sagakit import (
    App,
    Context,
    Deadline,
    DeadlineNear,
    End,
    Failed,
    Forget,
    Message,
    Module,
    Remind,
    Retry,
    Saga,
    Step,
    TimedOut,
    Undoing,
)
from sagakit.core.commit import Delivery
from sagakit.testing import engine as manual
from sagakit.testing.manual import ManualClock

pytestmark = ON_EACH_STORE


@dataclass(frozen=True)
class Placed:
    id: str


@dataclass(frozen=True)
class Paid:
    id: str


@dataclass(frozen=True)
class Reserve:
    id: str


@dataclass(frozen=True)
class Reserved:
    id: str


@dataclass(frozen=True)
class Release:
    id: str


@dataclass(frozen=True)
class Released:
    id: str


@dataclass(frozen=True)
class Ask:
    id: str


@dataclass(frozen=True)
class Asked:
    id: str


@dataclass(frozen=True)
class Unpaid:
    id: str


@dataclass(frozen=True)
class Later:
    """What the manager is reminded of."""

    times: int


class World:
    """A store room that may be stuck, and what was asked of the customer."""

    def __init__(self) -> None:
        self.stuck = False
        self.reserved = 0
        self.asked: list[str] = []
        self.near: list[DeadlineNear] = []


def shared() -> Module:
    shop = Module("shop")

    @shop.handles(retry=Retry(None, cap=60))
    async def reserve(command: Reserve, world: World) -> Reserved:
        if world.stuck:
            raise ConnectionError("stuck")
        world.reserved += 1
        return Reserved(command.id)

    @shop.handles
    async def release(command: Release, world: World) -> Released:
        world.reserved -= 1
        return Released(command.id)

    @shop.handles
    async def ask(command: Ask, world: World, context: Context) -> Asked:
        world.asked.append(context.recorded_at.isoformat())
        return Asked(command.id)

    @shop.on
    async def warn(event: DeadlineNear, world: World) -> None:
        world.near.append(event)

    return shop


def in_code() -> tuple[App, Any]:
    shop = shared()

    @shop.saga(key="id", receives=Paid, deadline=Deadline(timedelta(days=10), warn=timedelta(days=1)))
    async def order(placed: Placed, saga: Saga) -> None:
        await saga.do(Reserve(placed.id), then=Reserved, undo=Release(placed.id), timeout=timedelta(minutes=5))
        while await saga.receive(Paid, timeout=timedelta(days=3)) is None:
            await saga.do(Ask(placed.id), then=Asked)

    return App("app", shop), order


def as_manager() -> tuple[App, Any]:
    shop = shared()

    @shop.process_manager(key="id", starts_with=Placed)
    @dataclass(frozen=True)
    class Order:
        id: str = ""
        asked: int = 0

        def evolve(self, event: Placed | Asked) -> Self:
            return replace(self, id=event.id) if isinstance(event, Placed) else replace(self, asked=self.asked + 1)

        def react(self, event: Placed | Reserved | Asked | Paid | Later | Released | Failed[Any]) -> Sequence[Message]:
            match event:
                case Placed(id):
                    return [Reserve(id), Remind("end", Later(-1), after=timedelta(days=10))]
                case Reserved() | Asked():
                    return [Remind("ask", Later(self.asked), after=timedelta(days=3))]
                case Later(-1):
                    return [Forget("ask"), Undoing(Release(self.id), of=Reserve(self.id))]
                case Later():
                    return [Ask(self.id)]
                case Paid():
                    return [Forget("ask"), End()]
                case _:
                    return [End("compensated", "not paid")]

    return App("app", shop), Order


def in_steps() -> tuple[App, Any]:
    shop = shared()
    steps = shop.step_saga(
        "order",
        Step(Reserve, then=Reserved, undo=Release, timeout=timedelta(minutes=5)),
        Step(Ask, then=Asked),
        starts_with=Placed,
        key="id",
        deadline=timedelta(days=10),
    )
    return App("app", shop), steps


ASKING = pytest.mark.parametrize("way", [in_code, as_manager])
SAGAS = pytest.mark.parametrize("way", [in_code, in_steps])


class Life:
    """Engines one after the other on one store and one clock: between any two things that happen, a restart."""

    def __init__(self, way: Any, *, restarts: bool) -> None:
        self.app, self.process = way()
        self.world, self.store, self.clock = World(), new_store(), ManualClock()
        self.restarts = restarts

    async def does(self, *events: Message, days: float = 0, seconds: float = 0) -> str:
        for _ in range(1 + self.restarts):
            async with manual(self.app, provide={World: self.world}, store=self.store, clock=self.clock) as one:
                for event in events:
                    await one.publish(event)
                await one.settle()
                await one.advance(days=days, seconds=seconds)
                events, days, seconds = (), 0, 0
                status = await one.status(self.process, "1")
        return status

    async def left(self) -> list[Delivery]:
        """What is still to do, or scheduled."""
        await self.store.open(own=False)
        return [*await self.store.read_deliveries(), *await self.store.read_scheduled()]


RESTARTS = pytest.mark.parametrize("restarts", [False, True])


@ASKING
@RESTARTS
async def test_a_customer_is_asked_every_three_days_until_he_pays(way: Any, restarts: bool) -> None:
    life = Life(way, restarts=restarts)
    await life.does(Placed("1"), days=2.9)
    assert life.world.asked == []
    await life.does(days=0.2)
    assert [one[:10] for one in life.world.asked] == ["2026-01-04"]
    await life.does(days=3)
    assert len(life.world.asked) == 2
    assert await life.does(Paid("1"), days=30) == "completed"
    assert len(life.world.asked) == 2
    assert life.world.reserved == 1


@ASKING
@RESTARTS
async def test_an_order_that_is_not_paid_is_undone_at_its_deadline(way: Any, restarts: bool) -> None:
    life = Life(way, restarts=restarts)
    assert await life.does(Placed("1"), days=9.9) == "running"
    assert life.world.reserved == 1
    assert await life.does(days=0.2) == "compensated"
    assert life.world.reserved == 0
    assert await life.left() == []


@SAGAS
@RESTARTS
async def test_a_step_that_takes_too_long_is_given_up(way: Any, restarts: bool) -> None:
    life = Life(way, restarts=restarts)
    life.world.stuck = True
    assert await life.does(Placed("1"), seconds=299) == "running"
    assert await life.does(seconds=2) == "compensated"
    assert life.world.reserved == -1, "it may have been done: it is undone"
    assert await life.left() == []


async def test_somebody_is_warned_before_the_deadline() -> None:
    life = Life(in_code, restarts=True)
    await life.does(Placed("1"), days=9)
    [near] = life.world.near
    assert (near.process, near.key, near.due_at.isoformat()[:10]) == ("shop.order", "1", "2026-01-11")


async def test_whoever_waits_is_told_that_a_step_timed_out_when_it_does() -> None:
    app, _ = in_code()
    world = World()
    world.stuck = True

    async with manual(app, provide={World: world}) as one:
        waiting = asyncio.ensure_future(one.send_and_wait(Placed("1"), until=Paid, timeout=timedelta(days=1)))
        await one.advance(seconds=299)
        assert not waiting.done()
        await one.advance(seconds=2)
        with pytest.raises(TimedOut, match="timed out after 300 s"):
            await waiting


# ---------------------------------------------------------------------- a saga that runs on and on


@dataclass(frozen=True)
class Subscribed:
    id: str
    month: int = 1


MONTHS = 25


def for_ever() -> tuple[App, Any]:
    shop = shared()

    @shop.saga(key="id", receives=Paid)
    async def subscription(subscribed: Subscribed, saga: Saga) -> None:
        await saga.do(Ask(subscribed.id), then=Asked)
        if await saga.receive(Paid, timeout=timedelta(days=30)) is not None and subscribed.month < MONTHS:
            saga.restart_with(replace(subscribed, month=subscribed.month + 1))

    return App("app", shop), subscription


@pytest.mark.timeout(180)
@RESTARTS
async def test_a_subscription_of_years_replays_its_last_month_alone(restarts: bool) -> None:
    life = Life(for_ever, restarts=restarts)
    await life.does(Subscribed("1"))
    for month in range(1, MONTHS):
        assert await life.does(Paid("1"), days=29) == "running"
        assert len(life.world.asked) == month + 1
    assert await life.does(days=2) == "completed"
