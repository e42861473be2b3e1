"""The engine as a whole: how it starts, stops, goes on without its store, and ends."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass

import pytest
from tests.each_store import ON_EACH_STORE, AnyStore, Around, new_store, only_on
from tests.engine.stage import RETRY, Ask, Stage, Told, asking_app, until

from sagakit import App, Retry, Saga
from sagakit.core.commit import Delivery
from sagakit.engine.handlers.service_handler import ServiceHandler
from sagakit.engine.limits import Limits
from sagakit.errors import Stopping, StoreFailed, StoreUnusable
from sagakit.testing.faults import At, Fault, FaultyStore
from sagakit.testing.manual import ManualEngine, engine

pytestmark = ON_EACH_STORE


@dataclass(frozen=True)
class Begun:
    key: str


@dataclass(frozen=True)
class Undo:
    key: str


@dataclass(frozen=True)
class Undone:
    key: str


def started(app: App, store: AnyStore, stage: Stage, **limits: float) -> ManualEngine:
    return ManualEngine(
        app.topology(provide=[Stage]),
        store,
        provide={Stage: stage},
        limits=Limits(**limits),  # type: ignore[arg-type]
    )


async def left(store: AnyStore) -> list[Delivery]:
    reader = store.again()
    await reader.open(own=False)
    return await reader.read_deliveries()


async def was_clean(store: AnyStore) -> bool:
    reader = store.again()
    clean = await reader.open(own=False)
    if reader.cluster is not None:  # what was handed over unclean is suspect
        clean = all(lease.clean for lease in await reader.cluster.leases())
    await reader.close()
    return clean


# ---------------------------------------------------------------------- start


async def test_a_store_that_cannot_be_opened_is_told_of() -> None:
    store = FaultyStore(new_store(), At(1, Fault.FAILED))
    with pytest.raises(StoreFailed):
        async with engine(asking_app(), store=store, provide={Stage: Stage()}):
            pass


@only_on("memory", "sqlite", because="with several engines it is read as it is claimed")
@pytest.mark.parametrize("operation", ["subscribe", "read_deliveries"])
async def test_a_start_that_fails_gives_the_store_back(operation: str) -> None:
    store = new_store()
    faulty = FaultyStore(store, At(1, Fault.FAILED, operation))
    with pytest.raises(StoreFailed):
        async with engine(asking_app(), store=faulty, provide={Stage: Stage()}):
            pass
    assert faulty.operations[-1] == "close"
    assert await was_clean(store)


async def test_who_takes_what_is_recorded() -> None:
    store, app = new_store(), asking_app()

    @app.on
    async def hears(event: Told) -> None:
        pass

    @app.saga(key="key")
    async def saga(begun: Begun, saga: Saga) -> None:
        pass

    async with engine(app, store=store, provide={Stage: Stage()}):
        found = {(one.consumer, one.type) for one in await store.read_subscriptions()}
    assert found == {("t.ask", "t.Ask"), ("t.hears", "t.Told"), ("t.saga", "t.Begun")}


# ---------------------------------------------------------------------- an orderly stop


async def test_a_stop_waits_for_what_runs_and_writes_it_down() -> None:
    stage, store = Stage(), new_store()
    stage.closes(Ask())
    running = started(asking_app(), store, stage)
    await running.start()
    await running.send(Ask())
    await running.send(Ask(number=1))
    await until(lambda: stage.now)
    stopping = asyncio.create_task(running.stop())
    await until(lambda: running.ready() == "the engine is being stopped")
    with pytest.raises(Stopping):
        await running.send(Ask(number=2))
    stage.opens(Ask())
    await stopping
    await running.stopped()
    assert [one.envelope.payload for one in await left(store)] == [b'{"key":"a","number":1}']
    assert stage.began == [Ask()]
    assert await was_clean(store)


@pytest.mark.parametrize("timeout", [None, 60.0])
async def test_what_runs_longer_than_the_limit_is_cancelled_and_that_is_no_attempt(timeout: float | None) -> None:
    stage, store = Stage(), new_store()
    stage.closes(Ask())
    running = started(asking_app(timeout=timeout), store, stage, stop_within=0.01)
    await running.start()
    await running.send(Ask())
    await until(lambda: stage.now)
    await running.stop()
    assert stage.ended == [Ask()]
    (delivery,) = await left(store)
    assert (delivery.state, delivery.attempt, delivery.crashes) == ("ready", 1, 0)
    assert await was_clean(store)
    stage.opens(Ask())
    async with engine(asking_app(timeout=timeout), store=store.again(), provide={Stage: stage}) as again:
        await again.settle()
    assert [context.attempt for context in stage.contexts] == [1, 1]


async def test_a_thread_that_runs_on_makes_the_end_unclean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sagakit.engine.running.GRACE", 0.01)
    gate, began, app, store = threading.Event(), list[int](), App("t"), new_store()

    @app.handles
    def ask(command: Ask) -> Told:
        began.append(command.number)
        assert gate.wait(10)
        return Told(command.key)

    running = started(app, store, Stage(), stop_within=0.01)
    await running.start()
    await running.send(Ask())
    await until(lambda: began)
    await running.stop()
    assert not await was_clean(store)
    gate.set()
    (delivery,) = await left(store)
    assert (delivery.state, delivery.attempt) == ("ready", 1)


async def test_a_thread_that_was_left_behind_is_waited_for() -> None:
    gate, began, app, store = threading.Event(), list[int](), App("t"), new_store()

    @app.handles(timeout=5.0, retry=Retry(1))
    def ask(command: Ask) -> Told:
        began.append(command.number)
        assert gate.wait(10)
        return Told(command.key)

    running = started(app, store, Stage())
    await running.start()
    await running.send(Ask())
    await running.advance(seconds=5)
    assert [one.state for one in await left(store)] == ["parked"]
    stopping = asyncio.create_task(running.stop())
    await until(lambda: running._runs._over)
    gate.set()
    await stopping
    assert await was_clean(store)


async def test_a_retry_that_waits_is_no_reason_to_wait() -> None:
    stage, store = Stage(), new_store()
    stage.will(Ask(), ConnectionError("down"))
    running = started(asking_app(retry=RETRY), store, stage)
    await running.start()
    await running.send(Ask())
    await running.settle()
    await running.stop()
    assert [(one.state, one.attempt) for one in await left(store)] == [("retrying", 2)]
    assert await was_clean(store)


async def test_a_stop_while_the_store_fails_does_not_wait_for_it() -> None:
    stage, store = Stage(), new_store()
    faulty = FaultyStore(store, *(At(number, Fault.FAILED, "commit") for number in range(2, 99)))
    running = started(asking_app(), faulty, stage, stop_within=0.05)
    await running.start()
    await running.send(Ask())
    await until(lambda: running.ready() is not None)
    await running.stop()
    assert [one.state for one in await left(store)] == ["ready"]


async def test_a_second_stop_does_no_harm() -> None:
    store = new_store()
    running = started(asking_app(), store, Stage())
    await running.start()
    await running.stop()
    await running.stop()
    assert await was_clean(store)


async def test_nobody_waits_for_ever_at_a_door_of_an_engine_that_stops() -> None:
    """A send that was checked before the stop, and is written after."""

    class Slow(Around):
        def __init__(self) -> None:
            super().__init__()
            self.asked, self.open_ = asyncio.Event(), asyncio.Event()

        async def read_inbox(self, scope: str, key: str):  # type: ignore[no-untyped-def]
            self.asked.set()
            await self.open_.wait()
            return await self.inner.read_inbox(scope, key)

    app, store = App("t"), Slow()

    @app.aggregate(key="key")
    @dataclass(frozen=True)
    class Sum:
        def decide(self, command: Ask) -> Told:
            return Told(command.key)

        def evolve(self, event: Told) -> Sum:
            return self

    running = started(app, store, Stage())
    await running.start()
    sending = asyncio.create_task(running.send(Ask(), idempotency_key="k", expected_version=0))
    await store.asked.wait()
    await running.stop()
    store.open_.set()
    with pytest.raises((Stopping, StoreFailed)):
        await sending


# ---------------------------------------------------------------------- the end of an engine that cannot go on


class Unusable(Around):
    """A database that turns out to be corrupt when an instance is read."""

    corrupt = False

    async def read_instance(self, id: str):  # type: ignore[no-untyped-def]
        if self.corrupt:
            raise StoreUnusable("the database is corrupt")
        return await self.inner.read_instance(id)


def saga_app() -> App:
    app = asking_app(key=None)

    @app.handles
    async def undo(command: Undo, stage: Stage) -> Undone:
        await stage.play(Ask(command.key, -1))
        return Undone(command.key)

    @app.saga(key="key")
    async def saga(begun: Begun, saga: Saga) -> None:
        await saga.do(Ask(begun.key), then=Told, undo=Undo(begun.key))
        await saga.do(Ask(begun.key, 1), then=Told, undo=Undo(begun.key))

    return app


async def test_a_corrupt_database_ends_the_engine_and_fails_nothing() -> None:
    stage, store = Stage(), Unusable()
    stage.closes(Ask("a"))
    running = started(saga_app(), store, stage, cached=0)
    await running.start()
    await running.publish(Begun("a"))
    await until(lambda: stage.now)
    store.corrupt = True
    stage.opens(Ask("a"))
    await running.stopped()
    assert running.ready() == "StoreUnusable: the database is corrupt"
    with pytest.raises(Stopping, match="corrupt"):
        await running.send(Ask("b"))
    await running.stop()
    assert not await was_clean(store)
    (delivery,) = await left(store)
    assert (delivery.state, delivery.attempt) == ("ready", 1)  # neither parked nor tried


async def test_a_store_that_cannot_be_read_for_a_while_is_nobodys_attempt() -> None:
    stage, store = Stage(), new_store()
    stage.closes(Ask("a"))
    faulty = FaultyStore(store, *(At(number, Fault.FAILED, "read_history") for number in range(1, 4)))
    running = ManualEngine(
        saga_app().topology(provide=[Stage]), faulty, provide={Stage: stage}, limits=Limits(cached=0)
    )
    await running.start()
    await running.publish(Begun("a"))
    await until(lambda: stage.now)
    stage.opens(Ask("a"))
    for _ in range(3):
        await until(lambda: running.hand._sleepers)
        running.hand.set(running.hand.now() + 5_000_000)
    await running.settle()
    assert await running.status("t.saga", "a") == "completed"
    assert stage.began == [Ask("a"), Ask("a", 1)]
    await running.stop()


async def test_a_handling_that_kills_its_worker_ends_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    class Dead(BaseException):
        pass

    async def dies(self: ServiceHandler, *args: object) -> None:
        raise Dead

    monkeypatch.setattr(ServiceHandler, "handle", dies)
    store = new_store()
    running = started(asking_app(), store, Stage())
    await running.start()
    await running.send(Ask())
    await running.stopped()
    assert isinstance(running.fatal, Dead)
    await running.stop()
    assert not await was_clean(store)


# ---------------------------------------------------------------------- what is told of it


async def test_ready_while_all_is_well() -> None:
    async with engine(asking_app(), provide={Stage: Stage()}) as running:
        assert running.ready() is None
        assert running.fatal is None


async def test_idle_and_quiet_say_what_runs() -> None:
    stage = Stage()
    stage.closes(Ask())
    async with engine(asking_app(), provide={Stage: stage}) as running:
        await running.settle()
        assert running.idle
        assert running.quiet
        await running.send(Ask())
        await until(lambda: stage.now)
        assert not running.idle
        assert running.quiet
        stage.opens(Ask())
        await running.settle()
        assert running.idle


async def test_what_does_not_settle_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage()
    stage.closes(Ask())
    async with engine(asking_app(), provide={Stage: stage}) as running:
        await running.send(Ask())
        monkeypatch.setattr("sagakit.testing.manual.PATIENCE", 0.01)
        with pytest.raises(AssertionError, match="not settled"):
            await running.settle()
        stage.opens(Ask())


async def test_nothing_is_left_running_after_a_stop() -> None:
    stage = Stage()
    before = asyncio.all_tasks()
    async with engine(saga_app(), provide={Stage: stage}) as running:
        for key in "abc":
            await running.publish(Begun(key))
        await running.settle()
    await until(lambda: asyncio.all_tasks() == before)
