"""The subscriptions in the simulation: an order leaves all five things at the provider, or none, and one alert."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from sagakit import App
from sagakit.demos.simulated.decoded import messages_of
from sagakit.demos.subscriptions.alarm import Alarm
from sagakit.demos.subscriptions.app import app as service
from sagakit.demos.subscriptions.messages import Order
from sagakit.demos.subscriptions.provider.client import Provider, ProviderRefused, ProviderUnreachable
from sagakit.demos.subscriptions.steps import ProviderAddress
from sagakit.testing.simulation.clients import publish
from sagakit.testing.simulation.operator import mend_all
from sagakit.testing.simulation.stage import Clients, Finding, Stage

KINDS = ("customers", "plans", "sessions", "payments", "permissions")


class DrawnProvider(Provider):
    """A provider in memory, with refusals, latencies and outages as they are drawn."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._chance = stage.chance("provider")
        self.made: set[tuple[str, str]] = set()
        self.cancelled: set[tuple[str, str]] = set()

    async def create(self, kind: str, reference: str, key: str, **asked: Any) -> dict[str, Any]:
        """Made, unless it is refused or was cancelled before it came."""
        await self._answers()
        refuses = Random(f"{self._stage.seed} {kind} {reference}").random() < 0.06
        if refuses or (kind, reference) in self.cancelled:
            raise ProviderRefused(f"no {kind} for {reference}")
        self.made.add((kind, reference))
        self._stage.note(f"{kind} {reference} made by {key}")
        await self._answers()
        return {"id": f"{kind} of {reference}", "price": "12.50"}

    async def cancel(self, kind: str, reference: str, key: str) -> None:
        """Taken back, also if it was never made."""
        await self._answers()
        self.made.discard((kind, reference))
        self.cancelled.add((kind, reference))
        self._stage.note(f"{kind} {reference} cancelled by {key}")
        await self._answers()

    async def _answers(self) -> None:
        world = self._stage.world
        if world.healed:
            return
        if self._chance.random() < 0.3:
            await asyncio.sleep(self._chance.uniform(0.0, 4.0))
        if self._chance.random() < world.manners.fails:
            raise ProviderUnreachable("503: out of order")


class SimulatedSubscriptions:
    """The subscription service."""

    name = "subscriptions"

    def app(self) -> App:
        """The service."""
        return service

    def earlier(self) -> App | None:
        """There is none."""
        return None

    def provide(self, stage: Stage) -> Mapping[Any, object]:
        """One provider and one alarm for all engines."""
        if Provider not in stage.outside:
            stage.outside[Provider] = DrawnProvider(stage)
            stage.outside[ProviderAddress] = ProviderAddress("http://nowhere.invalid")
            stage.outside[Alarm] = Alarm(lambda order_id, reason: stage.note(f"alert: {order_id}: {reason}"))
        return dict(stage.outside)

    async def drive(self, stage: Stage, clients: Clients) -> None:
        """Orders, some of them asked for twice."""
        chance = stage.chance("clients")
        orders = [self._order(stage, clients, number, chance) for number in range(stage.profile.instances // 2)]
        for task in [asyncio.create_task(order) for order in orders]:
            await task

    async def _order(self, stage: Stage, clients: Clients, number: int, chance: Random) -> None:
        key = f"order-{number}"
        await asyncio.sleep(chance.uniform(0.0, 20.0))
        for _ in range(chance.choice((1, 1, 2))):
            await publish(stage, clients, key, Order.Start(key, "ann@example.org", "team", 3, "4242"))

    async def urge(self, stage: Stage, clients: Clients) -> bool:
        """A person looks after what waits for one."""
        await mend_all(stage, clients)
        return False

    def audit(self, stage: Stage) -> Iterator[Finding]:
        """All five things, or none; of what came to nothing somebody was told once."""
        provider: Any = stage.outside[Provider]
        alarm: Any = stage.outside[Alarm]
        told = Counter(order_id for order_id, _ in alarm.raised.values())
        codecs = service.topology(provide=list(stage.outside)).codecs
        alerts = Counter(alert.order_id for alert in messages_of(codecs, stage.data, Order.Failed.AlertRaised))
        for row in stage.data.instances.values():
            there = [kind for kind in KINDS if (kind, row.key) in provider.made]
            if row.status == "completed" and (len(there) < len(KINDS) or told[row.key]):
                yield Finding("wrong", 6, f"{row.key} is completed with {there}, and {told[row.key]} alerts")
            if row.status == "compensated" and (there or told[row.key] != 1 or alerts[row.key] != 1):
                yield Finding("lost", 6, f"{row.key} is compensated with {there}, and {told[row.key]} alerts")
