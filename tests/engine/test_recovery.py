"""Recovery: what is outstanding is read in pages, in order; the suspects of a crash run one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from tests.each_store import ON_EACH_STORE, AnyStore, Around, new_store, only_on
from tests.engine.stage import RETRY, Ask, Declined, Stage, Told, asking_app, numbers, until

from sagakit import App, OutcomeUnknown, Retry, Saga, UnknownMessage, wire
from sagakit.core.cluster.members import Owned
from sagakit.core.commit import Commit, Delivery
from sagakit.core.streams import instance_id
from sagakit.engine.handlers.failures import MOST_CRASHES
from sagakit.engine.limits import Limits
from sagakit.testing.manual import ManualEngine, engine

pytestmark = ON_EACH_STORE


@dataclass(frozen=True)
class Begun:
    key: str


@dataclass(frozen=True)
class Tick:
    key: str
    number: int


@dataclass(frozen=True)
class Undo:
    key: str


@dataclass(frozen=True)
class Undone:
    key: str


@asynccontextmanager
async def doomed(app: App, store: AnyStore, stage: Stage) -> AsyncIterator[ManualEngine]:
    """An engine whose process is killed at the end of the block."""
    before = asyncio.all_tasks()
    running = ManualEngine(app.topology(provide=[Stage]), store, provide={Stage: stage})
    await running.start()
    yield running
    for task in (own := asyncio.all_tasks() - before):
        task.cancel()
    await asyncio.gather(*own, return_exceptions=True)
    await store.close(clean=False)


async def left(store: AnyStore) -> list[Delivery]:
    reader = store.again()
    await reader.open(own=False)
    return await reader.read_deliveries()


class Recording(Around):
    """Keeps what it was given to commit, and how it was read."""

    def __init__(self, store: AnyStore) -> None:
        super().__init__(store.again())
        self.commits: list[Commit] = []
        self.pages: list[int] = []
        self.written = asyncio.Event()
        self.written.set()
        self.wrote = asyncio.Event()

    async def commit(self, commits):  # type: ignore[no-untyped-def]
        answers = await self.inner.commit(commits)
        self.commits += commits
        self.wrote.set()
        await self.written.wait()
        return answers

    async def read_deliveries(self, *, after: int = 0, limit: int = 1000, of: Owned | None = None) -> list[Delivery]:
        page = await self.inner.read_deliveries(after=after, limit=limit, of=of)
        self.pages.append(len(page))
        return page


async def accepted(app: App, store: AnyStore, *commands: object) -> None:
    """Acknowledge commands, and end in order before any of them is handled."""
    topology = app.topology(provide=[Stage])
    running = ManualEngine(topology, store, provide={Stage: Stage()}, limits=Limits(stop_within=0.1))
    if running.team is not None:
        running.team.works = False  # others are to handle it, and there are none
    await running.start()
    running._lanes.running = False
    for command in commands:
        if isinstance(command, Ask):
            await running.send(command)
        else:
            await running.publish(command)  # type: ignore[arg-type]
    await running.stop()


# ---------------------------------------------------------------------- what was acknowledged goes on


async def test_what_was_acknowledged_is_handled_after_a_restart_in_order() -> None:
    stage, store = Stage(), new_store()
    await accepted(asking_app(), store, *(Ask("a", number) for number in range(5)))
    async with engine(asking_app(), store=store.again(), provide={Stage: stage}) as running:
        await running.settle()
    assert numbers(stage.began) == list(range(5))
    assert await left(store) == []


async def test_retries_and_what_is_parked_survive_a_restart() -> None:
    stage, store = Stage(), new_store()
    stage.will(Ask("a"), *[ConnectionError("down")] * 3)
    stage.will(Ask("b"), ConnectionError("down"))
    async with engine(asking_app(), store=store, provide={Stage: stage}) as running:
        await running.send(Ask("a"))
        await running.advance(seconds=10)
        await running.send(Ask("b"))
        await running.send(Ask("b", 1))
        await running.settle()
        clock = running.hand
    assert [(one.state, one.attempt) for one in await left(store)] == [("parked", 3), ("retrying", 2), ("ready", 1)]
    stage.began.clear()
    async with engine(asking_app(), store=store.again(), provide={Stage: stage}, clock=clock) as running:
        await running.settle()
        assert stage.began == []  # not due yet, and what is behind it waits
        await running.advance(seconds=1)
        assert stage.began == [Ask("b"), Ask("b", 1)]
        assert stage.contexts[-2].attempt == 2
    assert [one.state for one in await left(store)] == ["parked"]


async def test_a_used_up_policy_stays_used_up_after_a_restart() -> None:
    stage, store = Stage(), new_store()
    stage.will(Ask(), *[ConnectionError("down")] * 9)
    async with engine(asking_app(), store=store, provide={Stage: stage}) as running:
        await running.send(Ask())
        await running.advance(seconds=1)
        clock = running.hand
    async with engine(asking_app(), store=store.again(), provide={Stage: stage}, clock=clock) as running:
        await running.advance(seconds=60)
    assert len(stage.began) == 3


# ---------------------------------------------------------------------- pages


@pytest.mark.parametrize("page", [1, 2, 7, 100])
async def test_a_cold_start_reads_in_pages_and_keeps_the_order(page: int) -> None:
    stage, store = Stage(), new_store()
    commands = [Ask("abc"[number % 3], number) for number in range(60)]
    await accepted(asking_app(), store, *commands)
    recording = Recording(store)
    async with engine(asking_app(), store=recording, provide={Stage: stage}, limits=Limits(page=page)) as running:
        await running.settle()
    for key in "abc":
        assert numbers(stage.began, key) == [one.number for one in commands if one.key == key]
    assert max(recording.pages) == min(page, 60)
    assert await left(store) == []


@only_on("memory", "sqlite", because="several engines read in other pages: workers/test_takeover.py")
async def test_more_than_the_memory_holds_is_read_as_there_is_room() -> None:
    stage, store = Stage(), new_store()
    commands = [Ask(f"{number}", number) for number in range(40)]
    stage.closes(*commands)
    await accepted(asking_app(), store, *commands)
    async with engine(asking_app(), store=store.again(), provide={Stage: stage}, limits=Limits(page=2)) as running:
        await until(lambda: len(stage.now) == 10)
        await running._breathe()
        assert running._lanes.unfinished == 10
        stage.opens(*commands)
        await until(lambda: len(stage.ended) == 40)
        await running.settle()
        assert not running._recovery.reading


@only_on("memory", "sqlite", because="several engines read in other pages: workers/test_takeover.py")
async def test_what_waits_long_does_not_keep_the_rest_in_the_store() -> None:
    """A memory full of retries that are not due is no reason to read no further."""
    stage, store = Stage(), new_store()
    app = asking_app(retry=Retry(9, first=3600.0, cap=3600.0, jitter=0.0))
    waiting = [Ask(f"{number}", number) for number in range(10)]
    for command in waiting:
        stage.will(command, ConnectionError("down"))
    async with engine(app, store=store, provide={Stage: stage}) as running:
        for command in waiting:
            await running.send(command)
        await running.settle()
        clock = running.hand
    await accepted(app, store.again(), Ask("new"))
    async with engine(app, store=store.again(), provide={Stage: stage}, clock=clock, limits=Limits(page=1)) as running:
        await running._breathe()
        assert Ask("new") not in stage.began
        await running.advance(seconds=10)
        assert Ask("new") in stage.began


def ticking_app() -> App:
    app = App("t")

    @app.process_manager(key="key", starts_with=Begun)
    @dataclass(frozen=True)
    class Ticks:
        numbers: tuple[int, ...] = ()

        def evolve(self, event: Begun | Tick) -> Ticks:
            return self if isinstance(event, Begun) else Ticks((*self.numbers, event.number))

        def react(self, event: Begun | Tick) -> None:
            return None

    return app


@pytest.mark.parametrize("page", [1, 2, 100])
async def test_while_it_reads_nothing_overtakes(page: int) -> None:
    """What is new waits behind what is in the store unread; a process reacts to all of it in order."""
    app, store = ticking_app(), new_store()
    topology = app.topology()
    seeding = ManualEngine(topology, store, limits=Limits(stop_within=0.1))
    await seeding.start()
    await seeding.begun()
    await seeding.publish(Begun("a"))
    seeding._processes.inline = False
    seeding._lanes.running = False
    for number in range(20):
        await seeding.publish(Tick("a", number))
    await seeding.stop()
    assert len(await left(store)) == 20
    recording = Recording(store)
    async with engine(app, store=recording, limits=Limits(page=page)) as running:
        for number in range(20, 25):
            await running.publish(Tick("a", number))
        await running.settle()
        for number in range(25, 27):
            await running.publish(Tick("a", number))
        await running.settle()
        ticks = topology.processes["t.Ticks"]
        lane = running._lanes.find(f"t.Ticks/{instance_id('t.Ticks', 'a')}")
        assert lane is not None
        assert lane.cache.live.state.numbers == tuple(range(27))
        assert ticks.name == "t.Ticks"
        assert running._recovery.unfinished() == 0
    assert await left(store) == []


@only_on("memory", because="it counts turns of the event loop")
async def test_a_delivery_that_a_page_holds_already_is_not_taken_twice() -> None:
    """Its Commit was durable before the page was read, and is settled after."""
    stage, store = Stage(), new_store()
    commands = [Ask(f"{number}", number) for number in range(11)]
    stage.closes(*commands)
    await accepted(asking_app(), store, *commands)
    recording = Recording(store)
    async with engine(asking_app(), store=recording, provide={Stage: stage}, limits=Limits(page=2)) as running:
        await until(lambda: len(stage.now) == 10)
        recording.written.clear()
        recording.wrote.clear()
        sending = asyncio.create_task(running.send(Ask("new", 11)))
        await recording.wrote.wait()
        for _ in range(5):
            running.hand.set(running.hand.now() + 1_000_000)
            await until(lambda: not running._is_due)
            await asyncio.sleep(0)
        await until(lambda: not running._recovery.reading)
        recording.written.set()
        await sending
        stage.opens(*commands)
        await running.settle()
        assert running._recovery.unfinished() == 0
    assert sorted(numbers(stage.began)) == list(range(12))


def two_kinds() -> App:
    """A noisy handler, and a quiet process with a handler of its own."""
    app = asking_app(key=None)

    @app.handles
    async def undo(command: Undo, stage: Stage) -> Undone:
        await stage.play(Ask(command.key, -1))
        return Undone(command.key)

    @app.saga(key="key", receives=Tick)
    async def quiet(begun: Begun, saga: Saga) -> None:
        await saga.receive(Tick)
        await saga.do(Undo(begun.key), then=Undone)

    return app


async def with_a_backlog(store: AnyStore, noisy: int, *, page: int) -> None:
    """So many commands of one kind, and behind them an event for a process that waits for it."""
    app = two_kinds()
    seeding = ManualEngine(app.topology(provide=[Stage]), store, provide={Stage: Stage()})
    await seeding.start()
    await seeding.publish(Begun("old"))
    seeding._processes.inline = False
    seeding._lanes.running = False
    for number in range(noisy):
        await seeding.send(Ask(f"{number}", number))
    await seeding.publish(Tick("old", 1))
    await seeding.stop()


@only_on("memory", because="it counts what one engine alone reads")
@pytest.mark.parametrize("stuck", [False, True])
@pytest.mark.parametrize("noisy", [30, 600])
async def test_a_backlog_of_one_kind_delays_no_other_by_more_than_a_bound(noisy: int, stuck: bool) -> None:
    """What was outstanding and what is new; also while nothing of the noisy kind comes to an end."""
    stage, store = Stage(), new_store()
    await with_a_backlog(store, noisy, page=2)
    if stuck:
        stage.closes(*(Ask(f"{number}", number) for number in range(noisy)))
    limits = Limits(page=2, at_once=30)
    async with engine(two_kinds(), store=store.again(), provide={Stage: stage}, limits=limits) as running:
        await running.publish(Begun("new"))
        await running.publish(Tick("new", 1))
        await until(lambda: {Ask("old", -1), Ask("new", -1)} <= set(stage.ended))
        assert running._recovery.reading or not stuck
        assert len(stage.began) <= 2 * 30
        if stuck:
            stage.opens(*(Ask(f"{number}", number) for number in range(noisy)))
        await running.settle()
        assert not running._recovery.reading
        assert running._recovery.unfinished() == 0
        for key in ("old", "new"):
            assert await running.status("t.quiet", key) == "completed"
    assert sorted(one.number for one in stage.ended if one.number >= 0) == list(range(noisy))
    assert await left(store) == []


def saga_app() -> App:
    app = asking_app(key=None)

    @app.handles
    async def undo(command: Undo, stage: Stage) -> Undone:
        await stage.play(Ask(command.key, -1))
        return Undone(command.key)

    @app.saga(key="key", receives=Tick)
    async def saga(begun: Begun, saga: Saga) -> None:
        try:
            if begun.key == "late":
                await saga.receive(Tick)
            await saga.do(Ask(begun.key), then=Told, undo=Undo(begun.key))
        except OutcomeUnknown as unknown:
            stage_reasons.append(unknown.reason)
            raise

    return app


stage_reasons: list[str] = []


@only_on("memory", "sqlite", because="several engines read in other pages: workers/test_takeover.py")
async def test_a_command_that_is_given_up_before_it_was_read_is_never_handled() -> None:
    """It was sent while the store held more than the memory, and given up by the next reaction."""
    stage, store, app = Stage(), new_store(), saga_app()
    seeding = ManualEngine(app.topology(provide=[Stage]), store, provide={Stage: stage}, limits=Limits(stop_within=0.1))
    await seeding.start()
    await seeding.begun()
    await seeding.publish(Begun("late"))
    seeding._processes.inline = False
    seeding._lanes.running = False
    await seeding.publish(Tick("late", 1))
    await seeding.cancel("t.saga", "late", reason="no need")
    others = [Ask(f"{number}", number) for number in range(1, 15)]
    for command in others:
        await seeding.send(command)
    await seeding.stop()
    stage.closes(*others)
    limits = Limits(page=2, run=1)
    async with engine(app, store=store.again(), provide={Stage: stage}, limits=limits) as running:
        await until(lambda: len(stage.now) >= 8)
        await running._breathe()
        assert running._recovery.reading
        assert await running.status("t.saga", "late") == "undoing"
        stage.opens(*others)
        await running.settle()
        assert await running.status("t.saga", "late") == "compensated"
    assert Ask("late") not in stage.began
    assert Ask("late", -1) in stage.began
    assert await left(store) == []


# ---------------------------------------------------------------------- what nobody claims


@wire("old.Gone")
@dataclass(frozen=True)
class Gone:
    key: str


@wire("t.Ask", version=2)
@dataclass(frozen=True)
class NewerAsk:
    key: str
    number: int = 0


def older_app() -> App:
    app = asking_app()

    @app.handles
    async def gone(command: Gone, stage: Stage) -> Told:
        return Told(command.key)

    return app


@only_on("memory", "sqlite", because="where several engines may be, another one may have its code")
async def test_a_start_refuses_a_database_whose_messages_nobody_claims_and_names_them() -> None:
    stage, store, app = Stage(), new_store(), older_app()
    running = ManualEngine(
        app.topology(provide=[Stage]), store, provide={Stage: Stage()}, limits=Limits(stop_within=0.1)
    )
    await running.start()
    running._lanes.running = False
    await running.send(Ask())
    await running.send(Gone("a"))
    await running.send(Gone("b"))
    await running.stop()
    with pytest.raises(UnknownMessage, match=r"does not know:\n  old\.Gone \(version 1\) for t\.gone$"):
        async with engine(asking_app(), store=store.again(), provide={Stage: stage}):
            pass
    assert stage.began == []  # nothing was handled on the way
    async with engine(app, store=store.again(), provide={Stage: stage}) as running:
        await running.settle()
    assert await left(store) == []


@only_on("memory", "sqlite", because="where several engines may be, another one may have its code")
async def test_a_message_of_a_newer_version_is_not_claimed() -> None:
    newer, store = App("t"), new_store()

    @newer.handles
    async def ask(command: NewerAsk) -> Told:
        return Told(command.key)

    running = ManualEngine(newer.topology(), store, limits=Limits(stop_within=0.1))
    await running.start()
    running._lanes.running = False
    await running.send(NewerAsk("a"))
    await running.stop()
    with pytest.raises(UnknownMessage, match=r"t\.Ask \(version 2\) for t\.ask"):
        async with engine(asking_app(), store=store.again(), provide={Stage: Stage()}):
            pass


@only_on("memory", "sqlite", because="where several engines may be, another one may have its code")
async def test_what_is_found_later_that_nobody_claims_waits_and_shows_in_readiness() -> None:
    stage, store, app = Stage(), new_store(), older_app()
    running = ManualEngine(
        app.topology(provide=[Stage]), store, provide={Stage: Stage()}, limits=Limits(stop_within=0.1)
    )
    await running.start()
    running._lanes.running = False
    for number in range(20):
        await running.send(Ask("a", number))
    await running.send(Gone("a"))
    await running.stop()
    async with engine(asking_app(), store=store.again(), provide={Stage: stage}, limits=Limits(page=1)) as running:
        await running.settle()
        assert running.ready() == "nobody claims some messages: old.Gone (version 1) for t.gone"
        assert len(stage.began) == 20
    assert [one.envelope.type for one in await left(store)] == ["old.Gone"]


@only_on("memory", "sqlite", because="where several engines may be, another one may have its code")
async def test_the_outcome_for_a_process_that_is_no_more_waits_in_the_store() -> None:
    stage, store = Stage(), new_store()
    async with doomed(saga_app(), store, stage) as running:
        running._lanes.running = False
        await running.publish(Begun("a"))
    async with engine(asking_app(key=None), store=store.again(), provide={Stage: stage}) as running:
        await running.settle()
        assert "t.Told (version 1) for t.saga" in str(running.ready())
    async with engine(saga_app(), store=store.again(), provide={Stage: stage}) as running:
        await running.settle()
        assert await running.status("t.saga", "a") == "completed"


# ---------------------------------------------------------------------- suspects


async def killed(app: App, store: AnyStore, *commands: Ask) -> None:
    """These commands were running when the process was killed."""
    stage = Stage()
    stage.closes(*commands)
    async with doomed(app, store, stage) as running:
        for command in commands:
            await running.send(command)
        await running._breathe()


async def test_after_a_crash_what_was_outstanding_runs_one_at_a_time() -> None:
    stage, store = Stage(), new_store()
    commands = [Ask(f"{number}", number) for number in range(5)]
    await killed(asking_app(), store, *commands)
    stage.closes(*commands)
    recording = Recording(store)
    async with engine(asking_app(), store=recording, provide={Stage: stage}) as running:
        for command in commands:
            await until(lambda command=command: stage.now == {command})
            (charged,) = [one for one in await left(store) if one.crashes]
            assert charged.envelope.payload == b'{"key":"%d","number":%d}' % (command.number, command.number)
            assert (charged.attempt, charged.crashes) == (2, 1)  # written before it runs
            await running.advance(seconds=1)
            assert stage.now == {command}
            stage.opens(command)
        await running.settle()
    assert stage.most == 1
    assert await left(store) == []


async def test_what_is_new_runs_beside_the_suspects() -> None:
    stage, store = Stage(), new_store()
    await killed(asking_app(), store, Ask("a"), Ask("b"))
    stage.closes(Ask("a"))
    async with engine(asking_app(), store=store.again(), provide={Stage: stage}) as running:
        await until(lambda: stage.now)
        await running.send(Ask("new"))
        await until(lambda: Ask("new") in stage.ended)
        assert Ask("b") not in stage.began
        stage.opens(Ask("a"))
        await running.settle()
        assert Ask("b") in stage.ended


async def crashed_at_a_tick(app: App, store: AnyStore) -> None:
    """Two events of a process are left, and the first of them is what ran whenever the engine crashed."""
    running = ManualEngine(app.topology(), store, limits=Limits(stop_within=0.1))
    await running.start()
    await running.publish(Begun("a"))
    running._processes.inline = False
    running._lanes.running = False
    await running.publish(Tick("a", 1))
    await running.publish(Tick("a", 2))
    await running.stop()
    store.data.clean = False
    store.data.deliveries[min(store.data.deliveries)].crashes = MOST_CRASHES


@only_on("memory", because="its data are changed behind its back")
async def test_a_suspect_that_is_taken_along_with_the_one_before_it_is_none_any_more() -> None:
    app, store = ticking_app(), new_store()
    await crashed_at_a_tick(app, store)
    async with engine(app, store=store.again()) as running:
        await running.settle()
        assert await running.status("t.Ticks", "a") == "parked"
    store.data.clean = False
    async with engine(app, store=store.again()) as running:
        await running.settle()
        suspects = running._recovery.suspects
        assert len(suspects) == 1  # behind the one that is parked, and is not going to run
        await running.operator.act(instance_id("t.Ticks", "a"), "retry", by="ann", reason="mended")
        await running.settle()
        assert not suspects
    assert await left(store) == []


@only_on("memory", "sqlite", because="several engines take suspects in another order")
async def test_a_suspect_that_is_given_up_before_its_turn_is_none_any_more() -> None:
    app, stage, store = saga_app(), Stage(), new_store()
    stage.closes(Ask("a"), Ask("b"))
    async with doomed(app, store, stage) as running:
        for key in "ab":
            await running.publish(Begun(key))
            await until(lambda key=key: Ask(key) in stage.now)
    stage = Stage()
    stage.closes(Ask("a"))
    async with engine(app, store=store.again(), provide={Stage: stage}) as running:
        await until(lambda: stage.now == {Ask("a")})
        suspects = running._recovery.suspects
        assert len(suspects) == 2
        assert await running.cancel("t.saga", "b", reason="too late")
        assert (await running.wait("t.saga", "b")).status == "compensated"
        assert len(suspects) == 1
        stage.opens(Ask("a"))
        await running.settle()
        assert not suspects
        assert Ask("b") not in stage.began


async def test_after_an_orderly_end_nothing_is_suspect() -> None:
    stage, store = Stage(), new_store()
    commands = [Ask(f"{number}", number) for number in range(5)]
    await accepted(asking_app(), store, *commands)
    stage.closes(*commands)
    async with engine(asking_app(), store=store.again(), provide={Stage: stage}) as running:
        await until(lambda: len(stage.now) == 5)
        stage.opens(*commands)
        await running.settle()
    assert {context.attempt for context in stage.contexts} == {1}


async def test_a_suspect_that_fails_or_is_given_up_lets_the_next_one_run() -> None:
    stage, store = Stage(), new_store()
    await killed(asking_app(), store, Ask("a"), Ask("b"), Ask("c"), Ask("d"))
    stage.will(Ask("a"), ConnectionError("down"))
    stage.will(Ask("b"), *[ConnectionError("down")] * 3)
    stage.will(Ask("c"), Declined("c"))
    async with engine(asking_app(), store=store.again(), provide={Stage: stage}) as running:
        await running.settle()
        assert stage.began == [Ask("a"), Ask("b"), Ask("c"), Ask("d")]
        await running.advance(seconds=60)
    assert [(one.state, one.error) for one in await left(store)] == [("parked", "ConnectionError: down")]


async def test_a_crash_is_charged_to_the_one_that_ran_and_three_give_it_up() -> None:
    store = new_store()
    await killed(asking_app(), store, Ask("poison"), Ask("innocent"))
    runs = 0
    for _ in range(MOST_CRASHES):
        stage = Stage()
        stage.closes(Ask("poison"))
        async with doomed(asking_app(), store.again(), stage):
            await until(lambda stage=stage: stage.now)
            runs += 1
            assert stage.began == [Ask("poison")]
    stage = Stage()
    async with engine(asking_app(), store=store.again(), provide={Stage: stage}) as running:
        await running.settle()
    assert stage.began == [Ask("innocent")]
    (parked,) = await left(store)
    assert (parked.state, parked.crashes) == ("parked", 3)
    assert parked.error == "it was running at 3 crashes of the engine"


async def test_a_step_whose_handler_crashes_the_engine_fails_to_its_process() -> None:
    store, app = new_store(), saga_app()
    stage = Stage()
    stage.closes(Ask("a"))
    async with doomed(app, store, stage) as running:
        await running.publish(Begun("a"))
        await until(lambda: stage.now)
    for _ in range(MOST_CRASHES):
        stage = Stage()
        stage.closes(Ask("a"))
        async with doomed(app, store.again(), stage):
            await until(lambda stage=stage: stage.now)
    stage = Stage()
    async with engine(app, store=store.again(), provide={Stage: stage}) as running:
        await running.settle()
        assert await running.status("t.saga", "a") == "compensated"
    assert stage.began == [Ask("a", -1)]
    assert stage_reasons[-1] == "it was running at 3 crashes of the engine"


async def test_an_attempt_that_was_due_again_is_suspect_too() -> None:
    """Its state in the store is still that it waits: nothing is written when a retry begins."""
    stage, store = Stage(), new_store()
    stage.will(Ask(), ConnectionError("down"))
    async with doomed(asking_app(retry=RETRY), store, stage) as running:
        await running.send(Ask())
        await running.settle()
        stage.closes(Ask())
        await running.advance(seconds=1)
        assert stage.now
        clock = running.hand
    stage = Stage()
    async with engine(asking_app(), store=store.again(), provide={Stage: stage}, clock=clock) as running:
        await running.settle()
        assert [(context.attempt) for context in stage.contexts] == [3]
    assert await left(store) == []


@only_on("memory", because="its data are changed behind its back")
async def test_an_event_of_a_process_that_crashes_the_engine_parks_with_its_instance() -> None:
    app, store = ticking_app(), new_store()
    await crashed_at_a_tick(app, store)
    async with engine(app, store=store.again()) as running:
        await running.settle()
        assert await running.status("t.Ticks", "a") == "parked"
    assert [one.state for one in await left(store)] == ["parked", "ready"]


@only_on("memory", "sqlite", because="several engines take suspects in another order")
async def test_a_suspect_that_is_withdrawn_lets_the_next_one_run() -> None:
    stage, store, app = Stage(), new_store(), saga_app()
    stage.closes(Ask("a"), Ask("b"))
    async with doomed(app, store, stage) as running:
        await running.publish(Begun("a"))
        await running.publish(Begun("b"))
        await running.send(Ask("c"))
        await until(lambda: len(stage.now) == 2)
    stage = Stage()
    stage.closes(Ask("a"))
    async with engine(app, store=store.again(), provide={Stage: stage}) as running:
        await until(lambda: stage.now == {Ask("a")})
        assert await running.cancel("t.saga", "b", reason="waits for its turn")
        assert await running.cancel("t.saga", "a", reason="runs")
        await until(lambda: Ask("c") in stage.ended)
        await running.settle()
        assert await running.status("t.saga", "a") == await running.status("t.saga", "b") == "compensated"
    assert Ask("b") not in stage.began
    assert await left(store) == []


def racing_app() -> App:
    app = asking_app()

    @app.handles
    async def undo(command: Undo) -> Undone:
        return Undone(command.key)

    @app.saga(key="key")
    async def race(begun: Begun, saga: Saga) -> None:
        await saga.first(
            saga.do(Ask("fast"), then=Told, undo=Undo("fast")), saga.do(Ask("slow"), then=Told, undo=Undo("slow"))
        )

    return app


async def test_a_suspect_that_is_withdrawn_by_the_one_before_lets_the_next_one_run() -> None:
    stage, store, app = Stage(), new_store(), racing_app()
    stage.closes(Ask("fast"), Ask("slow"), Ask("c"))
    async with doomed(app, store, stage) as running:
        await running.publish(Begun("a"))
        await running.send(Ask("c"))
        await until(lambda: len(stage.now) == 3)
    stage = Stage()
    async with engine(app, store=store.again(), provide={Stage: stage}) as running:
        await running.settle()
        assert await running.status("t.race", "a") == "completed"
    assert sorted(ask.key for ask in stage.began) == ["c", "fast"]  # in any order, and never the slow one
    assert await left(store) == []
