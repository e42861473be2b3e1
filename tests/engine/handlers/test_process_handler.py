"""Processes: started once, told in order, inline or later; parked where they cannot go on, and brought back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import pytest
from tests.each_store import ON_EACH_STORE, AnyStore, Around, new_store, only_on
from tests.engine.stage import Ask, Declined, Stage, Told, asking_app, until

from sagakit import App, Cancelled, End, Message, NotFound, Refused, Saga, Undoing
from sagakit.core.commit import Commit, Delivery, Instance, Search
from sagakit.core.streams import instance_id
from sagakit.engine.handlers.process_handler import ProcessHandler
from sagakit.engine.limits import Limits
from sagakit.testing.manual import ManualEngine, engine

pytestmark = ON_EACH_STORE


@dataclass(frozen=True)
class Begun:
    key: str = "a"


@dataclass(frozen=True)
class Tick:
    key: str = "a"
    number: int = 0


@dataclass(frozen=True)
class Tock:
    key: str = "a"
    number: int = 0


@dataclass(frozen=True)
class Undo:
    key: str


@dataclass(frozen=True)
class Undone:
    key: str


@dataclass(frozen=True)
class Ring:
    """A command whose outcome is several events."""

    key: str = "a"
    number: int = 0


@dataclass(frozen=True)
class Ticks:
    """Keeps what it is told; ends at 100, fails at 13."""

    numbers: tuple[int, ...] = ()

    def evolve(self, event: Begun | Tick | Tock) -> Ticks:
        return self if isinstance(event, Begun) else replace(self, numbers=(*self.numbers, event.number))

    def react(self, event: Begun | Tick | Tock) -> Message | Sequence[Message] | None:
        if isinstance(event, Begun):
            return None
        if event.number == 13:
            raise ValueError("unlucky")
        return End("completed") if event.number == 100 else None


def ticking_app() -> App:
    app = App("t")

    @app.handles(key="key")
    async def ring(command: Ring) -> list[Tick | Tock]:
        return [Tick(command.key, command.number), Tock(command.key, command.number + 1)]

    app.process_manager(key="key", starts_with=Begun, name="ticks")(Ticks)
    return app


class Recording(Around):
    """Keeps what it was given to commit, and can be made to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.commits: list[Commit] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def commit(self, commits):  # type: ignore[no-untyped-def]
        await self.gate.wait()
        answers = await self.inner.commit(commits)
        self.commits += commits
        return answers


async def opened(store: AnyStore) -> AnyStore:
    reader = store.again()
    await reader.open(own=False)
    return reader


async def row(store: AnyStore, process: str = "t.ticks", key: str = "a") -> Instance:
    found = await (await opened(store)).read_instance(instance_id(process, key))
    assert found is not None
    return found


async def search(store: AnyStore, process: str = "t.ticks", key: str = "a") -> Search:
    found = await (await opened(store)).read_search(instance_id(process, key))
    assert found is not None
    return found


async def left(store: AnyStore) -> list[Delivery]:
    return await (await opened(store)).read_deliveries()


async def numbers(store: AnyStore, key: str = "a") -> list[int]:
    state = msgspec.json.decode((await row(store, key=key)).state)
    return state["state"]["numbers"]


async def told_while_it_waits(running: ManualEngine, store: Recording, *events: Message) -> None:
    """Have these events come while a Commit that holds the instance's lane is being written."""
    store.gate.clear()
    first = asyncio.create_task(running.publish(Tick(number=1)))
    await until(lambda: running._committer.busy)
    others = [asyncio.create_task(running.publish(event)) for event in events]
    for _ in range(10):
        await asyncio.sleep(0)
    store.gate.set()
    await asyncio.gather(first, *others)


# ---------------------------------------------------------------------- starts


async def test_starts_once_for_a_key() -> None:
    store = new_store()
    async with engine(ticking_app(), store=store) as running:
        await running.publish(Begun("a"))
        await running.publish(Begun("b"))
        await running.publish(Tick("a", 1))
        await running.publish(Begun("a"))
        await running.publish(Tick("a", 2))
        await running.settle()
    assert await numbers(store, "a") == [1, 2]
    assert await numbers(store, "b") == []


async def test_a_used_key_stays_used() -> None:
    store = new_store()
    async with engine(ticking_app(), store=store) as running:
        await running.publish(Begun())
        await running.publish(Tick(number=100))
        assert await running.status("t.ticks", "a") == "completed"
        await running.publish(Begun())
        await running.publish(Tick(number=7))
        await running.settle()
        assert await running.status("t.ticks", "a") == "completed"
    assert await numbers(store) == [100]
    assert await left(store) == []


