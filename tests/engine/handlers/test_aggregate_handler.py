"""Aggregates: commands of one key fold into one Commit; a failure splits it; snapshots shorten the load."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from tests.each_store import ON_EACH_STORE, AnyStore, Around, new_store, only_on
from tests.engine.stage import until

from sagakit import App, Loaded, NotFound, StaleVersion
from sagakit.core.commit import Commit, Delivery, Rejected
from sagakit.engine.limits import Limits
from sagakit.testing.manual import ManualEngine, engine

pytestmark = ON_EACH_STORE


@dataclass(frozen=True)
class Add:
    key: str = "a"
    number: int = 1


@dataclass(frozen=True)
class Added:
    key: str
    number: int


@dataclass(frozen=True)
class Refused:
    key: str


@dataclass(frozen=True)
class Sum:
    total: int = 0
    failed: tuple[int, ...] = ()

    def decide(self, command: Add) -> Added | Refused | list[Added]:
        if command.number == 13:
            raise ValueError("unlucky")
        if command.number == 0:
            return []
        if command.number == 99:
            return Added(command.key, "ninety-nine")  # type: ignore[arg-type]
        return Refused(command.key) if command.number < 0 else Added(command.key, command.number)

    def evolve(self, event: Added | Refused) -> Sum:
        return Sum(self.total + event.number) if isinstance(event, Added) else self


def adding_app(every: int = 100) -> App:
    app = App("t")
    app.aggregate(key="key", snapshot_every=every)(Sum)
    return app


class Recording(Around):
    """Keeps what it was given to commit, and can be made to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.commits: list[Commit] = []
        self.answers: list[Rejected | None] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def commit(self, commits):  # type: ignore[no-untyped-def]
        await self.gate.wait()
        answers = await self.inner.commit(commits)
        self.commits += commits
        self.answers += answers
        return answers


def recording() -> Recording:
    return Recording()


async def left(store: AnyStore) -> list[Delivery]:
    reader = store.again()
    await reader.open(own=False)
    return await reader.read_deliveries()


async def send_while_it_waits(running: ManualEngine, store: Recording, *numbers: int) -> None:
    """Have these commands queue behind one whose Commit is being written."""
    receipt = asyncio.create_task(running.send(Add(number=100)))
    await until(lambda: running._lanes.find("t.Sum/a") is not None)
    await receipt
    store.gate.clear()
    sends = [asyncio.create_task(running.send(Add(number=number))) for number in numbers]
    for _ in range(10):
        await asyncio.sleep(0)
    store.gate.set()
    await asyncio.gather(*sends)


async def test_decides_evolves_and_appends_to_its_stream() -> None:
    store = new_store()
    async with engine(adding_app(), store=store) as running:
        for number in (1, 2, -1, 0, 3):
            await running.send(Add(number=number))
        await running.settle()
        assert await running.load(Sum, "a") == Loaded(Sum(6), 4)
        events = await store.read_stream("t.Sum/a")
    assert [(one.stream_version, one.type) for one in events] == [
        (1, "t.Added"),
        (2, "t.Added"),
        (3, "t.Refused"),
        (4, "t.Added"),
    ]


@only_on("memory", because="it counts turns of the event loop")
async def test_what_is_queued_is_folded_into_one_commit() -> None:
    store = recording()
    async with engine(adding_app(), store=store) as running:
        await send_while_it_waits(running, store, 1, 2, 3)
        await running.settle()
        assert (await running.load(Sum, "a")).state.total == 106
    runs = [len(commit.done) for commit in store.commits if commit.done]
    assert runs == [1, 3]


@only_on("memory", because="it counts turns of the event loop")
async def test_a_run_has_a_longest() -> None:
    store = recording()
    async with engine(adding_app(), store=store, limits=Limits(run=2)) as running:
        await send_while_it_waits(running, store, 1, 2, 3, 4, 5)
        await running.settle()
    assert [len(commit.done) for commit in store.commits if commit.done] == [1, 2, 2, 1]


@only_on("memory", because="it counts turns of the event loop")
async def test_one_that_fails_splits_the_run_and_holds_what_is_behind_it() -> None:
    store = recording()
    async with engine(adding_app(), store=store) as running:
        await send_while_it_waits(running, store, 1, 2, 13, 3)
        await running.settle()
        assert (await running.load(Sum, "a")).state.total == 103
        waiting, behind = await left(store)
        assert (waiting.state, waiting.error) == ("retrying", "ValueError: unlucky")
        assert behind.state == "ready"
        await running.advance(hours=1)
        assert [one.state for one in await left(store)] == ["parked", "ready"]
    assert [len(commit.done) for commit in store.commits if commit.done] == [1, 2]


async def test_a_wrongly_typed_event_fails_in_its_aggregate() -> None:
    store = new_store()
    async with engine(adding_app(), store=store) as running:
        await running.send(Add(number=99))
        await running.settle()
        (parked,) = await left(store)
        assert parked.error == "InvalidMessage: t.Added: number: Expected `int`, got `str`"
        with pytest.raises(NotFound, match="there is no Sum with key 'a'"):
            await running.load(Sum, "a")


