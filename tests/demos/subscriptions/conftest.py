"""A subscription service, and its provider behind real HTTP requests that leave no process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from sagakit.demos.subscriptions.alarm import Alarm
from sagakit.demos.subscriptions.app import app
from sagakit.demos.subscriptions.messages import Order
from sagakit.demos.subscriptions.provider.books import Books
from sagakit.demos.subscriptions.provider.client import Provider
from sagakit.demos.subscriptions.provider.service import service
from sagakit.demos.subscriptions.provider.weather import Sky, Weather
from sagakit.demos.subscriptions.steps import ProviderAddress
from sagakit.demos.subscriptions.subscribe import subscribe
from sagakit.testing import ManualEngine, engine

START = Order.Start("o-1", "ann@example.org", "pro", 3, "4242")
KINDS = ("customers", "plans", "sessions", "payments", "permissions")
FORWARD: Sequence[type] = (
    Order.Step1.CreateCustomer,
    Order.Step2.OrderPlan,
    Order.Step3.CreateSession,
    Order.Step4.TakePayment,
    Order.Step5.AdjustPermissions,
)
UNDOS: Sequence[type] = (
    Order.Step1.Failed.CancelCustomer,
    Order.Step2.Failed.CancelPlan,
    Order.Step3.Failed.CancelSession,
    Order.Step4.Failed.RefundPayment,
    Order.Step5.Failed.RestorePermissions,
)


@dataclass
class Service:
    """The service under test, and what stands around it."""

    engine: ManualEngine
    provider: Provider
    books: Books
    sky: Sky
    alarm: Alarm
    alerts: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def weather(self, **of: Any) -> None:
        self.sky.set([Weather(**of)])

    async def commands(self) -> list[type]:
        """The commands of the log, in order."""
        log = await self.engine.store.read_messages()
        return [self.engine.topology.codecs.by_name[one.type].cls for one in log if one.kind == "command"]

    async def status(self) -> str:
        return await self.engine.status(subscribe, START.order_id)

    async def passes(self, seconds: float) -> None:
        """Let so much time pass; requests to the provider are answered on the way."""
        for _ in range(round(seconds)):
            await self.engine.advance(seconds=1)
            await self.answered()

    async def answered(self) -> None:
        """Wait until the provider has answered what was asked of it."""
        await self.engine.settle()


@pytest.fixture
async def subscriptions() -> AsyncIterator[Service]:
    books, sky = Books(), Sky()
    alerts: list[tuple[str, str]] = []
    alarm = Alarm(lambda order, reason: alerts.append((order, reason)))
    transport = httpx.ASGITransport(service(books, sky, latency=0))
    async with httpx.AsyncClient(transport=transport, base_url="http://provider") as http:
        provider = Provider(http)
        provide = {ProviderAddress: ProviderAddress(""), Provider: provider, Alarm: alarm}
        async with engine(app, provide=provide) as running:
            yield Service(running, provider, books, sky, alarm, alerts)