async def test_an_event_that_finds_no_instance_is_counted() -> None:
    store = new_store()
    async with engine(ticking_app(), store=store) as running:
        await running.publish(Tick())
        await running.settle()
        assert running._router.unmatched == 1
        with pytest.raises(NotFound, match=r"there is no t.ticks with key 'a'"):
            await running.status("t.ticks", "a")
    assert await left(store) == []


async def test_what_comes_after_the_end_is_recorded_as_late() -> None:
    store = new_store()
    async with engine(ticking_app(), store=store) as running:
        await running.publish(Begun())
        await running.publish(Tick(number=100))
        await running.publish(Tick(number=5))
        await running.settle()
        history = await store.read_history(instance_id("t.ticks", "a"))
    assert [entry.inputs[0].type for entry in history] == ["t.Begun", "t.Tick", "t.Tick"]
    assert (await search(store)).ended_at is not None


async def test_one_event_starts_and_tells_several_processes_in_one_commit() -> None:
    app, store = ticking_app(), Recording()

    @app.process_manager(key="key", starts_with=Begun)
    @dataclass(frozen=True)
    class Other:
        def react(self, event: Begun | Tick) -> Message | None:
            return End("completed") if isinstance(event, Tick) else None

    async with engine(app, store=store) as running:
        await running.publish(Begun())
        await running.publish(Tick(number=100))
        await running.settle()
        assert await running.status("t.ticks", "a") == await running.status("t.Other", "a") == "completed"
    assert [len(commit.instances) for commit in store.commits] == [2, 2]


# ---------------------------------------------------------------------- inline, or later, in order


async def test_a_reaction_is_in_the_commit_of_the_event_that_causes_it() -> None:
    store = Recording()
    async with engine(ticking_app(), store=store) as running:
        await running.publish(Begun())
        await running.publish(Tick(number=1))
        await running.settle()
    assert [(len(one.messages), len(one.instances), len(one.deliveries)) for one in store.commits] == [(1, 1, 0)] * 2


