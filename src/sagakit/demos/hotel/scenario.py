"""A day at the hotel: three groups of forty, three guests of each without having paid, checked out in three ways."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeAlias

from uuid_utils import uuid7

from sagakit import Engine, Message
from sagakit.core.streams import instance_id
from sagakit.demos.hotel.batch import messages as of_batch
from sagakit.demos.hotel.choreography import messages as of_choreography
from sagakit.demos.hotel.manager import messages as of_manager
from sagakit.demos.hotel.stays.messages import CheckIn, RecordCharge, RecordPayment
from sagakit.demos.terminal import Kind, Line

GUESTS = 40
UNPAID = 3
PRICE = Decimal("180.00")
PATIENCE = 60

Failed: TypeAlias = of_batch.GroupCheckoutFailed | of_choreography.GroupCheckoutFailed | of_manager.GroupCheckoutFailed


@dataclass(frozen=True)
class Group:
    """A group, its guests, and those of them who have not paid."""

    id: str
    guests: tuple[str, ...]
    unpaid: tuple[str, ...]


@dataclass(frozen=True)
class Way:
    """One way to check a group out: how it is begun, how it is tried again, and what it ends with."""

    begin: Callable[[Engine, Group], Awaitable[str]]
    """Gives the correlation id of its story."""
    again: Callable[[Engine, Group], Awaitable[str | None]]
    """The same; None where the story goes on."""
    completed: type[Any]
    failed: type[Any]


async def _sent(engine: Engine, command: Message) -> str:
    return (await engine.send(command)).correlation_id


async def _published(engine: Engine, event: Message) -> str:
    return (await engine.publish(event)).correlation_id


async def _rerun(engine: Engine, group: Group) -> None:
    instance = instance_id("batch.check_out_group", group.id)
    await engine.operator.act(instance, "rerun_failed", by="the demo", reason="they have paid")


WAYS: Mapping[str, Way] = {
    "choreography": Way(
        lambda engine, group: _sent(engine, of_choreography.CheckOutGroup(group.id, group.guests)),
        lambda engine, group: _sent(engine, of_choreography.TryGroupAgain(group.id)),
        of_choreography.GroupCheckoutCompleted,
        of_choreography.GroupCheckoutFailed,
    ),
    "process manager": Way(
        lambda engine, group: _published(engine, of_manager.GroupCheckoutInitiated(group.id, group.guests)),
        lambda engine, group: _published(engine, of_manager.AnotherTryAsked(group.id)),
        of_manager.GroupCheckoutCompleted,
        of_manager.GroupCheckoutFailed,
    ),
    "batch": Way(
        lambda engine, group: _sent(engine, of_batch.CheckOutGroup(group.id, group.guests)),
        _rerun,
        of_batch.GroupCheckoutCompleted,
        of_batch.GroupCheckoutFailed,
    ),
}


class Scenario:
    """Plays the day, and tells it."""

    def __init__(self, engine: Engine, show: Callable[[Line], None]) -> None:
        self._engine = engine
        self._show = show
        self.run = uuid7().hex[-4:]
        """Names what belongs to this day: the groups of earlier ones stay as they are."""

    async def play(self) -> None:
        """All three groups, one after the other."""
        for name, way in WAYS.items():
            await self._group(name, way)
        self._tell("note", "", "that was it", "the hotel stays open")

    async def _group(self, name: str, way: Way) -> None:
        group = self._named(name)
        await self._arrive(group)
        story = await way.begin(self._engine, group)
        self._tell("begin", group.id, "check-out begins", f"{len(group.guests)} guests, by {name}")
        failed = await self._engine.wait(until=way.failed, correlation_id=story, timeout=PATIENCE)
        self._tell("refusal", group.id, "not all could leave", self._told(failed))
        await self._all(RecordPayment(guest, PRICE) for guest in group.unpaid)
        self._tell("step", group.id, "they pay", f"{', '.join(group.unpaid)}: {PRICE} each")
        again = await way.again(self._engine, group) or story
        await self._engine.wait(until=way.completed, correlation_id=again, timeout=PATIENCE)
        self._tell("done", group.id, "all have left", f"the next try asked just {len(group.unpaid)} of them")

    def _named(self, name: str) -> Group:
        id = f"{name[0]}-{self.run}"
        guests = tuple(f"{id}-{number:02}" for number in range(1, GUESTS + 1))
        return Group(id, guests, guests[:: len(guests) // UNPAID][:UNPAID])

    async def _arrive(self, group: Group) -> None:
        await self._all(CheckIn(guest) for guest in group.guests)
        await self._all(RecordCharge(guest, PRICE) for guest in group.guests)
        await self._all(RecordPayment(guest, PRICE) for guest in group.guests if guest not in group.unpaid)
        paid = len(group.guests) - len(group.unpaid)
        self._tell("note", group.id, "a group stays", f"{len(group.guests)} guests, {PRICE} each, {paid} have paid")

    async def _all(self, commands: Any) -> None:
        await asyncio.gather(*(self._engine.send(command) for command in commands))

    @staticmethod
    def _told(failed: Failed) -> str:
        return f"{failed.completed} have, {len(failed.failed)} have not paid: {', '.join(sorted(failed.failed))}"

    def _tell(self, kind: Kind, subject: str, what: str, detail: str) -> None:
        self._show(Line(kind, subject, what, detail, datetime.now().astimezone()))
