"""A slow charge that is given up while it runs, and finishes after: never refunded before, never left charged."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from tests.acceptance.orders.messages import (
    ChargePayment,
    OrderPlaced,
    PaymentCharged,
    PlaceOrder,
    RefundPayment,
    ShipOrder,
)
from tests.acceptance.orders.processes import PROCESS, WAYS
from tests.acceptance.orders.running import ORDER
from tests.acceptance.orders.slow import CHARGES, FINISHES_AFTER, TIMEOUT, Gate, slow_app
from tests.acceptance.orders.world import World
from tests.each_store import ON_EACH_STORE
from tests.engine.stage import until

from sagakit import App, Saga
from sagakit.testing.manual import ManualEngine, engine

pytestmark = ON_EACH_STORE


class Running:
    """An engine with one order whose charge has begun."""

    def __init__(self, engine: ManualEngine, world: World, gate: Gate) -> None:
        self.engine, self.world, self.gate = engine, world, gate

    async def calm(self) -> None:
        """Let everything run that does not wait for the gate."""
        await self.engine.advance(seconds=0)

    async def status(self) -> str:
        return await self.engine.status(PROCESS, ORDER)


@asynccontextmanager
async def charging(app: App) -> AsyncIterator[Running]:
    world, gate = World(), Gate()
    async with engine(app, provide={World: world, Gate: gate}) as running:
        await running.send(PlaceOrder(ORDER))
        await until(lambda: gate.entered)
        try:
            yield Running(running, world, gate)
        finally:
            gate.open()


async def never_refunded_before_never_left_charged(run: Running, kind: str) -> None:
    """The charge was given up: what holds before it ends, and after."""
    await run.calm()
    if kind in FINISHES_AFTER:
        assert run.world.applied == ["reserve"]  # no undo has begun: the do still runs
        assert await run.status() in ("undoing", "running")
    run.gate.open()
    await until(lambda: "cancel" in run.world.applied)
    await run.engine.settle()
    charged = ["charge"] if kind in FINISHES_AFTER else []
    assert run.world.applied == ["reserve", *charged, "refund", "release", "cancel"]
    assert run.world.held[ORDER] == ["cancellation"]
    assert await run.status() == "compensated"
    assert run.world.runs("charge") == len(charged)


@pytest.mark.parametrize("kind", CHARGES)
@pytest.mark.parametrize("way", WAYS)
async def test_given_up_by_its_timeout(way: str, kind: str) -> None:
    async with charging(slow_app(way, kind)) as run:
        await run.engine.advance(seconds=TIMEOUT)
        await never_refunded_before_never_left_charged(run, kind)


@pytest.mark.parametrize("kind", CHARGES)
@pytest.mark.parametrize("way", WAYS)
async def test_not_given_up_before_its_timeout(way: str, kind: str) -> None:
    async with charging(slow_app(way, kind)) as run:
        await run.engine.advance(seconds=TIMEOUT - 0.001)
        run.gate.open()
        await until(lambda: "confirm" in run.world.applied)
        await run.engine.settle()
        assert run.world.applied == ["reserve", "charge", "ship", "confirm"]
        assert await run.status() == "completed"


@pytest.mark.parametrize("timeout", [TIMEOUT, None])
@pytest.mark.parametrize("kind", CHARGES)
@pytest.mark.parametrize("way", WAYS)
async def test_cancelled_while_it_runs(way: str, kind: str, timeout: float | None) -> None:
    async with charging(slow_app(way, kind, timeout=timeout)) as run:
        assert await run.engine.cancel(PROCESS, ORDER, reason="changed my mind")
        await never_refunded_before_never_left_charged(run, kind)


@pytest.mark.parametrize("kind", FINISHES_AFTER)
@pytest.mark.parametrize("way", WAYS)
async def test_cancelled_after_its_timeout_while_a_retry_is_due(way: str, kind: str) -> None:
    async with charging(slow_app(way, kind, attempts=3)) as run:
        await run.engine.advance(seconds=TIMEOUT)
        assert await run.engine.cancel(PROCESS, ORDER, reason="changed my mind")
        await never_refunded_before_never_left_charged(run, kind)


@pytest.mark.parametrize("kind", FINISHES_AFTER)
@pytest.mark.parametrize("way", WAYS)
async def test_another_attempt_waits_for_the_one_before(way: str, kind: str) -> None:
    async with charging(slow_app(way, kind, attempts=2)) as run:
        await run.engine.advance(seconds=TIMEOUT + 1)
        await run.calm()
        assert run.gate.entered == 1  # the retry is due, and waits
        run.gate.open()
        await until(lambda: "confirm" in run.world.applied)
        await run.engine.settle()
        assert run.gate.entered == 2
        assert run.world.applied == ["reserve", "charge", "ship", "confirm"]
        assert await run.status() == "completed"


@pytest.mark.parametrize("kind", FINISHES_AFTER)
@pytest.mark.parametrize("way", WAYS)
async def test_cancelled_while_the_next_attempt_waits_for_the_one_before(way: str, kind: str) -> None:
    async with charging(slow_app(way, kind, attempts=2)) as run:
        await run.engine.advance(seconds=TIMEOUT + 1)
        assert await run.engine.cancel(PROCESS, ORDER, reason="changed my mind")
        await never_refunded_before_never_left_charged(run, kind)


# ---------------------------------------------------------------------- first


@dataclass(frozen=True)
class PaidElsewhere:
    order_id: str


async def race(order: OrderPlaced, saga: Saga) -> None:
    """The charge loses against a receive; what comes after sees it undone."""
    id = order.order_id
    won = await saga.first(
        saga.do(ChargePayment(id, order.total), then=PaymentCharged, undo=RefundPayment(id)),
        saga.receive(PaidElsewhere),
    )
    assert isinstance(won, PaidElsewhere)
    saga.send(ShipOrder(id))


def racing_app(kind: str) -> App:
    app = slow_app("code", kind)
    app.declared.code_sagas.clear()
    app.saga(key="order_id", receives=PaidElsewhere, name="fulfil")(race)
    return app


@pytest.mark.parametrize("kind", CHARGES)
async def test_withdrawn_by_first(kind: str) -> None:
    async with charging(racing_app(kind)) as run:
        await run.engine.publish(PaidElsewhere(ORDER))
        await run.calm()
        if kind in FINISHES_AFTER:
            assert run.world.applied == []
        run.gate.open()
        await until(lambda: "ship" in run.world.applied)
        charged = ["charge"] if kind in FINISHES_AFTER else []
        assert run.world.applied == [*charged, "refund", "ship"]  # undone before `first` returns
        await run.engine.settle()
        assert await run.status() == "completed"
