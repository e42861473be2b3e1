"""The hotel in the simulation: every group leaves whole in the end, however it checks out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from decimal import Decimal
from random import Random
from typing import Any

from sagakit import App, Message
from sagakit.demos.hotel.app import hotel
from sagakit.demos.hotel.batch import messages as of_batch
from sagakit.demos.hotel.choreography import messages as of_choreography
from sagakit.demos.hotel.manager import messages as of_manager
from sagakit.demos.hotel.stays.guest_stay import GuestStay
from sagakit.demos.hotel.stays.messages import CheckIn, RecordCharge, RecordPayment
from sagakit.demos.simulated.decoded import folded, messages_of
from sagakit.testing.simulation.clients import publish, send
from sagakit.testing.simulation.operator import act, mend_all
from sagakit.testing.simulation.stage import Clients, Finding, Stage

PRICE = Decimal(180)
GROUPS = ("choreography", "manager", "batch")
COMPLETED = {
    "choreography": of_choreography.GroupCheckoutCompleted,
    "manager": of_manager.GroupCheckoutCompleted,
    "batch": of_batch.GroupCheckoutCompleted,
}


class SimulatedHotel:
    """Three groups, each of which checks out in its own way; some of their guests pay late."""

    name = "hotel"

    def app(self) -> App:
        """The hotel."""
        return hotel

    def earlier(self) -> App | None:
        """There is none."""
        return None

    def provide(self, stage: Stage) -> Mapping[Any, object]:
        """Nothing is outside."""
        return {}

    async def drive(self, stage: Stage, clients: Clients) -> None:
        """Guests come, are charged, pay or do not, and leave in groups."""
        chance = stage.chance("clients")
        for task in [asyncio.create_task(self._group(stage, clients, way, chance)) for way in GROUPS]:
            await task

    async def _group(self, stage: Stage, clients: Clients, way: str, chance: Random) -> None:
        guests = _guests(stage, way)
        await asyncio.sleep(chance.uniform(0.0, 5.0))
        for guest in guests:
            await send(stage, clients, f"in {guest}", CheckIn(guest))
            await send(stage, clients, f"charge {guest}", RecordCharge(guest, PRICE))
            if chance.random() < 0.7:
                await send(stage, clients, f"pay {guest}", RecordPayment(guest, PRICE))
        for _ in range(chance.choice((1, 2))):
            await self._begin(stage, clients, way, guests)

    async def _begin(self, stage: Stage, clients: Clients, way: str, guests: tuple[str, ...]) -> None:
        match way:
            case "choreography":
                await send(stage, clients, f"out {way}", of_choreography.CheckOutGroup(way, guests))
            case "manager":
                await publish(stage, clients, f"out {way}", of_manager.GroupCheckoutInitiated(way, guests))
            case _:
                await send(stage, clients, f"out {way}", of_batch.CheckOutGroup(way, guests))

    async def urge(self, stage: Stage, clients: Clients) -> bool:
        """Who has not paid pays, and their groups try again."""
        codecs = hotel.topology().codecs
        await mend_all(stage, clients)
        for way in GROUPS:
            for guest in _guests(stage, way):
                if f"pay {guest}" not in stage.ledger.receipts:
                    await send(stage, clients, f"pay {guest}", RecordPayment(guest, PRICE))
        behind = [way for way in GROUPS if not list(messages_of(codecs, stage.data, COMPLETED[way]))]
        for way in behind:
            await self._again(stage, clients, way)
        return bool(behind)

    async def _again(self, stage: Stage, clients: Clients, way: str) -> None:
        key, message = f"again {len(stage.ledger.keys)}", _another_try(way)
        if isinstance(message, of_choreography.TryGroupAgain):
            await send(stage, clients, key, message)
        elif message is not None:
            await publish(stage, clients, key, message)
        else:
            for row in [row for row in stage.data.instances.values() if row.key == "batch"]:
                await act(clients, row, "rerun_failed")

    def audit(self, stage: Stage) -> Iterator[Finding]:
        """All have left, and each group was told so once."""
        codecs = hotel.topology().codecs
        for way in GROUPS:
            for guest in _guests(stage, way):
                stay = folded(codecs, stage.data, f"stays.GuestStay/{guest}", GuestStay())
                if stay.status != "closed":
                    yield Finding("unsettled", 5, f"the account of {guest} is {stay.status}")
            told = len(list(messages_of(codecs, stage.data, COMPLETED[way])))
            if told != 1:
                what = f"that the group by {way} has left was told {told} times"
                yield Finding("doubled" if told else "lost", 2, what)


def _another_try(way: str) -> Message | None:
    if way == "batch":
        return None
    return of_manager.AnotherTryAsked(way) if way == "manager" else of_choreography.TryGroupAgain(way)


def _guests(stage: Stage, way: str) -> tuple[str, ...]:
    return tuple(f"{way}-{number}" for number in range(2 + stage.seed % 7))
