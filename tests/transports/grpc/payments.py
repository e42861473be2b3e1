"""A payment service that does as a test says, and an app whose steps call it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from sagakit import App, Retry, Saga
from sagakit.demos.shop.grpc.generated.payment_pb2 import (
    ChargeRequest,
    ChargeResponse,
    RefundRequest,
    RefundResponse,
)
from sagakit.demos.shop.grpc.generated.payment_pb2_grpc import PaymentStub, add_PaymentServicer_to_server
from sagakit.transports.grpc import Incoming, Metadata, connected, current, serving, text_of, unary


@dataclass(frozen=True)
class Placed:
    order_id: str
    amount: float = 9.0


@dataclass(frozen=True)
class Charge:
    order_id: str
    amount: float


@dataclass(frozen=True)
class Refund:
    order_id: str


@dataclass(frozen=True)
class Charged:
    order_id: str


@dataclass(frozen=True)
class Declined:
    order_id: str
    reason: str


@dataclass(frozen=True)
class Refunded:
    order_id: str


Answer = Callable[[Any, Any], Awaitable[Any]]


async def charges(request: ChargeRequest, context: Any) -> ChargeResponse:
    return ChargeResponse(success=True)


@dataclass
class Service:
    """The next calls of `Charge` are answered by these, in turn; then it charges."""

    script: list[Answer] = field(default_factory=list)
    charged: list[Incoming] = field(default_factory=list)
    refunded: list[Incoming] = field(default_factory=list)
    left: list[float] = field(default_factory=list)
    """Seconds until the deadline of each charge."""
    called: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)

    async def Charge(self, request: ChargeRequest, context: Any) -> ChargeResponse:
        self.charged.append(current())
        self.left.append(context.time_remaining())
        self.called.set()
        answer = self.script.pop(0) if self.script else charges
        return await answer(request, context)

    async def Refund(self, request: RefundRequest, context: Any) -> RefundResponse:
        self.refunded.append(current())
        return RefundResponse(success=True)

    async def hangs(self, request: Any, context: Any) -> Any:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


def adding(service: object) -> Callable[[Any], None]:
    return lambda server: add_PaymentServicer_to_server(service, server)


@asynccontextmanager
async def stub_of(service: Service) -> AsyncIterator[PaymentStub]:
    async with (
        serving("127.0.0.1:0", adding(service), finish_within=0) as served,
        connected(f"127.0.0.1:{served.port}", options=[("grpc.enable_http_proxy", 0)]) as channel,
    ):
        yield PaymentStub(channel)


def charged(reply: ChargeResponse, command: Charge, metadata: Metadata) -> Charged | Declined:
    if reply.success:
        return Charged(command.order_id)
    return Declined(command.order_id, text_of(metadata, "reason"))


def shop(*, timeout: float | None = 20.0, patience: float | None = None, **options: Any) -> App:
    """An order is charged; its saga waits so many seconds for that."""
    app = App("shop")
    app.handles(retry=Retry(3, first=1, factor=1, jitter=0), timeout=timeout)(
        unary(
            PaymentStub,
            "Charge",
            command=Charge,
            request=lambda command: ChargeRequest(order_id=command.order_id, amount=command.amount),
            response=charged,
            **options,
        )
    )
    app.handles(
        unary(
            PaymentStub,
            "Refund",
            command=Refund,
            request=lambda command: RefundRequest(order_id=command.order_id),
            response=lambda reply, command: Refunded(command.order_id),
            outcomes=(Refunded,),
        )
    )

    @app.saga(key="order_id")
    async def order(placed: Placed, saga: Saga) -> None:
        charge = Charge(placed.order_id, placed.amount)
        await saga.do(charge, then=Charged, undo=Refund(placed.order_id), timeout=patience)

    return app