async def test_a_version_conflict_is_loaded_and_decided_anew() -> None:
    store = recording()
    async with engine(adding_app(), store=store) as running:
        await running.send(Add(number=1))
        await running.settle()
        lane = running._lanes.find("t.Sum/a")
        assert lane is not None
        lane.cache = Loaded(Sum(0), 0)  # out of date, as if somebody else had written
        await running.send(Add(number=2))
        await running.settle()
        assert await running.load(Sum, "a") == Loaded(Sum(3), 2)
    assert [answer.why for answer in store.answers if answer] == ["conflict"]


# ---------------------------------------------------------------------- expected version


async def test_a_sender_who_has_seen_an_old_version_is_told_at_once() -> None:
    async with engine(adding_app()) as running:
        await running.send(Add(), expected_version=0)
        await running.settle()
        with pytest.raises(StaleVersion, match=r"t\.Sum/a is at version 1, not 0") as stale:
            await running.send(Add(), expected_version=0)
        assert (stale.value.expected, stale.value.found) == (0, 1)
        await running.send(Add(), expected_version=1)
        await running.settle()
        assert (await running.load(Sum, "a")).version == 2


async def test_of_two_who_have_seen_the_same_version_one_changes_nothing() -> None:
    store = recording()
    async with engine(adding_app(), store=store) as running:
        await running.operator.pause("all", by="ada", reason="both see version 0")
        await running.send(Add(), expected_version=0)
        await running.send(Add(number=5), expected_version=0)
        await running.operator.resume("all", by="ada", reason="both are sent")
        await running.settle()
        assert await running.load(Sum, "a") == Loaded(Sum(1), 1)
    assert await left(store) == []  # nothing parks: it is known not done


# ---------------------------------------------------------------------- loading


async def test_a_snapshot_is_written_every_so_many_events() -> None:
    store = recording()
    async with engine(adding_app(every=3), store=store) as running:
        for number in range(1, 8):
            await running.send(Add(number=number))
            await running.settle()
        found = await store.read_snapshot("t.Sum/a")
        assert found is not None
        assert (found.version, found.state) == (6, b'{"total":21,"failed":[]}')
    assert [one.version for commit in store.commits for one in commit.snapshots] == [3, 6]


class CountsReads(Around):
    def __init__(self, store: AnyStore) -> None:
        super().__init__(store.again())
        self.after: list[int] = []

    async def read_stream(self, stream: str, *, after: int = 0, limit: int = 1000):  # type: ignore[no-untyped-def]
        self.after.append(after)
        return await self.inner.read_stream(stream, after=after, limit=limit)


async def test_a_load_begins_at_the_snapshot() -> None:
    store = new_store()
    async with engine(adding_app(every=3), store=store) as running:
        for number in range(1, 8):
            await running.send(Add(number=number))
            await running.settle()
    counting = CountsReads(store)
    async with engine(adding_app(every=3), store=counting) as running:
        assert await running.load(Sum, "a") == Loaded(Sum(28), 7)
        assert counting.after == [6]


@only_on("memory", because="its data are changed behind its back")
async def test_a_snapshot_of_other_code_is_not_used() -> None:
    store = new_store()
    async with engine(adding_app(every=3), store=store) as running:
        for number in range(1, 5):
            await running.send(Add(number=number))
            await running.settle()
    store.data.snapshots["t.Sum/a"].code = "another"
    store.data.snapshots["t.Sum/a"].state = b'{"total":0}'
    counting = CountsReads(store)
    async with engine(adding_app(every=3), store=counting) as running:
        assert await running.load(Sum, "a") == Loaded(Sum(10), 4)
        assert counting.after == [0]


async def test_a_long_stream_is_read_in_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sagakit.engine.handlers.aggregate_handler.PAGE", 2)
    store = new_store()
    async with engine(adding_app(every=0), store=store) as running:
        for number in range(1, 6):
            await running.send(Add(number=number))
        await running.settle()
    counting = CountsReads(store)
    async with engine(adding_app(every=0), store=counting) as running:
        assert await running.load(Sum, "a") == Loaded(Sum(15), 5)
        assert counting.after == [0, 2, 4]


async def test_an_evicted_aggregate_is_loaded_again() -> None:
    async with engine(adding_app(), limits=Limits(cached=1)) as running:
        for _ in range(3):
            for key in "abc":
                await running.send(Add(key))
                await running.settle()
        assert [await running.load(Sum, key) for key in "abc"] == [Loaded(Sum(3), 3)] * 3


async def test_what_is_no_aggregate_of_the_app_cannot_be_loaded() -> None:
    async with engine(adding_app()) as running:
        with pytest.raises(NotFound, match="Other is no aggregate of this app"):
            await running.load(type("Other", (Sum,), {}), "a")