async def test_what_people_look_for_is_written_when_it_changes() -> None:
    store = Recording()
    async with engine(ticking_app(), store=store) as running:
        await running.publish(Begun(), trace="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        begun = running.hand.now()
        for number in (1, 2, 100):
            await running.advance(seconds=1)
            await running.publish(Tick(number=number))
        await running.settle()
        ended = running.hand.now()
    assert [[one.status for one in commit.search] for commit in store.commits] == [["running"], [], [], ["completed"]]
    found = await search(store)
    assert (found.started_at, found.updated_at, found.ended_at) == (begun, ended, ended)
    assert found.trace_id == "0af7651916cd43dd8448eb211c80319c"


@only_on("memory", because="it counts turns of the event loop")
async def test_what_comes_while_the_lane_is_held_waits_and_is_folded_into_one_commit() -> None:
    store = Recording()
    async with engine(ticking_app(), store=store) as running:
        await running.publish(Begun())
        await told_while_it_waits(running, store, *(Tick(number=number) for number in (2, 3, 4)))
        await running.settle()
    assert await numbers(store) == [1, 2, 3, 4]
    assert [len(commit.done) for commit in store.commits if commit.done] == [3]
    history = await (await opened(store)).read_history(instance_id("t.ticks", "a"))
    assert [entry.version for entry in history] == [1, 2, 3, 4, 5]


@only_on("memory", because="it counts turns of the event loop")
async def test_a_run_has_a_longest() -> None:
    store = Recording()
    async with engine(ticking_app(), store=store, limits=Limits(run=2)) as running:
        await running.publish(Begun())
        await told_while_it_waits(running, store, *(Tick(number=number) for number in (2, 3, 4)))
        await running.settle()
    assert await numbers(store) == [1, 2, 3, 4]
    assert [len(commit.done) for commit in store.commits if commit.done] == [2, 1]


async def test_several_events_of_one_commit_for_one_instance() -> None:
    store = Recording()
    async with engine(ticking_app(), store=store) as running:
        await running.publish(Begun())
        await running.send(Ring(number=1))
        await running.settle()
    assert await numbers(store) == [1, 2]
    last = store.commits[-1]
    assert [(write.expected, write.row.version) for write in last.instances] == [(1, 3)]
    assert [reaction.version for reaction in last.reactions] == [2, 3]


@only_on("memory", because="it counts turns of the event loop")
async def test_nothing_overtakes_a_delivery_that_is_being_written() -> None:
    """A lane that is idle again is not reacted in inline while the Commit before has a delivery for it."""
    store = Recording()
    async with engine(ticking_app(), store=store) as running:
        await running.publish(Begun())
        store.gate.clear()
        first = asyncio.create_task(running.publish(Tick(number=1)))  # holds the lane
        await until(lambda: running._committer.busy)
        second = asyncio.create_task(running.publish(Tick(number=2)))  # a delivery, in the next group
        for _ in range(5):
            await asyncio.sleep(0)
        lane = running._lanes.find(f"t.ticks/{instance_id('t.ticks', 'a')}")
        assert lane is not None
        lane.busy = False  # as if the first were settled already
        third = asyncio.create_task(running.publish(Tick(number=3)))
        for _ in range(5):
            await asyncio.sleep(0)
        lane.busy = True
        store.gate.set()
        await asyncio.gather(first, second, third)
        await running.settle()
    assert await numbers(store) == [1, 2, 3]


@only_on("memory", because="it counts turns of the event loop")
async def test_a_listener_that_sends_commands_while_the_process_is_busy() -> None:
    app, store = ticking_app(), Recording()

    @app.on(key="key")
    def again(event: Tick) -> Ring | None:
        return Ring(event.key, event.number + 10) if event.number < 30 else None

    async with engine(app, store=store) as running:
        await running.publish(Begun())
        await told_while_it_waits(running, store)
        await running.settle()
    assert await numbers(store) == [1, 11, 12, 21, 22, 31, 32]


# ---------------------------------------------------------------------- parking


async def test_an_inline_reaction_that_fails_parks_and_the_commit_of_its_event_stands() -> None:
    store = new_store()
    async with engine(ticking_app(), store=store) as running:
        await running.publish(Begun())
        await running.publish(Tick(number=13))
        await running.publish(Tick(number=1))
        await running.settle()
        parked, behind = await left(store)
        assert (parked.state, parked.envelope.type, behind.state) == ("parked", "t.Tick", "ready")
        found = await search(store)
        assert (found.status, found.reason) == ("parked", parked.error)
        assert "ValueError: unlucky" in found.reason
        assert "test_process_handler.py" in found.reason
    assert await numbers(store) == []


class SlowToRead(Around):
    """The next reading of an instance waits."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.reads = -1

    async def read_instance(self, id: str) -> Instance | None:
        self.reads += 1
        if self.reads == 1:
            await self.gate.wait()
        return await self.inner.read_instance(id)


async def test_what_came_before_the_one_that_fails_is_not_taken_by_a_parked_instance() -> None:
    """A cancel is recorded while an inline reaction is under way that fails: the cancel comes first."""

    async def fails(begun: Begun, saga: Saga) -> None:
        await saga.do(Ask(begun.key), then=Told, undo=Undo(begun.key))
        raise KeyError("a bug")

    stage, store = Stage(), SlowToRead()
    stage.closes(Ask("a"))
    async with engine(saga_app(fails), store=store, provide={Stage: stage}, limits=Limits(cached=0)) as running:
        await running.publish(Begun("a"))
        await until(lambda: stage.now)
        store.reads = 0
        stage.opens(Ask("a"))
        await until(lambda: store.reads == 1)  # the reaction needs its instance, which is not in memory
        assert await running.cancel("t.saga", "a", reason="by hand")
        store.gate.set()
        await running.settle()
        assert await running.status("t.saga", "a") == "compensated"
    assert await left(store) == []


@only_on("memory", because="it counts turns of the event loop")
async def test_a_queued_one_that_fails_parks_alone_and_what_came_before_it_stands() -> None:
    store = Recording()
    async with engine(ticking_app(), store=store) as running:
        await running.publish(Begun())
        await told_while_it_waits(running, store, *(Tick(number=number) for number in (2, 3, 13, 4)))
        await running.settle()
        parked, behind = await left(store)
    assert await numbers(store) == [1, 2, 3]
    assert (parked.state, behind.state) == ("parked", "ready")
    assert [len(commit.done) for commit in store.commits if commit.done] == [2]
    assert (await row(store)).status == "parked"


async def test_the_second_event_of_a_commit_that_fails_parks_and_the_first_stands() -> None:
    store = new_store()
    async with engine(ticking_app(), store=store) as running:
        await running.publish(Begun())
        await running.send(Ring(number=12))
        await running.settle()
        (parked,) = await left(store)
        assert (parked.envelope.type, parked.state) == ("t.Tock", "parked")
    assert await numbers(store) == [12]
    assert (await row(store)).status == "parked"


async def test_a_start_that_fails_leaves_a_parked_instance() -> None:
    async def saga(begun: Begun, saga: Saga) -> None:
        raise ValueError("not today")

    store = new_store()
    async with engine(saga_app(saga), store=store, provide={Stage: Stage()}) as running:
        await running.publish(Begun())
        await running.settle()
        assert await running.status("t.saga", "a") == "parked"
        (parked,) = await left(store)
        assert (parked.envelope.type, parked.state) == ("t.Begun", "parked")
    assert "ValueError: not today" in (await search(store, "t.saga")).reason


async def test_a_parked_instance_takes_nothing_after_a_restart_either() -> None:
    store = new_store()
    async with engine(ticking_app(), store=store) as running:
        await running.publish(Begun())
        await running.publish(Tick(number=13))
    async with engine(ticking_app(), store=store.again()) as running:
        await running.publish(Tick(number=1))
        await running.settle()
        assert await running.status("t.ticks", "a") == "parked"
    assert [one.state for one in await left(store)] == ["parked", "ready"]


async def test_a_state_that_does_not_fit_its_class_parks() -> None:
    app, store = App("t"), new_store()

    @app.process_manager(key="key", starts_with=Begun)
    @dataclass(frozen=True)
    class Wrong:
        count: int = 0

        def evolve(self, event: Begun | Tick) -> Wrong:
            return replace(self, count="many" if isinstance(event, Tick) else 0)  # type: ignore[arg-type]

        def react(self, event: Begun | Tick) -> None:
            return None

    async with engine(app, store=store) as running:
        await running.publish(Begun())
        await running.publish(Tick())
        await running.settle()
    found = await search(store, "t.Wrong")
    assert found.status == "parked"
    assert "count: Expected `int`, got `str`" in found.reason


async def test_an_error_inside_the_library_parks_the_instance_and_not_what_told_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sagakit.core.process_manager.live.ManagerLive._told", lambda self, given: 1 / 0)
    store = new_store()
    async with engine(ticking_app(), store=store) as running:
        await running.publish(Begun())
        await running.settle()
        assert await running.status("t.ticks", "a") == "parked"
    assert "ZeroDivisionError" in (await search(store)).reason


# ---------------------------------------------------------------------- sagas: undoing, replay


def saga_app(code: Callable[..., Any], *receives: type[Message]) -> App:
    app = asking_app()

    @app.handles(key="key")
    async def undo(command: Undo, stage: Stage) -> Undone:
        await stage.play(Ask(command.key, -1))
        return Undone(command.key)

    app.saga(key="key", name="saga", receives=receives)(code)
    return app


async def twice(begun: Begun, saga: Saga) -> None:
    """Two steps with an undo each, and a wait between them."""
    await saga.do(Ask(begun.key, 1), then=Told, undo=Undo(begun.key))
    await saga.receive(Tick)
    await saga.do(Ask(begun.key, 2), then=Told, undo=Undo(begun.key))


@pytest.mark.parametrize("inline", [True, False])
async def test_a_failed_compensation_queues_nothing_and_records_what_comes_as_late(
    inline: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not inline:
        monkeypatch.setattr(
            ProcessHandler, "inline", property(lambda self: False, lambda self, value: None), raising=False
        )
    stage, store = Stage(), new_store()
    stage.will(Ask("a", 2), [Declined("a", "no")])
    stage.will(Ask("a", -1), *[ConnectionError("down")] * 9)
    app = saga_app(twice, Tick)
    async with engine(app, store=store, provide={Stage: stage}) as running:
        await running.publish(Begun())
        await running.settle()
        await running.publish(Tick())
        await running.advance(hours=1)
        assert await running.status("t.saga", "a") == "compensation_failed"
        version = (await row(store, "t.saga")).version
        await running.publish(Tick(number=1))
        await running.publish(Tick(number=2))
        await running.settle()
    assert [(one.envelope.type, one.state) for one in await left(store)] == [("t.Undo", "parked")]
    assert (await row(store, "t.saga")).version == version + 2
    async with engine(app, store=store.again(), provide={Stage: stage}) as running:
        await running.publish(Tick(number=3))
        await running.settle()
        assert await running.status("t.saga", "a") == "compensation_failed"
        assert await running.cancel("t.saga", "a", reason="no use") is False
    assert (await row(store, "t.saga")).version == version + 3
    assert len(await left(store)) == 1


@pytest.mark.parametrize("cached", [0, 1, 3])
async def test_evicted_instances_are_replayed(cached: int) -> None:
    stage, keys = Stage(), "abcdef"
    async with engine(saga_app(twice, Tick), provide={Stage: stage}, limits=Limits(cached=cached)) as running:
        for key in keys:
            await running.publish(Begun(key))
            await running.settle()
        for key in keys:
            await running.publish(Tick(key))
        await running.settle()
        assert [await running.status("t.saga", key) for key in keys] == ["completed"] * len(keys)
    assert len(stage.began) == 2 * len(keys)  # a replay runs no handler


async def test_an_evicted_instance_is_undone_from_its_record() -> None:
    stage = Stage()
    stage.will(Ask("a", 2), [Declined("a", "no")])
    async with engine(saga_app(twice, Tick), provide={Stage: stage}, limits=Limits(cached=0)) as running:
        await running.publish(Begun())
        await running.settle()
        await running.publish(Tick())
        await running.settle()
        assert await running.status("t.saga", "a") == "compensated"
    assert [ask.number for ask in stage.began] == [1, 2, -1]


async def test_code_that_contradicts_the_record_parks_and_names_the_step() -> None:
    stage, store = Stage(), new_store()
    async with engine(saga_app(twice, Tick), store=store, provide={Stage: stage}) as running:
        await running.publish(Begun())
        await running.settle()

    async def changed(begun: Begun, saga: Saga) -> None:
        await saga.do(Undo(begun.key), then=Undone)
        await saga.receive(Tick)

    async with engine(saga_app(changed, Tick), store=store.again(), provide={Stage: stage}) as running:
        await running.publish(Tick())
        await running.settle()
        assert await running.status("t.saga", "a") == "parked"
    found = await search(store, "t.saga")
    assert "t.Ask is recorded, the code now sends t.Undo" in found.reason
    assert "reaction 1, to t.Begun" in found.reason


async def test_an_instance_whose_version_is_not_declared_any_more_parks() -> None:
    app, store = App("t"), new_store()
    app.process_manager(key="key", starts_with=Begun, name="ticks", version=1)(Ticks)
    async with engine(app, store=store) as running:
        await running.publish(Begun())
    newer = App("t")
    newer.process_manager(key="key", starts_with=Begun, name="ticks", version=2)(Ticks)
    async with engine(newer, store=store.again()) as running:
        await running.publish(Tick(number=1))
        await running.publish(Begun("b"))
        await running.settle()
        assert await running.status("t.ticks", "a") == "parked"
    assert "t.ticks version 1 is no longer declared" in (await search(store)).reason
    assert (await row(store, key="b")).definition == 2


@only_on("memory", because="its data are changed behind its back")
async def test_what_reacted_in_a_commit_that_was_dropped_is_forgotten() -> None:
    """A second run's outcome reacts inline, and is discarded whole: the instance goes on from what stands."""
    stage, store = Stage(), new_store()
    app = saga_app(twice, Tick)
    async with engine(app, store=store, provide={Stage: stage}) as running:
        stage.closes(Ask("a", 1))
        await running.publish(Begun())
        await until(lambda: stage.now)
        (delivery,) = store.data.deliveries.values()
        delivery.attempt += 1  # as if another engine had taken it over
        stage.opens(Ask("a", 1))
        await running.settle()
        assert (await row(store, "t.saga")).version == 1
        assert not [write for write in await store.read_messages() if write.type == "t.Told"]
        await running.publish(Tick())
        await running.settle()
        assert (await row(store, "t.saga")).version == 2


async def test_a_draft_that_cannot_be_routed_lets_go_of_the_instances_that_reacted_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app, store = ticking_app(), new_store()

    @app.process_manager(key="key", starts_with=Begun)
    @dataclass(frozen=True)
    class Other:
        def react(self, event: Begun | Tick) -> None:
            return None

    tell, failing = ProcessHandler.tell, [True]

    async def fails_for_other(self: ProcessHandler, draft: Any, process: Any, *rest: Any) -> None:
        if process.name == "t.Other" and failing:
            raise RuntimeError("a bug")
        await tell(self, draft, process, *rest)

    monkeypatch.setattr(ProcessHandler, "tell", fails_for_other)
    async with engine(app, store=store) as running:
        with pytest.raises(RuntimeError, match="a bug"):
            await running.publish(Begun())
        assert await store.read_messages() == []
        failing.clear()
        await running.publish(Begun())
        await running.publish(Tick(number=1))
        await running.settle()
        assert await numbers(store) == [1]


# ---------------------------------------------------------------------- cancel


async def test_a_cancel_undoes_what_was_done() -> None:
    stage, store = Stage(), new_store()
    async with engine(saga_app(twice, Tick), store=store, provide={Stage: stage}) as running:
        await running.publish(Begun())
        await running.settle()
        assert await running.cancel("t.saga", "a", reason="no need")
        await running.settle()
        assert await running.status("t.saga", "a") == "compensated"
        assert not await running.cancel("t.saga", "a", reason="again")
    found = await search(store, "t.saga")
    assert (found.cause, found.reason) == ("cancelled", "no need")
    assert [ask.number for ask in stage.began] == [1, -1]


async def test_what_is_not_there_cannot_be_cancelled() -> None:
    async with engine(ticking_app()) as running:
        with pytest.raises(NotFound, match=r"there is no t.ticks with key 'a'"):
            await running.cancel("t.ticks", "a", reason="no need")
        with pytest.raises(NotFound, match="'nothing' is no process of this app"):
            await running.cancel("nothing", "a", reason="no need")


async def test_a_cancel_before_a_step_has_begun_takes_it_out_of_its_lane() -> None:
    stage, store = Stage(), new_store()
    stage.closes(Ask("a", 0))
    async with engine(saga_app(twice, Tick), store=store, provide={Stage: stage}) as running:
        await running.send(Ask("a", 0))  # holds the lane of the step's command
        await running.publish(Begun())
        await running.send(Ask("a", 7))
        await running.advance(seconds=0)
        assert await running.cancel("t.saga", "a", reason="no need")
        await running.advance(seconds=0)
        stage.opens(Ask("a", 0))
        await running.settle()
        assert await running.status("t.saga", "a") == "compensated"
    assert [ask.number for ask in stage.began] == [0, -1, 7]
    assert await left(store) == []


# ---------------------------------------------------------------------- process managers


@dataclass(frozen=True)
class Careful:
    """Undoes its one command when it is told to stop."""

    key: str = ""

    def evolve(self, event: Begun | Told | Undone | Cancelled) -> Careful:
        return replace(self, key=event.key) if isinstance(event, Begun) else self

    def react(self, event: Begun | Told | Undone | Cancelled) -> Message | Sequence[Message] | None:
        match event:
            case Begun(key):
                return Ask(key)
            case Cancelled():
                return Undoing(Undo(self.key), of=Ask(self.key))
            case Undone():
                return End("compensated", "as told")
            case _:
                return None


@pytest.mark.parametrize("running_do", [True, False])
async def test_a_process_manager_is_told_of_a_cancel_and_undoes_by_itself(running_do: bool) -> None:
    app, stage, store = asking_app(), Stage(), new_store()

    @app.handles(key="key")
    async def undo(command: Undo, stage: Stage) -> Undone:
        await stage.play(Ask(command.key, -1))
        return Undone(command.key)

    app.process_manager(key="key", starts_with=Begun, name="careful")(Careful)
    if running_do:
        stage.closes(Ask())
    async with engine(app, store=store, provide={Stage: stage}) as running:
        await running.publish(Begun())
        await until(lambda: stage.began)
        assert await running.cancel("t.careful", "a", reason="no need")
        await running.settle()
        assert await running.status("t.careful", "a") == "compensated"
    found = await search(store, "t.careful")
    assert (found.cause, found.reason) == ("cancelled", "as told")
    assert [ask.number for ask in stage.ended] == [0, -1]
    assert await left(store) == []


async def test_a_refused_step_reaches_the_code_as_an_exception() -> None:
    caught: list[Refused] = []

    async def saga(begun: Begun, saga: Saga) -> None:
        try:
            await saga.do(Ask(begun.key), then=Told)
        except Refused as refused:
            caught.append(refused)

    stage = Stage()
    stage.will(Ask(), [Declined("a", "not for you")])
    async with engine(saga_app(saga), provide={Stage: stage}) as running:
        await running.publish(Begun())
        await running.settle()
    assert [(one.reason, one.event) for one in caught] == [("not for you", Declined("a", "not for you"))]


# ---------------------------------------------------------------------- several instances in one Commit


@dataclass(frozen=True)
class Ping:
    key: str
    round: int


@dataclass(frozen=True)
class Pong:
    key: str
    round: int


def playing_app(rounds: int) -> App:
    """Two processes that answer each other."""
    app = App("t")

    @app.process_manager(key="key", starts_with=Ping)
    @dataclass(frozen=True)
    class Left:
        last: int = 0

        def evolve(self, event: Ping) -> Left:
            return Left(event.round)

        def react(self, event: Ping) -> Message:
            return Pong(event.key, event.round) if event.round < rounds else End("completed")

    @app.process_manager(key="key", starts_with=Pong)
    @dataclass(frozen=True)
    class Right:
        last: int = 0

        def evolve(self, event: Pong) -> Right:
            return Right(event.round)

        def react(self, event: Pong) -> Message:
            return Ping(event.key, event.round + 1)

    return app


async def test_processes_that_answer_each_other_for_long() -> None:
    store = new_store()
    async with engine(playing_app(500), store=store) as running:
        await asyncio.gather(*(running.publish(Ping(key, 0)) for key in "abc"))
        await running.settle()
        assert [await running.status("t.Left", key) for key in "abc"] == ["completed"] * 3
    assert (await row(store, "t.Right", "a")).version == 500
    assert await left(store) == []


@only_on("memory", because="it counts turns of the event loop")
async def test_processes_that_answer_each_other_at_the_same_time_hold_nobody() -> None:
    store = Recording()
    async with engine(playing_app(20), store=store) as running:
        await running.publish(Ping("a", 18))
        store.gate.clear()
        both = [asyncio.create_task(running.publish(event)) for event in (Ping("a", 5), Pong("a", 5))]
        await until(lambda: running._committer.busy)
        for _ in range(10):
            await asyncio.sleep(0)
        store.gate.set()
        await asyncio.gather(*both)
        await running.settle()
        assert running.idle
    assert await left(store) == []


async def test_the_first_event_of_a_commit_that_fails_parks_and_the_second_waits_behind_it() -> None:
    store = Recording()
    async with engine(ticking_app(), store=store) as running:
        await running.publish(Begun())
        await running.send(Ring(number=13))
        await running.settle()
        parked, behind = await left(store)
        assert (parked.envelope.type, parked.state) == ("t.Tick", "parked")
        assert (behind.envelope.type, behind.state) == ("t.Tock", "ready")
    assert await numbers(store) == []
    assert (await row(store)).version == 2
    assert len(store.commits) == 4


@only_on("memory", because="it counts turns of the event loop")
async def test_what_a_run_told_others_before_it_failed_stands() -> None:
    app, store = App("t"), Recording()

    @app.process_manager(key="key", starts_with=Begun, name="ticks")
    @dataclass(frozen=True)
    class Telling(Ticks):
        def react(self, event: Begun | Tick | Tock) -> Message | Sequence[Message] | None:
            return super().react(event) or (Ping(event.key, event.number) if isinstance(event, Tick) else None)

        def evolve(self, event: Begun | Tick | Tock) -> Telling:
            return self if isinstance(event, Begun) else replace(self, numbers=(*self.numbers, event.number))

    @app.process_manager(key="key", starts_with=Ping)
    @dataclass(frozen=True)
    class Hearing:
        heard: tuple[int, ...] = ()

        def evolve(self, event: Ping) -> Hearing:
            return Hearing((*self.heard, event.round))

        def react(self, event: Ping) -> None:
            return None

    async with engine(app, store=store) as running:
        await running.publish(Begun())
        await told_while_it_waits(running, store, *(Tick(number=number) for number in (2, 13, 3)))
        await running.publish(Ping("a", 99))
        await running.settle()
    assert await numbers(store) == [1, 2]
    heard = msgspec.json.decode((await row(store, "t.Hearing")).state)["state"]["heard"]
    assert heard == [1, 2, 99]
    assert [one.state for one in await left(store)] == ["parked", "ready"]


async def test_an_outcome_whose_process_has_moved_on_is_made_again() -> None:
    stage, store = Stage(), new_store()
    async with engine(saga_app(twice, Tick), store=store, provide={Stage: stage}) as running:
        stage.closes(Ask("a", 1))
        await running.publish(Begun())
        await until(lambda: stage.now)
        lane = running._lanes.find(f"t.saga/{instance_id('t.saga', 'a')}")
        assert lane is not None
        lane.cache.row.version += 1  # out of date, as if somebody else had written
        stage.opens(Ask("a", 1))
        await running.settle()
        assert (await row(store, "t.saga")).version == 2
        await running.publish(Tick())
        await running.settle()
        assert await running.status("t.saga", "a") == "completed"
    assert [one.number for one in stage.began] == [1, 1, 2]
    assert len({context.idempotency_key for context in stage.contexts[:2]}) == 1


# ---------------------------------------------------------------------- Commits that are dropped


async def queued(running: ManualEngine, *numbers: int) -> None:
    """Events that wait for their instance as deliveries, while no worker takes anything."""
    running._lanes.running = False
    running._processes.inline = False
    for number in numbers:
        await running.publish(Tick(number=number))
    running._processes.inline = True


async def test_a_run_of_an_instance_that_has_moved_on_is_made_again() -> None:
    store = Recording()
    async with engine(ticking_app(), store=store) as running:
        await running.publish(Begun())
        await queued(running, 1, 2)
        lane = running._lanes.find(f"t.ticks/{instance_id('t.ticks', 'a')}")
        assert lane is not None
        lane.cache = await running._processes._instances.load(running.topology.processes["t.ticks"], lane.key[8:])
        lane.cache.row.version += 1  # out of date, as if somebody else had written
        running._lanes.start()
        await running.settle()
        assert await numbers(store) == [1, 2]
    assert await left(store) == []


@only_on("memory", because="its data are changed behind its back")
async def test_of_a_run_with_one_that_is_gone_the_others_stand() -> None:
    store = Recording()
    async with engine(ticking_app(), store=store) as running:
        await running.publish(Begun())
        await queued(running, 1, 2, 3)
        ids = sorted(store.inner.data.deliveries)
        del store.inner.data.deliveries[ids[1]]
        running._lanes.start()
        await running.settle()
        assert await numbers(store) == [1, 3]
        assert running._lanes.unfinished == 0
        store.commits.clear()
        await told_while_it_waits(running, store, *(Tick(number=number) for number in (5, 6)))
        await running.settle()
        assert [len(commit.done) for commit in store.commits if commit.done] == [2]  # folded as ever
    assert await left(store) == []


@only_on("memory", because="it counts turns of the event loop")
async def test_once_deliveries_have_come_reactions_are_inline_again() -> None:
    store = Recording()
    async with engine(ticking_app(), store=store) as running:
        await running.publish(Begun())
        await told_while_it_waits(running, store, Tick(number=2))
        await running.settle()
        store.commits.clear()
        await running.publish(Tick(number=3))
        assert [len(commit.deliveries) for commit in store.commits] == [0]
    assert await numbers(store) == [1, 2, 3]


@only_on("memory", because="its data are changed behind its back")
async def test_so_they_are_after_a_commit_with_a_delivery_was_dropped() -> None:
    stage, store = Stage(), Recording()
    app = ticking_app()

    @app.handles
    async def ask(command: Ask, stage: Stage) -> list[Tick]:
        await stage.play(command)
        return [Tick(command.key, command.number)]

    stage.closes(Ask("a", 5))
    async with engine(app, store=store, provide={Stage: stage}) as running:
        await running.publish(Begun())
        await running.send(Ask("a", 5))
        await until(lambda: stage.now)
        (delivery,) = store.inner.data.deliveries.values()
        delivery.attempt += 1  # as if another engine had taken it over
        running._processes.inline = False
        stage.opens(Ask("a", 5))
        await running.settle()
        running._processes.inline = True
        store.commits.clear()
        await running.publish(Tick(number=6))
        assert [len(commit.deliveries) for commit in store.commits] == [0]
    assert await numbers(store) == [6]


@only_on("memory", because="its data are changed behind its back")
async def test_one_that_would_park_but_is_gone_holds_nobody() -> None:
    store = new_store()
    async with engine(ticking_app(), store=store) as running:
        await running.publish(Begun())
        await queued(running, 13, 2)
        del store.data.deliveries[min(store.data.deliveries)]
        running._lanes.start()
        await running.settle()
        assert await running.status("t.ticks", "a") == "running"
        assert await numbers(store) == [2]
        assert running._lanes.unfinished == 0
