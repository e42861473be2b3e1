"""A command that is given up: wherever it stands, it is not handled any more, and its lane goes on."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from tests.each_store import ON_EACH_STORE, AnyStore, new_store
from tests.engine.stage import RETRY, Ask, Stage, Told, asking_app, until

from sagakit import App, Saga
from sagakit.core.commit import Delivery
from sagakit.engine.limits import Limits
from sagakit.testing.manual import ManualEngine, engine

pytestmark = ON_EACH_STORE


@dataclass(frozen=True)
class Begun:
    key: str


@dataclass(frozen=True)
class Stop:
    key: str


@dataclass(frozen=True)
class Undo:
    key: str


@dataclass(frozen=True)
class Undone:
    key: str


@dataclass(frozen=True)
class Add:
    key: str
    number: int


@dataclass(frozen=True)
class Added:
    key: str
    number: int


@dataclass(frozen=True)
class Sum:
    total: int = 0

    def decide(self, command: Add) -> Added:
        return Added(command.key, command.number)

    def evolve(self, event: Added) -> Sum:
        return Sum(self.total + event.number)


def asking_saga(*, key: str | None = "key") -> App:
    app = asking_app(key=key, retry=RETRY)

    @app.handles
    async def undo(command: Undo, stage: Stage) -> Undone:
        await stage.play(Ask(command.key, -1))
        return Undone(command.key)

    @app.saga(key="key")
    async def saga(begun: Begun, saga: Saga) -> None:
        await saga.do(Ask(begun.key), then=Told, undo=Undo(begun.key))

    return app


async def left(store: AnyStore) -> list[Delivery]:
    reader = store.again()
    await reader.open(own=False)
    return await reader.read_deliveries()


async def cancelled(running: ManualEngine) -> None:
    assert await running.cancel("t.saga", "a", reason="no need")
    await running.advance(seconds=0)


@pytest.mark.parametrize("key", ["key", None])
async def test_while_it_waits_to_be_tried_again(key: str | None) -> None:
    stage, store = Stage(), new_store()
    stage.will(Ask("a"), ConnectionError("down"))
    async with engine(asking_saga(key=key), store=store, provide={Stage: stage}) as running:
        await running.publish(Begun("a"))
        await running.settle()
        await running.send(Ask("a", 1))
        await running.settle()
        await cancelled(running)
        await running.settle()
        assert stage.began.count(Ask("a")) == 1
        assert await running.status("t.saga", "a") == "compensated"
        assert Ask("a", 1) in stage.ended  # its lane goes on at once
        await running.advance(seconds=60)
    assert stage.began.count(Ask("a")) == 1
    assert await left(store) == []


@pytest.mark.parametrize("key", ["key", None])
async def test_while_it_waits_for_a_worker(key: str | None) -> None:
    stage, store = Stage(), new_store()
    stage.closes(Ask("busy"))
    app = asking_saga(key=key)
    async with engine(app, store=store, provide={Stage: stage}, limits=Limits(at_once=2)) as running:
        await running.send(Ask("busy"))
        await until(lambda: stage.now)
        stage.closes(Ask("busier"))
        await running.send(Ask("busier"))
        await until(lambda: len(stage.now) == 2)
        await running.publish(Begun("a"))  # its command is ready, and no worker is free
        await running.cancel("t.saga", "a", reason="no need")  # so is the cancel, behind it
        stage.opens(Ask("busy"))
        await until(lambda: len(stage.ended) > 1)
        stage.opens(Ask("busier"))
        await running.settle()
        assert await running.status("t.saga", "a") == "compensated"
        assert running.idle
        await running.send(Ask("a", 7))
        await running.settle()
    assert Ask("a", 7) in stage.ended
    assert await left(store) == []


async def test_while_its_lane_is_ready_but_not_handled_yet() -> None:
    """The head of a lane that waits for a worker is taken out: the worker finds it empty, and the lane lives on."""
    stage, store = Stage(), new_store()
    async with engine(asking_saga(), store=store, provide={Stage: stage}) as running:
        running._lanes.running = False  # no worker takes anything
        await running.publish(Begun("a"))
        (delivery,) = await left(store)
        lane = running._lanes.get(delivery.lane)
        assert lane.queue
        assert running._lanes.waiting == 1
        running._lanes.take_out(lane, delivery.envelope.id)
        assert not lane.queue
        running._lanes.start()
        await running.settle()
        assert not lane.busy
        await running.send(Ask("a", 7))
        await running.settle()
    assert stage.began == [Ask("a", 7)]


async def test_while_it_stands_behind_another_in_its_lane() -> None:
    stage, store = Stage(), new_store()
    stage.closes(Ask("a", 9))
    async with engine(asking_saga(), store=store, provide={Stage: stage}) as running:
        await running.send(Ask("a", 9))
        await running.publish(Begun("a"))
        await running.send(Ask("a", 10))
        await until(lambda: stage.now)
        await cancelled(running)
        assert await running.status("t.saga", "a") == "compensated"
        stage.opens(Ask("a", 9))
        await running.settle()
    assert stage.began == [Ask("a", 9), Ask("a", -1), Ask("a", 10)]
    assert await left(store) == []


@pytest.mark.parametrize("key", ["key", None])
async def test_while_it_runs(key: str | None) -> None:
    stage, store = Stage(), new_store()
    stage.closes(Ask("a"))
    async with engine(asking_saga(key=key), store=store, provide={Stage: stage}) as running:
        await running.publish(Begun("a"))
        await until(lambda: stage.now)
        await running.send(Ask("a", 1))
        await cancelled(running)
        await running.settle()
        assert await running.status("t.saga", "a") == "compensated"
    assert sorted(one.number for one in stage.ended) == [-1, 0, 1]
    assert stage.ended.index(Ask("a")) < stage.ended.index(Ask("a", -1))  # cancelled, and then undone
    assert await left(store) == []


@pytest.mark.parametrize("lets_out", [ConnectionError("interrupted"), None])
async def test_whatever_a_cancelled_handler_makes_of_it(lets_out: Exception | None) -> None:
    """It is withdrawn all the same, and its worker goes on as any other."""
    app, stage, store, pending = App("t"), Stage(), new_store(), list[int]()

    @app.handles
    async def ask(command: Ask, stage: Stage) -> Told:
        task = asyncio.current_task()
        assert task
        pending.append(task.cancelling())
        try:
            await stage.play(command)
        except asyncio.CancelledError as error:
            if lets_out is not None:
                raise lets_out from error
        return Told(command.key)

    @app.handles
    async def undo(command: Undo, stage: Stage) -> Undone:
        await stage.play(Ask(command.key, -1))
        return Undone(command.key)

    @app.saga(key="key")
    async def saga(begun: Begun, saga: Saga) -> None:
        await saga.do(Ask(begun.key), then=Told, undo=Undo(begun.key))

    stage.closes(Ask("a"))
    async with engine(app, store=store, provide={Stage: stage}, limits=Limits(at_once=2)) as running:
        await running.publish(Begun("a"))
        await until(lambda: stage.now)
        await cancelled(running)
        await running.settle()
        assert await running.status("t.saga", "a") == "compensated"
        for number in range(1, 5):
            await running.send(Ask("b", number))
        await running.settle()
    assert pending == [0] * 5
    assert await left(store) == []


async def test_the_command_of_an_aggregate_whose_run_is_being_written() -> None:
    """The Commit that gives it up comes first: the whole run is dropped, and decided again without it."""
    app, stage, store = App("t"), Stage(), new_store()
    app.aggregate(key="key")(Sum)

    @app.handles
    async def undo(command: Undo, stage: Stage) -> Undone:
        return Undone(command.key)

    @app.saga(key="key", receives=Stop)
    async def saga(begun: Begun, saga: Saga) -> None:
        await saga.first(saga.do(Add("sum", 1), then=Added, undo=Undo(begun.key)), saga.receive(Stop))

    async with engine(app, store=store, provide={Stage: stage}) as running:
        running._lanes.running = False
        await running.publish(Begun("a"))
        for number in (10, 20):
            await running.send(Add("sum", number))
        # the give-up is submitted first, the run of the aggregate right behind it, in one group
        lane = running._lanes.get("t.Sum/sum")
        assert len(lane.queue) == 3
        committer = running._committer
        committer.busy = True
        accepting = asyncio.create_task(running.publish(Stop("a")))
        await until(lambda: len(committer._waiting) == 1)
        running._lanes.start()
        await until(lambda: len(committer._waiting) == 2)
        committer.busy = False
        committer._wake.set()
        await accepting
        await running.settle()
        assert (await running.load(Sum, "sum")).state == Sum(30)
        assert await running.status("t.saga", "a") == "completed"
    assert await left(store) == []
