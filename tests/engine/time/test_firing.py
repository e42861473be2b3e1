"""Timers of instances on an engine: they fire in a Commit of their own, and race what they are to limit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from tests.each_store import ON_EACH_STORE, Stores, new_store, only_on
from tests.engine.stage import Ask, Stage, Told, asking_app, until
from tests.engine.time.stores import NewStore, keeping

from sagakit import App, End, Forget, Message, OutcomeUnknown, Remind, Saga
from sagakit.core.commit import Delivery
from sagakit.core.lifecycle import TimerFired
from sagakit.core.process import Input, Reacted
from sagakit.core.queries import DeliveryQuery
from sagakit.core.saga.live import SagaLive
from sagakit.engine.handlers.failures import MOST_CRASHES
from sagakit.ports import Store
from sagakit.testing.faults import At, Fault, FaultyStore, SimulatedCrash
from sagakit.testing.manual import ManualClock, ManualEngine, engine

pytestmark = ON_EACH_STORE


@dataclass(frozen=True)
class Begun:
    key: str = "a"


@dataclass(frozen=True)
class Tick:
    key: str = "a"
    number: int = 0


@dataclass(frozen=True)
class Rung:
    key: str
    number: int


@dataclass(frozen=True)
class Undo:
    key: str


@dataclass(frozen=True)
class Undone:
    key: str


@pytest.fixture
def again(each_store: Stores) -> NewStore:
    """Makes stores, all on the same data."""
    return keeping(each_store.new())


def app_of(code: object, *receives: type) -> App:
    app = asking_app()

    @app.handles(key="key")
    async def undo(command: Undo, stage: Stage) -> Undone:
        await stage.play(Ask(command.key, -1))
        return Undone(command.key)

    app.saga(key="key", name="saga", receives=receives)(code)  # type: ignore[arg-type]
    return app


async def scheduled(store: Store) -> list[Delivery]:
    return await store.find_deliveries(DeliveryQuery(state="scheduled", limit=10_000))


async def logged(store: Store) -> list[str]:
    return [message.type for message in await store.read_messages()]


async def buried(before: set[asyncio.Task[None]]) -> None:
    """Nothing of a dead engine runs on."""
    for task in (own := asyncio.all_tasks() - before):
        task.cancel()
    await asyncio.gather(*own, return_exceptions=True)


@asynccontextmanager
async def doomed(app: App, store: Store, stage: Stage, clock: ManualClock) -> AsyncIterator[ManualEngine]:
    """An engine whose process is killed at the end of the block."""
    before = asyncio.all_tasks()
    running = ManualEngine(app.topology(provide=[Stage]), store, provide={Stage: stage}, clock=clock)
    await running.start()
    yield running
    await buried(before)
    await store.close(clean=False)


# ---------------------------------------------------------------------- sleeping


async def naps(begun: Begun, saga: Saga) -> None:
    for number in range(3):
        await saga.sleep(timedelta(days=10))
        await saga.do(Ask(begun.key, number), then=Told)


async def test_a_month_passes_in_a_moment(again: NewStore) -> None:
    stage = Stage()
    async with engine(app_of(naps), store=again(), provide={Stage: stage}) as running:
        await running.publish(Begun())
        await running.advance(days=9.999)
        assert stage.began == []
        await running.advance(days=20.002)
        assert len(stage.began) == 3
        assert await running.status("t.saga", "a") == "completed"
        assert await scheduled(running.store) == []
        assert running.next_due is None


@pytest.mark.parametrize("kills", [False, True])
async def test_one_asleep_wakes_on_time_after_a_restart(again: NewStore, kills: bool) -> None:
    stage, clock, app = Stage(), ManualClock(), app_of(naps)
    for _ in range(3):
        opened = doomed if kills else _orderly
        async with opened(app, again(), stage, clock) as running:
            if not clock.now() > ManualClock().now():
                await running.publish(Begun())
            await running.settle()
            await running.advance(days=7)
            await running.settle()
    async with engine(app, store=again(), provide={Stage: stage}, clock=clock) as running:
        await running.advance(days=9)
        await running.settle()
        times = [message.recorded_at for message in await running.store.read_messages() if message.type == "t.Ask"]
        day = 86_400_000_000
        assert [round((time - ManualClock().now()) / day) for time in times] == [10, 20, 30]
        assert await running.status("t.saga", "a") == "completed"


@asynccontextmanager
async def _orderly(app: App, store: Store, stage: Stage, clock: ManualClock) -> AsyncIterator[ManualEngine]:
    async with engine(app, store=store, provide={Stage: stage}, clock=clock) as running:
        yield running


async def test_firing_and_what_the_saga_does_then_are_one_commit(again: NewStore) -> None:
    stage, store = Stage(), again()
    async with engine(app_of(naps), store=store, provide={Stage: stage}) as running:
        await running.publish(Begun())
        await running.settle()
        (row,) = await scheduled(store)
        assert (row.consumer, row.envelope.type) == ("t.saga", "sagakit.TimerFired")
        store.answers.clear()
        await running.advance(days=10)
        firing = store.answers[0][0]
        assert [fence.delivery for fence in firing.done] == [row.id]
        assert [message.type for message in firing.messages] == ["sagakit.TimerFired", "t.Ask"]
        assert firing.messages[0].recorded_at == row.due_at
        assert len(firing.reactions) == 1


async def test_a_busy_instance_is_told_of_its_timer_when_it_is_free(again: NewStore) -> None:
    async def patient(begun: Begun, saga: Saga) -> None:
        await saga.receive(Tick, timeout=10)
        await saga.sleep(0)

    store = again()
    async with engine(app_of(patient, Tick), store=store, provide={Stage: Stage()}) as running:
        await running.publish(Begun())
        await running.settle()
        lane = running._lanes.get((await scheduled(store))[0].lane)
        lane.busy = True
        running.hand.set(running.hand.now() + 10_000_000)
        await until(lambda: lane.queue)
        assert await logged(store) == ["t.Begun", "sagakit.TimerFired"]
        assert lane.queue[0].envelope.type == "sagakit.TimerFired"
        running._lanes.wake(lane)
        await running.settle()
        assert await running.status("t.saga", "a") == "completed"


# ---------------------------------------------------------------------- races


async def hurried(begun: Begun, saga: Saga) -> None:
    await saga.do(Ask(begun.key), then=Told, undo=Undo(begun.key), timeout=10)


async def test_the_outcome_is_committed_first_and_the_timer_leaves_no_trace(again: NewStore) -> None:
    stage, store = Stage(), again()
    stage.closes(Ask())
    async with engine(app_of(hurried), store=store, provide={Stage: stage}) as running:
        await running.publish(Begun())
        await until(lambda: stage.now)
        await until(lambda: not running._committer.busy)
        store.gate.clear()
        stage.opens(Ask())
        await until(lambda: store.given == 2)  # the outcome is on its way ...
        running.hand.set(running.hand.now() + 10_000_000)
        await until(lambda: running._committer._waiting)  # ... and the firing is behind it
        store.gate.set()
        await running.settle()
        assert await logged(store) == ["t.Begun", "t.Ask", "t.Told"]
        assert [commit.messages[0].type for commit in store.rejected()] == ["sagakit.TimerFired"]
        assert await running.status("t.saga", "a") == "completed"
        assert await scheduled(store) == []
        assert running.next_due is None


async def test_the_timer_is_committed_first_and_the_outcome_is_fenced_off(again: NewStore) -> None:
    stage, store = Stage(), again()
    stage.closes(Ask())
    async with engine(app_of(hurried), store=store, provide={Stage: stage}) as running:
        await running.publish(Begun())
        await until(lambda: stage.now)
        await until(lambda: not running._committer.busy)
        store.gate.clear()
        running.hand.set(running.hand.now() + 10_000_000)
        await until(lambda: store.given == 2)  # the firing is on its way ...
        stage.opens(Ask())
        await until(lambda: running._committer._waiting)  # ... and the outcome is behind it
        store.gate.set()
        await running.settle()
        assert await logged(store) == ["t.Begun", "t.Ask", "sagakit.TimerFired", "t.Undo", "t.Undone"]
        assert [commit.messages[0].type for commit in store.rejected()] == ["t.Told"]
        assert await running.status("t.saga", "a") == "compensated"
        assert await scheduled(store) == []


async def test_the_timer_fires_as_a_delivery_and_the_outcome_is_handled_first(again: NewStore) -> None:
    """Fired while its instance was busy with the outcome, and committed: it changes nothing any more."""
    stage, store = Stage(), again()

    async def twice(begun: Begun, saga: Saga) -> None:
        await saga.receive(Tick, timeout=10)
        await saga.receive(Tick)

    async with engine(app_of(twice, Tick), store=store, provide={Stage: stage}) as running:
        await running.publish(Begun())
        await running.settle()
        running._processes.inline = False
        running._lanes.running = False
        await running.publish(Tick(number=1))
        running.hand.set(running.hand.now() + 10_000_000)
        await until(lambda: store.given == 3)
        running._processes.inline = True
        running._lanes.start()
        await running.settle()
        assert await logged(store) == ["t.Begun", "t.Tick", "sagakit.TimerFired"]
        assert await running.status("t.saga", "a") == "running"
        await running.publish(Tick(number=2))
        await running.settle()
        assert await running.status("t.saga", "a") == "completed"


async def test_a_timer_that_is_set_and_forgotten_in_one_commit_is_not_written(again: NewStore) -> None:
    stage, store = Stage(), again()

    async def several(begun: Begun, saga: Saga) -> None:
        for _ in range(4):
            await saga.receive(Tick, timeout=10)

    async with engine(app_of(several, Tick), store=store, provide={Stage: stage}) as running:
        await running.publish(Begun())
        await running.settle()
        (first,) = await scheduled(store)
        running._processes.inline = False
        running._lanes.running = False
        for number in range(3):
            await running.publish(Tick(number=number))
        running._processes.inline = True
        running._lanes.start()
        await running.settle()
        run, _ = store.answers[-1]
        assert len(run.reactions) == 3
        assert run.forgotten == [first.envelope.id]
        assert [one.state for one in run.deliveries] == ["scheduled"]
        (last,) = await scheduled(store)
        assert last.envelope.id == run.deliveries[0].envelope.id
        assert running.next_due == last.due_at


# ---------------------------------------------------------------------- process managers


@dataclass(frozen=True)
class Bell:
    """Rings until it was told to be silent."""

    rung: int = 0

    def evolve(self, event: Begun | Rung | Tick) -> Bell:
        return replace(self, rung=event.number) if isinstance(event, Rung) else self

    def react(self, event: Begun | Rung | Tick) -> list[Message]:
        if isinstance(event, Tick):
            return [Forget("ring"), Forget("never set")]
        if self.rung == 3:
            return [End("completed")]
        key = event.key
        return [Remind("ring", Rung(key, self.rung + 1), after=60)]


async def test_a_process_manager_is_reminded_and_forgets(again: NewStore) -> None:
    app = asking_app()
    app.process_manager(key="key", starts_with=Begun, name="bell")(Bell)
    store = again()
    async with engine(app, store=store, provide={Stage: Stage()}) as running:
        await running.publish(Begun("a"))
        await running.publish(Begun("b"))
        await running.advance(seconds=130)
        await running.publish(Tick("b"))
        await running.settle()
        assert len(await scheduled(store)) == 1
        await running.advance(seconds=60)
        await running.settle()
        assert await running.status("t.bell", "a") == "completed"
        assert await running.status("t.bell", "b") == "running"
        assert await scheduled(store) == []


# ---------------------------------------------------------------------- crashes


async def nap(begun: Begun, saga: Saga) -> None:
    await saga.sleep(10)
    await saga.do(Ask(begun.key), then=Told)


@only_on("memory", because="it counts turns of the event loop")
async def test_a_firing_that_brings_the_engine_down_is_charged_and_given_up_and_no_other_waits_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store, clock, app, stage = new_store(), ManualClock(), app_of(nap), Stage()
    react = SagaLive.react

    def crash(self: SagaLive, given: Input) -> Reacted:
        if self.key == "poison" and isinstance(given.messages[0], TimerFired):
            raise SimulatedCrash("the timer has brought the process down")
        return react(self, given)

    monkeypatch.setattr(SagaLive, "react", crash)
    before, crashes = asyncio.all_tasks(), 0
    while crashes < 10:
        running = ManualEngine(app.topology(provide=[Stage]), store.again(), provide={Stage: stage}, clock=clock)
        await running.start()
        if not crashes:
            await running.publish(Begun("poison"))
            await running.publish(Begun("innocent"))
            await running.settle()
            clock.set(clock.now() + 10_000_000)
        for _ in range(200):
            await asyncio.sleep(0)
        if running.fatal is None:
            break
        crashes += 1
        await buried(before)
    assert crashes == 2 + MOST_CRASHES  # fired inline, handled as a delivery, and then charged
    assert await running.status("t.saga", "innocent") == "completed"
    assert await running.status("t.saga", "poison") == "parked"
    (parked,) = await running.store.read_deliveries()
    assert parked.error == "it was running at 3 crashes of the engine"
    await running.stop()


@only_on("memory", "sqlite", because="on a server it takes long: acceptance/test_crash_everywhere.py has crashes there")
async def test_a_crash_at_any_operation_delays_a_sleeper_and_nothing_else() -> None:
    """Each engine of a life of ten days crashes at one operation; the next one goes on from there."""

    async def live(fault: At | None) -> tuple[FaultyStore, list[str]]:
        inner, clock, stage = new_store(), ManualClock(), Stage()
        first = FaultyStore(inner, *([fault] if fault else []))
        app = app_of(hurried_after_a_nap)
        store: Store = first
        for _ in range(3):
            before = asyncio.all_tasks()
            running = ManualEngine(app.topology(provide=[Stage]), store, provide={Stage: stage}, clock=clock)
            try:
                await running.start()
                if not await running.store.read_messages():
                    await running.publish(Begun())
                await running.advance(days=10)
                await running.settle()
                await running.stop()
                if running.fatal is None:
                    break
            except SimulatedCrash:
                pass
            await buried(before)
            store = inner.again()
        reader = inner.again()
        await reader.open(own=False)
        return first, await logged(reader)

    counting, usual = await live(None)
    assert usual == ["t.Begun", "sagakit.TimerFired", "t.Ask", "t.Told"]
    for number in range(1, len(counting.operations) + 1):
        for fault in (Fault.CRASH_BEFORE, Fault.CRASH_AFTER):
            _, log = await live(At(number, fault))
            assert log == usual, (number, fault, counting.operations[number - 1])


async def hurried_after_a_nap(begun: Begun, saga: Saga) -> None:
    await saga.sleep(timedelta(days=2))
    await saga.do(Ask(begun.key), then=Told, undo=Undo(begun.key), timeout=timedelta(days=30))


# ---------------------------------------------------------------------- an instance that is no more, or waits


async def test_what_comes_due_for_a_parked_instance_waits_in_its_lane(again: NewStore) -> None:
    async def stumbles(begun: Begun, saga: Saga) -> None:
        async def impatient() -> None:
            await saga.sleep(100)

        async def faulty() -> None:
            await saga.receive(Tick)
            raise RuntimeError("a bug")

        await saga.all(impatient(), faulty())

    store = again()
    async with engine(app_of(stumbles, Tick), store=store, provide={Stage: Stage()}) as running:
        await running.publish(Begun())
        await running.settle()
        await running.publish(Tick())
        await running.advance(seconds=200)
        await running.settle()
        assert await running.status("t.saga", "a") == "parked"
        assert [(one.envelope.type, one.state) for one in await store.read_deliveries()] == [
            ("t.Tick", "parked"),
            ("sagakit.TimerFired", "ready"),
        ]


@pytest.mark.parametrize("restarts", [False, True])
async def test_timers_keep_their_times_while_a_process_is_paused_and_run_after_it_is_resumed(
    again: NewStore, restarts: bool
) -> None:
    stage, clock, app = Stage(), ManualClock(), app_of(naps)
    async with engine(app, store=again(), provide={Stage: stage}, clock=clock) as running:
        await running.publish(Begun())
        await running.settle()
        await running.operator.pause("process", "t.saga", by="ann", reason="a new price list")
        if not restarts:
            await _resume_after_a_month(running, stage)
    if restarts:
        async with engine(app, store=again(), provide={Stage: stage}, clock=clock) as running:
            await _resume_after_a_month(running, stage)


async def _resume_after_a_month(running: ManualEngine, stage: Stage) -> None:
    await running.advance(days=30)
    await running.settle()
    assert stage.began == []
    fired = [message for message in await running.store.read_messages() if message.type == "sagakit.TimerFired"]
    assert [fired[0].recorded_at] == [running.hand.now() - 20 * 86_400_000_000]
    await running.operator.resume("process", "t.saga", by="ann", reason="it is there")
    await running.settle()
    assert len(stage.began) == 1


async def test_a_step_that_timed_out_is_told_so_to_the_code(again: NewStore) -> None:
    reasons: list[str] = []

    async def caught(begun: Begun, saga: Saga) -> None:
        try:
            await saga.do(Ask(begun.key), then=Told, undo=Undo(begun.key), timeout=30)
        except OutcomeUnknown as unknown:
            reasons.append(unknown.reason)

    stage = Stage()
    stage.closes(Ask())
    async with engine(app_of(caught), store=again(), provide={Stage: stage}) as running:
        await running.publish(Begun())
        await running.advance(seconds=29)
        assert stage.now == {Ask()}
        await running.advance(seconds=1)
        await running.settle()
        assert stage.now == set()
        assert await running.status("t.saga", "a") == "completed"
    assert reasons == ["timed out after 30 s"]
