"""Instances of a version that was taken away and has come back: a deployment mends what a deployment broke."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.each_store import ON_EACH_STORE, AnyStore, new_store
from tests.engine.operating.shop import Placed, Reserve, Reserved, Shipped
from tests.engine.workers.crew import crew

from sagakit import App, Saga, Stopping
from sagakit.core.lifecycle import OperatorActed
from sagakit.core.queries import DeliveryQuery
from sagakit.core.streams import instance_id
from sagakit.engine.operating.operator import Operator
from sagakit.testing.manual import ManualEngine, engine

PROCESS = "t.order"


def shop(*versions: int, broken: bool = False) -> App:
    """Orders on these versions; `broken`: each fails when it is shipped."""
    app = App("t")

    @app.handles
    async def reserve(command: Reserve) -> Reserved:
        return Reserved(command.key)

    async def order(placed: Placed, saga: Saga) -> None:
        await saga.receive(Shipped)
        if broken:
            raise ValueError("unlucky")
        await saga.do(Reserve(placed.key), then=Reserved)

    for version in versions:
        app.saga(key="key", name="order", receives=Shipped, version=version)(order)
    return app


async def status(one: ManualEngine, key: str) -> str | None:
    await one.settle()
    return await one.status(PROCESS, key)


async def retries(one: ManualEngine, store: AnyStore, key: str) -> list[OperatorActed]:
    """What was done to an instance, from its log."""
    acted: list[Any] = []
    for entry in await store.read_history(instance_id(PROCESS, key)):
        told = entry.inputs[0]
        acted.append(one.topology.codecs.decode(told.type, told.version, told.payload))
    return [each for each in acted if isinstance(each, OperatorActed)]


async def stop_at_old_code(store: AnyStore, keys: list[str]) -> None:
    """Begin orders on version 2, and go on with code that knows version 1 alone."""
    async with engine(shop(1, 2), store=store) as newer:
        for key in keys:
            await newer.publish(Placed(key))
        await newer.settle()
    async with engine(shop(1), store=store.again()) as older:
        for key in keys:
            await older.publish(Shipped(key))
            assert await status(older, key) == "parked"


@ON_EACH_STORE
async def test_they_go_on_by_themselves_and_the_log_says_why() -> None:
    store, keys = new_store(), [f"order-{number}" for number in range(120)]
    await stop_at_old_code(store, keys)
    again = store.again()
    async with engine(shop(1, 2), store=again) as newest:
        for key in keys:
            assert await status(newest, key) == "completed"
        (acted,) = await retries(newest, again, keys[-1])
        assert (acted.action, acted.by) == ("retry", "sagakit")
        assert acted.reason == "version 2 of t.order is declared again"
        assert not await again.read_deliveries()


@ON_EACH_STORE
async def test_those_whose_version_is_still_away_wait_and_nothing_is_recorded() -> None:
    store = new_store()
    await stop_at_old_code(store, ["a"])
    for _ in range(2):
        store = store.again()
        async with engine(shop(1, 3), store=store) as other:
            assert await status(other, "a") == "parked"
            assert await retries(other, store, "a") == []


@ON_EACH_STORE
async def test_one_that_has_parked_for_another_reason_waits_for_a_person() -> None:
    store = new_store()
    async with engine(shop(1, broken=True), store=store) as one:
        await one.publish(Placed("a"))
        await one.publish(Shipped("a"))
        assert await status(one, "a") == "parked"
    again = store.again()
    async with engine(shop(1), store=again) as one:
        assert await status(one, "a") == "parked"
        await one.operator.act(instance_id(PROCESS, "a"), "retry", by="ada", reason="mended")
        assert await status(one, "a") == "completed"
        assert [acted.by for acted in await retries(one, again, "a")] == ["ada"]


@ON_EACH_STORE
async def test_what_a_person_has_done_to_one_before_stands() -> None:
    store = new_store()
    await stop_at_old_code(store, ["a", "b"])
    away = store.again()
    async with engine(shop(1), store=away) as older:
        await older.settle()
        await older.operator.act(instance_id(PROCESS, "a"), "abandon", by="ada", reason="by hand")
        await older.settle()
    async with engine(shop(1, 2), store=away.again()) as newest:
        assert await status(newest, "a") == "abandoned"
        assert await status(newest, "b") == "completed"


async def test_among_workers_they_go_on_when_one_with_the_code_owns_them() -> None:
    keys = [f"order-{number}" for number in range(60)]
    async with crew(shop(1, 2), "new") as made:
        for key in keys:
            await made.engines["new"].publish(Placed(key))
        await made.settle()
        await made.join("old", app=shop(1))
        await made.leave("new")
        await made.beat()
        await made.settle()
        old = made.engines["old"]
        for key in keys:
            await old.publish(Shipped(key))
        await made.settle()
        assert len(await old.store.find_deliveries(DeliveryQuery(state="parked", limit=100))) == len(keys)
        for name in ("newer", "newest"):
            await made.join(name)
        await made.beat()
        await made.leave("old")
        await made.beat()
        await made.settle()
        assert {await made.engines["newer"].status(PROCESS, key) for key in keys} == {"completed"}
        assert not made.data.deliveries


async def test_an_engine_that_is_being_stopped_leaves_them_for_the_next_start(monkeypatch: pytest.MonkeyPatch) -> None:
    store, asking = new_store(), list[asyncio.Task[Any]]()
    await stop_at_old_code(store, ["a"])

    async def refuses(*given: Any, **named: Any) -> None:
        asking.extend(task for task in asyncio.all_tasks() if task.get_name() == "sagakit redeclared")
        raise Stopping("the engine is being stopped")

    again = store.again()
    with monkeypatch.context() as patched:
        patched.setattr(Operator, "act_on_delivery", refuses)
        async with engine(shop(1, 2), store=again) as newest:
            assert await status(newest, "a") == "parked"
            (task,) = asking
            await asyncio.wait_for(task, 10)
    async with engine(shop(1, 2), store=again.again()) as newest:
        assert await status(newest, "a") == "completed"
