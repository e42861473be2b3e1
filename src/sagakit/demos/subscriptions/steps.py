"""The five steps and what takes each back: commands to the provider, its answers as events."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from decimal import Decimal

import httpx

from sagakit import Context, Module, Retry, TerminalError
from sagakit.demos.subscriptions.messages import Order
from sagakit.demos.subscriptions.provider.client import Provider, ProviderRefused

subscriptions = Module("subscriptions")

RETRY = Retry(4, first=0.1, factor=2, cap=2, never=TerminalError)
UNDO_RETRY = Retry(8, first=0.1, factor=2, cap=5)
ANSWERS_WITHIN = 2.0
"""Seconds that the provider has for one request."""


class ProviderAddress(str):
    """Where the provider is."""

    __slots__ = ()


@subscriptions.provides
async def provider(address: ProviderAddress) -> AsyncGenerator[Provider]:
    """One client for as long as the engine runs."""
    async with httpx.AsyncClient(base_url=address, timeout=ANSWERS_WITHIN) as http:
        yield Provider(http)


@subscriptions.handles(retry=RETRY)
async def create_customer(
    command: Order.Step1.CreateCustomer, provider: Provider, context: Context
) -> Order.Step1.CustomerCreated | Order.Step1.Failed.CustomerCancelled:
    """Step 1."""
    order_id = command.order_id
    try:
        made = await provider.create("customers", order_id, context.idempotency_key, email=command.email)
    except ProviderRefused as refused:
        return Order.Step1.Failed.CustomerCancelled(order_id, str(refused))
    return Order.Step1.CustomerCreated(order_id, made["id"])


@subscriptions.handles(retry=UNDO_RETRY)
async def cancel_customer(
    command: Order.Step1.Failed.CancelCustomer, provider: Provider, context: Context
) -> Order.Step1.Failed.CustomerCancelled:
    """Takes step 1 back."""
    await provider.cancel("customers", command.order_id, context.idempotency_key)
    return Order.Step1.Failed.CustomerCancelled(command.order_id, command.reason)


@subscriptions.handles(retry=RETRY)
async def order_plan(
    command: Order.Step2.OrderPlan, provider: Provider, context: Context
) -> Order.Step2.PlanOrdered | Order.Step2.Failed.PlanCancelled:
    """Step 2."""
    order_id, plan, persons = command.order_id, command.plan, command.persons
    try:
        made = await provider.create("plans", order_id, context.idempotency_key, plan=plan, persons=persons)
    except ProviderRefused as refused:
        return Order.Step2.Failed.PlanCancelled(order_id, str(refused))
    return Order.Step2.PlanOrdered(order_id, Decimal(made["price"]))


@subscriptions.handles(retry=UNDO_RETRY)
async def cancel_plan(
    command: Order.Step2.Failed.CancelPlan, provider: Provider, context: Context
) -> Order.Step2.Failed.PlanCancelled:
    """Takes step 2 back."""
    await provider.cancel("plans", command.order_id, context.idempotency_key)
    return Order.Step2.Failed.PlanCancelled(command.order_id, command.reason)


@subscriptions.handles(retry=RETRY)
async def create_session(
    command: Order.Step3.CreateSession, provider: Provider, context: Context
) -> Order.Step3.SessionCreated | Order.Step3.Failed.SessionCancelled:
    """Step 3."""
    asked = {"customer": command.customer_id, "price": str(command.price)}
    try:
        made = await provider.create("sessions", command.order_id, context.idempotency_key, **asked)
    except ProviderRefused as refused:
        return Order.Step3.Failed.SessionCancelled(command.order_id, str(refused))
    return Order.Step3.SessionCreated(command.order_id, made["id"])


@subscriptions.handles(retry=UNDO_RETRY)
async def cancel_session(
    command: Order.Step3.Failed.CancelSession, provider: Provider, context: Context
) -> Order.Step3.Failed.SessionCancelled:
    """Takes step 3 back."""
    await provider.cancel("sessions", command.order_id, context.idempotency_key)
    return Order.Step3.Failed.SessionCancelled(command.order_id, command.reason)


@subscriptions.handles(retry=RETRY)
async def take_payment(
    command: Order.Step4.TakePayment, provider: Provider, context: Context
) -> Order.Step4.PaymentTaken | Order.Step4.Failed.PaymentRefunded:
    """Step 4."""
    asked = {"session": command.session_id, "price": str(command.price), "card": command.card}
    try:
        made = await provider.create("payments", command.order_id, context.idempotency_key, **asked)
    except ProviderRefused as refused:
        return Order.Step4.Failed.PaymentRefunded(command.order_id, str(refused))
    return Order.Step4.PaymentTaken(command.order_id, made["id"])


@subscriptions.handles(retry=UNDO_RETRY)
async def refund_payment(
    command: Order.Step4.Failed.RefundPayment, provider: Provider, context: Context
) -> Order.Step4.Failed.PaymentRefunded:
    """Takes step 4 back."""
    await provider.cancel("payments", command.order_id, context.idempotency_key)
    return Order.Step4.Failed.PaymentRefunded(command.order_id, command.reason)


@subscriptions.handles(retry=RETRY)
async def adjust_permissions(
    command: Order.Step5.AdjustPermissions, provider: Provider, context: Context
) -> Order.Step5.PermissionsAdjusted | Order.Step5.Failed.PermissionsRestored:
    """Step 5."""
    asked = {"plan": command.plan, "persons": command.persons}
    try:
        await provider.create("permissions", command.order_id, context.idempotency_key, **asked)
    except ProviderRefused as refused:
        return Order.Step5.Failed.PermissionsRestored(command.order_id, str(refused))
    return Order.Step5.PermissionsAdjusted(command.order_id)


@subscriptions.handles(retry=UNDO_RETRY)
async def restore_permissions(
    command: Order.Step5.Failed.RestorePermissions, provider: Provider, context: Context
) -> Order.Step5.Failed.PermissionsRestored:
    """Takes step 5 back."""
    await provider.cancel("permissions", command.order_id, context.idempotency_key)
    return Order.Step5.Failed.PermissionsRestored(command.order_id, command.reason)
