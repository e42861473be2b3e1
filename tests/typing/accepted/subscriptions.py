"""Commands and events grouped by step, in nested classes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx

from sagakit import App, Context, Module, Retry, Step, TerminalError

subscriptions = Module("subscriptions")


class SubscriptionPlanOrder:
    @dataclass(frozen=True)
    class Start:
        order_id: str
        email: str
        plan: str

    class Step1:
        @dataclass(frozen=True)
        class CreateCustomer:
            order_id: str
            email: str

        @dataclass(frozen=True)
        class CustomerCreated:
            order_id: str
            customer_id: str

        class Failed:
            @dataclass(frozen=True)
            class CancelCustomer:
                order_id: str
                customer_id: str | None = None
                reason: str = ""

            @dataclass(frozen=True)
            class CustomerCancelled:
                order_id: str
                reason: str

    class Step2:
        @dataclass(frozen=True)
        class CreateSession:
            order_id: str
            customer_id: str
            plan: str

        @dataclass(frozen=True)
        class SessionCreated:
            order_id: str
            session_id: str


Order = SubscriptionPlanOrder


class Provider:
    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def create(self, kind: str, key: str) -> str:
        answer = await self.http.post(f"/{kind}", headers={"Idempotency-Key": key})
        return str(answer.json()["id"])


class ProviderRefused(Exception): ...


@subscriptions.provides
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url="https://provider.example") as client:
        yield client


subscriptions.provides(Provider)
patient = Retry(5, first=0.2, cap=10, never=(TerminalError, ProviderRefused))


@subscriptions.handles(retry=patient)
async def create_customer(
    command: Order.Step1.CreateCustomer, provider: Provider, context: Context
) -> Order.Step1.CustomerCreated | Order.Step1.Failed.CustomerCancelled:
    try:
        customer_id = await provider.create("customers", context.key("customer"))
    except ProviderRefused as refused:
        return Order.Step1.Failed.CustomerCancelled(command.order_id, str(refused))
    return Order.Step1.CustomerCreated(command.order_id, customer_id)


@subscriptions.handles
async def cancel_customer(command: Order.Step1.Failed.CancelCustomer) -> Order.Step1.Failed.CustomerCancelled:
    return Order.Step1.Failed.CustomerCancelled(command.order_id, command.reason)


@subscriptions.handles
def create_session(command: Order.Step2.CreateSession, provider: Provider) -> Order.Step2.SessionCreated:
    return Order.Step2.SessionCreated(command.order_id, f"{command.customer_id}-{command.plan}")


@subscriptions.on
async def alert(
    event: Order.Step1.Failed.CustomerCancelled | Order.Step2.SessionCreated, http: httpx.AsyncClient, context: Context
) -> None:
    context.log.info("alert", order=event.order_id)
    await http.post("/alerts", json={"order": event.order_id})


subscribe = subscriptions.step_saga(
    "subscribe",
    Step(
        Order.Step1.CreateCustomer,
        then=Order.Step1.CustomerCreated,
        undo=Order.Step1.Failed.CancelCustomer,
    ),
    Step(Order.Step2.CreateSession, then=Order.Step2.SessionCreated),
    starts_with=Order.Start,
    key="order_id",
)

app = App("subscriptions", subscriptions)
