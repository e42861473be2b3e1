"""Group commit: what waits is written together; a store that fails is nobody's attempt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.each_store import ON_EACH_STORE, new_store, only_on
from tests.engine.stage import Ask, Stage, asking_app, until

from sagakit.core.commit import Commit, Rejected
from sagakit.engine.committer import FIRST_PAUSE, LONGEST_PAUSE, TURNS, Committer
from sagakit.engine.draft import Draft
from sagakit.errors import CommitLost, Stopping, StoreFailed, StoreInUse, StoreUnusable
from sagakit.testing.faults import At, Fault, FaultyStore
from sagakit.testing.manual import ManualClock, engine

pytestmark = ON_EACH_STORE

Result = Rejected | BaseException | None


class Scripted:
    """A store that writes, or fails, as a test says."""

    def __init__(self) -> None:
        self.groups: list[list[Commit]] = []
        """What each call of `commit` was given."""
        self.script: list[Any] = []
        """What the next calls of `commit` raise or answer; None: all is written."""
        self.lost: list[Any] = []
        """The same for `committed`."""
        self.open = asyncio.Event()
        self.open.set()
        self.on_commit: Callable[[], None] = lambda: None

    async def commit(self, commits: Sequence[Commit]) -> list[Rejected | None]:
        self.groups.append(list(commits))
        self.on_commit()
        await self.open.wait()
        answer = self.script.pop(0) if self.script else None
        if isinstance(answer, BaseException):
            raise answer
        return answer or [None] * len(commits)

    async def committed(self, commits: Sequence[Commit]) -> list[bool]:
        answer = self.lost.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer


class Desk:
    """A committer, and what it has told."""

    def __init__(self) -> None:
        self.store = Scripted()
        self.clock = ManualClock()
        self.told: list[tuple[Any, Result]] = []
        self.fatal: list[BaseException] = []
        self.on_told: Callable[[], None] = lambda: None
        self.committer = Committer(self.store, self.clock, self._settled, self._die)  # type: ignore[arg-type]

    def _settled(self, draft: Draft, result: Result) -> None:
        self.told.append((draft.subject, result))
        self.on_told()

    def _die(self, error: BaseException) -> None:
        self.fatal.append(error)
        self.committer.end(error)

    def submit(self, *names: str, at_door: bool = False) -> None:
        for name in names:
            draft = Draft(lambda draft, result: None, name)
            draft.at_door = at_door
            self.committer.submit(draft)

    @property
    def written(self) -> list[Any]:
        return [name for name, result in self.told if result is None]

    async def waits(self, seconds: float) -> None:
        """Wait until it sleeps, and let that much time pass."""
        await until(lambda: self.clock._sleepers)
        self.clock.set(self.clock.now() + int(seconds * 1_000_000))


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with at_desk() as desk:
        yield desk


@asynccontextmanager
async def at_desk() -> AsyncIterator[Desk]:
    desk = Desk()
    desk.committer.start()
    yield desk
    desk.store.open.set()
    await desk.committer.stop()


async def test_what_waits_is_written_together_in_its_order(desk: Desk) -> None:
    desk.store.open.clear()
    desk.submit("first")
    await until(lambda: desk.store.groups)
    desk.submit("second", "third", "fourth")
    desk.store.open.set()
    await until(lambda: len(desk.told) == 4)
    assert desk.written == ["first", "second", "third", "fourth"]
    assert [len(group) for group in desk.store.groups] == [1, 3]


@pytest.mark.parametrize(
    ("gathers", "waiting", "groups"),
    [(False, 1, [2, 1, 1]), (True, 1, [2, 2]), (True, 2, [2, 2, 1])],
    ids=["alone", "fewer than before", "as many as before"],
)
async def test_where_others_share_the_store_a_smaller_transaction_waits_for_what_the_last_one_sets_going(
    desk: Desk, gathers: bool, waiting: int, groups: list[int]
) -> None:
    def follow() -> None:
        desk.on_told = lambda: None
        asyncio.get_running_loop().call_soon(desk.submit, "follows")

    desk.committer.gathers = lambda: gathers
    desk.store.open.clear()
    desk.submit("first", "second")
    await until(lambda: desk.store.groups)
    desk.submit(*["third", "fourth"][:waiting])
    desk.on_told = follow
    desk.store.open.set()
    await until(lambda: len(desk.told) == 3 + waiting)
    assert [len(group) for group in desk.store.groups] == groups


async def test_what_is_submitted_without_end_does_not_keep_a_transaction_waiting(desk: Desk) -> None:
    desk.committer.gathers = lambda: True
    loop = asyncio.get_running_loop()

    def submit() -> None:
        if len(desk.store.groups) < 2:
            desk.submit("one more")
            loop.call_soon(submit)

    desk.store.open.clear()
    desk.submit(*(f"number {number}" for number in range(100)))
    await until(lambda: desk.store.groups)
    desk.store.open.set()
    await until(lambda: len(desk.told) == 100)
    submit()
    await until(lambda: len(desk.store.groups) == 2)
    assert 2 <= len(desk.store.groups[1]) <= TURNS + 2


@only_on("memory", because="it counts turns of the event loop")
async def test_nothing_is_told_before_the_store_has_answered(desk: Desk) -> None:
    desk.store.open.clear()
    desk.submit("one", at_door=True)
    await until(lambda: desk.store.groups)
    for _ in range(10):
        await asyncio.sleep(0)
    assert desk.told == []
    assert not desk.committer.idle
    desk.store.open.set()
    await until(lambda: desk.told == [("one", None)])


async def test_the_next_transaction_begins_before_those_of_the_last_are_told(desk: Desk) -> None:
    desk.store.open.clear()
    begun: list[int] = []
    desk.on_told = lambda: begun.append(len(desk.store.groups))
    desk.submit("first", "second")
    await until(lambda: desk.store.groups)
    desk.submit("third")
    desk.store.open.set()
    await until(lambda: len(desk.told) == 3)
    assert desk.written == ["first", "second", "third"]
    assert begun == [2, 2, 2]


async def test_who_is_answered_is_told_so_though_the_next_transaction_never_ends(desk: Desk) -> None:
    desk.store.open.clear()
    desk.submit("first")
    await until(lambda: desk.store.groups)
    desk.submit("second")
    desk.store.on_commit = desk.store.open.clear
    desk.store.open.set()
    await until(lambda: desk.told == [("first", None)])
    await desk.committer.stop()
    assert desk.told[0] == ("first", None)
    assert isinstance(desk.told[1][1], Stopping)


async def test_who_is_answered_is_told_so_when_it_ends_in_between(desk: Desk) -> None:
    desk.store.open.clear()
    desk.submit("first")
    await until(lambda: desk.store.groups)
    desk.submit("second")
    desk.store.on_commit = lambda: desk.committer.end(Stopping("over"))
    desk.store.open.set()
    await until(lambda: desk.committer.idle)
    assert desk.told[0] == ("first", None)
    assert isinstance(desk.told[1][1], Stopping)
    assert len(desk.told) == 2
    assert not desk.fatal


async def test_one_that_does_not_match_is_dropped_alone(desk: Desk) -> None:
    gone = Rejected("gone", "delivery 7, attempt 1")
    desk.store.script = [[None, gone, None]]
    desk.submit("a", "b", "c")
    await until(lambda: len(desk.told) == 3)
    assert desk.told == [("a", None), ("b", gone), ("c", None)]


@only_on("memory", because="it counts turns of the event loop")
async def test_a_store_that_fails_is_tried_again_until_it_writes(desk: Desk) -> None:
    desk.store.script = [StoreFailed("disk full"), StoreFailed("disk full")]
    desk.submit("one")
    await desk.waits(FIRST_PAUSE / 1_000_000)
    assert str(desk.committer.failure) == "disk full"
    await until(lambda: len(desk.store.groups) == 2)
    await desk.waits(FIRST_PAUSE / 1_000_000)
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(desk.store.groups) == 2  # the pause has doubled
    await desk.waits(FIRST_PAUSE / 1_000_000)
    await until(lambda: desk.written == ["one"])
    assert desk.committer.failure is None
    assert desk.store.groups[0] == desk.store.groups[2]


async def test_the_pause_has_a_longest(desk: Desk) -> None:
    desk.store.script = [StoreFailed("down")] * 12
    desk.submit("one")
    for _ in range(12):
        await desk.waits(LONGEST_PAUSE / 1_000_000)
    await until(lambda: desk.written == ["one"])


async def test_doors_are_refused_and_the_rest_waits_while_the_store_fails(desk: Desk) -> None:
    desk.store.open.clear()
    desk.store.script = [StoreFailed("disk full")]
    desk.submit("inside")
    desk.submit("door", at_door=True)
    await until(lambda: desk.store.groups)
    desk.submit("late door", at_door=True)
    desk.submit("late inside")
    desk.store.open.set()
    await until(lambda: len(desk.told) == 2)
    assert [(name, type(result), str(result)) for name, result in desk.told] == [
        ("door", StoreFailed, "disk full"),
        ("late door", StoreFailed, "disk full"),
    ]
    await desk.waits(1)
    await until(lambda: desk.written == ["inside", "late inside"])


async def test_after_a_pause_the_doors_are_open_even_if_nothing_else_waits(desk: Desk) -> None:
    desk.store.script = [StoreFailed("disk full")]
    desk.submit("door", at_door=True)
    await until(lambda: desk.committer.failure)
    await desk.waits(1)
    await until(lambda: desk.committer.failure is None)
    desk.submit("next", at_door=True)
    await until(lambda: desk.written == ["next"])


async def test_after_a_lost_answer_each_is_looked_up(desk: Desk) -> None:
    desk.store.script = [CommitLost("no answer")]
    desk.store.lost = [[True, False, True]]
    desk.submit("a")
    desk.submit("b", at_door=True)
    desk.submit("c")
    await until(lambda: len(desk.told) == 3)
    assert desk.written == ["a", "c", "b"]  # b was written after all, by a second call
    assert [len(group) for group in desk.store.groups] == [3, 1]


async def test_the_look_up_goes_on_until_the_store_answers(desk: Desk) -> None:
    desk.store.script = [CommitLost("no answer")]
    desk.store.lost = [StoreFailed("not yet"), CommitLost("not yet"), [True]]
    desk.submit("a", at_door=True)
    await desk.waits(1)
    await desk.waits(1)
    await until(lambda: desk.written == ["a"])
    assert len(desk.store.groups) == 1
    assert desk.committer.failure is None


@pytest.mark.parametrize("error", [StoreUnusable("corrupt"), StoreInUse("another owner"), KeyError("a bug")])
async def test_another_error_is_fatal_and_everyone_is_told(desk: Desk, error: Exception) -> None:
    desk.store.open.clear()
    desk.store.script = [error]
    desk.submit("a", "b")
    await until(lambda: desk.store.groups)
    desk.submit("waiting")
    desk.store.open.set()
    await until(lambda: desk.fatal)
    assert desk.fatal == [error]
    assert desk.told == [("a", error), ("b", error), ("waiting", error)]
    desk.submit("too late")
    assert desk.told[-1] == ("too late", error)


async def test_a_bug_while_telling_tells_the_others_once() -> None:
    async with at_desk() as desk:
        told: list[str] = []

        def settled(draft: Draft, result: Result) -> None:
            told.append(draft.subject)
            if draft.subject == "b" and result is None:
                raise KeyError("a bug")

        desk.committer._settled = settled
        desk.submit("a", "b", "c")
        await until(lambda: desk.fatal)
        assert told == ["a", "b", "c"]


async def test_a_drain_waits_until_everything_is_written(desk: Desk) -> None:
    desk.store.open.clear()
    desk.submit("a")
    draining = asyncio.create_task(desk.committer.drain())
    await until(lambda: desk.store.groups)
    desk.submit("b")
    assert not draining.done()
    desk.store.open.set()
    await draining
    assert desk.written == ["a", "b"]


async def test_a_drain_does_not_wait_for_a_store_that_fails(desk: Desk) -> None:
    desk.store.script = [StoreFailed("disk full")]
    desk.submit("a")
    await desk.committer.drain()
    assert desk.written == []
    await desk.committer.stop()
    assert [(name, type(result)) for name, result in desk.told] == [("a", Stopping)]


async def test_after_the_stop_nothing_waits_for_ever(desk: Desk) -> None:
    await desk.committer.stop()
    desk.submit("late", at_door=True)
    assert [(name, type(result)) for name, result in desk.told] == [("late", Stopping)]


# ---------------------------------------------------------------------- with an engine


async def test_a_failing_store_costs_no_attempt_and_runs_no_handler_again() -> None:
    stage = Stage()
    store = FaultyStore(new_store(), *(At(number, Fault.FAILED, "commit") for number in range(2, 6)))
    async with engine(asking_app(), store=store, provide={Stage: stage}) as running:
        await running.send(Ask())
        await until(lambda: running.ready() is not None)
        with pytest.raises(StoreFailed):
            await running.send(Ask(number=1))
        for _ in range(4):
            await until(lambda: running.hand._sleepers)
            running.hand.set(running.hand.now() + LONGEST_PAUSE)
        await running.settle()
        assert running.ready() is None
        assert stage.began == [Ask()]
        assert [context.attempt for context in stage.contexts] == [1]
        await running.send(Ask(number=2))
        await running.settle()
        assert stage.began == [Ask(), Ask(number=2)]


async def test_a_lost_answer_runs_no_handler_again() -> None:
    for fault in (Fault.ANSWER_LOST, Fault.COMMIT_LOST):
        stage = Stage()
        store = FaultyStore(new_store(), At(1, fault, "commit"), At(2, fault, "commit"))
        async with engine(asking_app(), store=store, provide={Stage: stage}) as running:
            await running.send(Ask())
            await running.settle()
        assert stage.began == [Ask()]


@only_on("memory", because="the next one that opens it takes it away")
async def test_the_engine_can_go_on_no_more_once_another_owns_the_store() -> None:
    stage, store = Stage(), new_store()
    async with engine(asking_app(), store=store, provide={Stage: stage}) as running:
        await running.send(Ask())
        await running.settle()
        await store.again().open()
        with pytest.raises(StoreInUse):
            await running.send(Ask(number=1))
        await running.stopped()
        assert isinstance(running.fatal, StoreInUse)
        assert "another engine" in str(running.ready())
        with pytest.raises(Stopping, match="another engine"):
            await running.send(Ask(number=2))
        assert stage.began == [Ask()]
