"""What is found in a partition that was claimed: nothing overtakes it or comes twice, and it may be what crashed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from tests.engine.stage import Ask, Stage, asking_app, numbers, until
from tests.engine.test_recovery import Begun, Tick, two_kinds
from tests.engine.workers.crew import crew
from tests.engine.workers.test_waiting import asked_at

from sagakit.core.cluster.members import Claim, Owned
from sagakit.core.commit import Commit, Delivery, Envelope, Rejected
from sagakit.core.streams import lane_name
from sagakit.engine.handlers.failures import MOST_CRASHES
from sagakit.engine.limits import Limits
from sagakit.engine.recovery import PAGES
from sagakit.engine.workers.owning.takeover import Takeover
from sagakit.stores.memory import MemoryData, MemoryStore

FIRST = Claim("c", 1, True)


@dataclass(frozen=True)
class Quick:
    key: str


@dataclass(frozen=True)
class Answered:
    key: str


def delivery(id: int) -> Delivery:
    return Delivery(Envelope(f"m{id}", "command", "t", b"{}", "s", 0), "c", "c/k", id=id, partition=1)


def test_what_is_written_while_pages_are_read_waits_for_its_page() -> None:
    takeover = Takeover([FIRST])
    after, upto = takeover.begin()
    assert (after, upto) == (0, 0)
    assert takeover.leaves(delivery(7), own=True)  # written while the page was read: it may not be in it
    assert not takeover.end([delivery(3), delivery(5)], upto, 10)
    after, upto = takeover.begin()
    assert (after, upto) == (5, 7)
    assert takeover.end([delivery(7)], upto, 10)
    assert takeover.has_read(7)


def test_a_full_page_is_not_the_last_one() -> None:
    takeover = Takeover([FIRST])
    assert not takeover.end([delivery(1), delivery(2)], 0, 2)
    assert takeover.begin() == (2, 0)
    assert takeover.end([], 0, 2)


def test_what_was_left_and_is_gone_again_is_not_waited_for() -> None:
    takeover = Takeover([FIRST])
    assert takeover.leaves(delivery(9), own=True)
    _, upto = takeover.begin()
    assert takeover.end([], upto, 10)


def test_what_was_committed_late_behind_its_page_is_put_at_once_and_once() -> None:
    takeover = Takeover([FIRST])
    takeover.end([delivery(3), delivery(5)], 0, 2)
    assert takeover.leaves(delivery(3), own=True)  # read already
    assert not takeover.leaves(delivery(4), own=True)


def test_only_what_was_there_before_is_old() -> None:
    takeover = Takeover([FIRST])
    takeover.leaves(delivery(2), own=False)
    assert takeover.is_old(delivery(8))
    takeover.leaves(delivery(8), own=True)
    assert takeover.is_old(delivery(7))
    assert not takeover.is_old(delivery(8))


async def test_what_ran_at_one_that_crashed_runs_one_at_a_time_and_is_charged() -> None:
    stage = Stage()
    async with crew(asking_app(), "a", "b", provide={Stage: stage}) as made:
        keys = [f"k{number}" for number in range(100)]
        mine = [key for key in keys if made.owner("t.ask", lane_name("t.ask", key)) == "b"][:3]
        asks = [Ask(key) for key in mine]
        stage.closes(*asks)
        for ask in asks:
            await made.engines["a"].send(ask)
        await made.rest()
        assert len(stage.now) == 3
        await made.crash("b")
        await made.rest()
        assert len(stage.now) == 1
        assert sorted(one.crashes for one in made.data.deliveries.values()) == [0, 0, 1]
        stage.opens(*asks)
        await made.settle()
        assert not made.data.deliveries


async def test_what_brings_one_after_another_down_is_given_up() -> None:
    stage = Stage()
    async with crew(asking_app(), "a", "b", "c", "d", "e", provide={Stage: stage}) as made:
        ask = Ask(asked_at(made, "b"))
        stage.closes(ask)
        await made.engines["a"].send(ask)
        await made.rest()
        for _ in range(MOST_CRASHES + 1):
            victim = made.owner("t.ask", lane_name("t.ask", ask.key))
            await made.crash(victim)
            await made.rest()
        (left,) = made.data.deliveries.values()
        assert (left.state, left.crashes) == ("parked", MOST_CRASHES)
        assert "running at 3 crashes" in (left.error or "")


async def test_many_are_taken_over_in_pages() -> None:
    stage, limits = Stage(), Limits(page=5, stop_within=1.0, hand_over_within=1.0)
    async with crew(asking_app(), "a", "b", provide={Stage: stage}, limits=limits) as made:
        await made.engines["a"].operator.pause("all", by="ann", reason="to pile it up")
        await made.settle()
        for number in range(200):
            await made.engines["a"].send(Ask(f"k{number % 20}", number))
        await made.rest()
        await made.leave("b")
        await made.engines["a"].operator.resume("all", by="ann", reason="go on")
        await made.finish()
        assert len(stage.ended) == 200
        for key in range(20):
            numbers = [ask.number for ask in stage.ended if ask.key == f"k{key}"]
            assert numbers == sorted(numbers)


class LateAnswers(MemoryStore):
    """What is written stands at once; the answer comes when the test lets it."""

    def __init__(self, data: MemoryData) -> None:
        super().__init__(data, shared=True)
        self.answers = asyncio.Event()
        self.answers.set()
        self.written = asyncio.Event()

    async def commit(self, commits: Sequence[Commit]) -> list[Rejected | None]:
        results = await super().commit(commits)
        self.written.set()
        await self.answers.wait()
        return results


async def test_what_was_read_before_its_own_commit_was_answered_comes_once() -> None:
    stage = Stage()
    async with crew(asking_app(), provide={Stage: stage}) as made:
        store = LateAnswers(made.data)
        engine = await made.join("a", store=store)
        await made.settle()
        team, ask = engine.team, Ask("k")
        assert team is not None
        stage.closes(ask)
        store.answers.clear()
        store.written.clear()
        sending = asyncio.create_task(engine.send(ask))
        await store.written.wait()
        await team.handover.give(team.ownership.held(), 0.0)
        team.membership.look()
        await until(lambda: stage.began)
        store.answers.set()
        await sending
        stage.opens(ask)
        await made.settle()
        assert stage.began == [ask]
        assert not made.data.deliveries


def test_apart_each_consumer_goes_on_where_all_of_them_were() -> None:
    takeover = Takeover([FIRST, Claim("c", 2, False), Claim("d", 1, False)])
    takeover.leaves(delivery(9), own=True)
    takeover.end([delivery(1), delivery(2)], 0, 2)
    c, d = takeover.apart(takeover.claims)
    assert (c.claims, c.suspect, d.claims, d.suspect) == ([("c", 1), ("c", 2)], {("c", 2)}, [("d", 1)], {("d", 1)})
    for part in (c, d):
        assert (part.begin(), part.has_read(2), part.is_old(delivery(8)), part.is_old(delivery(9))) == (
            (2, 9),
            True,
            True,
            False,
        )
    c.end([delivery(3)], 9, 2)
    assert (c.has_read(3), d.has_read(3)) == (True, False)


async def test_a_backlog_of_one_kind_that_is_taken_over_delays_no_other() -> None:
    stage, asks = Stage(), [Ask(f"{number}", number) for number in range(60)]
    limits = Limits(page=2, stop_within=1.0, hand_over_within=1.0)
    async with crew(two_kinds(), "a", provide={Stage: stage}, limits=limits) as made:
        seeding = made.engines["a"]
        await seeding.publish(Begun("old"))
        await made.settle()
        await seeding.operator.pause("all", by="me", reason="test")
        for one in asks:
            await seeding.send(one)
        await seeding.publish(Tick("old", 1))
        await made.settle()
        await made.leave("a")
        stage.closes(*asks)
        running = await made.join("b")
        await running.operator.resume("all", by="me", reason="test")
        await until(lambda: Ask("old", -1) in stage.ended)
        await running.publish(Begun("new"))
        await running.publish(Tick("new", 1))
        await until(lambda: Ask("new", -1) in stage.ended)
        assert running.team is not None
        assert running.team.takeovers.busy  # the other one is still being read
        stage.opens(*asks)
        await made.finish()
        assert not running.team.takeovers.busy
        assert {await running.status("t.quiet", key) for key in ("old", "new")} == {"completed"}
    assert sorted(one.number for one in stage.ended if one.number >= 0) == list(range(60))
    assert made.data.deliveries == {}


class LateReads(MemoryStore):
    """What is read for the handler of `Undo` alone is there late."""

    def __init__(self, data: MemoryData) -> None:
        super().__init__(data, shared=True)
        self.asked, self.there = asyncio.Event(), asyncio.Event()

    async def read_deliveries(self, *, after: int = 0, limit: int = 1000, of: Owned | None = None) -> list[Delivery]:
        found = await super().read_deliveries(after=after, limit=limit, of=of)
        if of is not None and "t.undo" in of and "t.ask" not in of:
            self.asked.set()
            await self.there.wait()
        return found


async def test_nor_what_comes_for_it_while_it_is_read() -> None:
    stage, asks = Stage(), [Ask(f"{number}", number) for number in range(60)]
    limits = Limits(page=2, stop_within=1.0, hand_over_within=1.0)
    async with crew(two_kinds(), "a", provide={Stage: stage}, limits=limits) as made:
        await made.engines["a"].operator.pause("all", by="me", reason="test")
        for one in asks:
            await made.engines["a"].send(one)
        await made.settle()
        await made.leave("a")
        stage.closes(*asks)
        store = LateReads(made.data)
        running = await made.join("b", store=store)
        await running.operator.resume("all", by="me", reason="test")
        await store.asked.wait()
        await running.publish(Begun("new"))
        await running.publish(Tick("new", 1))
        await until(lambda: any(one.consumer == "t.undo" for one in made.data.deliveries.values()))
        store.there.set()
        await until(lambda: Ask("new", -1) in stage.ended)  # the clock stands still: it waited for nothing
        stage.opens(*asks)
        await made.finish()
    assert made.data.deliveries == {}


async def test_what_others_send_does_not_fill_the_memory() -> None:
    """What a slow handler cannot take yet waits in the store, and comes in order."""
    stage, limits = Stage(), Limits(page=5, stop_within=1.0, hand_over_within=1.0)
    async with crew(asking_app(), "a", provide={Stage: stage}, limits=limits) as made:
        await made.join("b", works=False)
        asks = [Ask(f"k{number % 20}", number) for number in range(200)]
        stage.closes(*asks)
        for ask in asks:
            await made.engines["b"].send(ask)
            if ask.number % 7 == 0:
                await made.rest()
        await made.rest()
        assert made.engines["a"]._lanes.unfinished <= (PAGES + 2) * limits.page
        assert len(made.data.deliveries) == 200
        stage.opens(*asks)
        await made.finish()
        assert not made.data.deliveries
        assert len(stage.began) == 200
        for key in range(20):
            assert numbers(stage.ended, f"k{key}") == list(range(key, 200, 20))
        assert len(made.owned("a")["t.ask"]) == 256
        assert not made.engines["a"].team.takeovers.busy  # type: ignore[union-attr]


async def test_what_is_handled_fast_goes_on_beside_it() -> None:
    """Only the consumer that fills the memory is read in pages."""
    stage, limits, app = Stage(), Limits(page=5, stop_within=1.0, hand_over_within=1.0), asking_app()

    @app.handles(key="key")
    async def answer(command: Quick) -> Answered:
        return Answered(command.key)

    async with crew(app, "a", provide={Stage: stage}, limits=limits) as made:
        await made.join("b", works=False)
        asks = [Ask(f"k{number}", number) for number in range(60)]
        stage.closes(*asks)
        for ask in asks:
            await made.engines["b"].send(ask)
        await made.rest()
        assert made.engines["a"].team.takeovers.busy  # type: ignore[union-attr]
        for number in range(10):
            await made.engines["b"].send(Quick(f"q{number}"))
            await made.rest()
        assert sum(one.type == "t.Answered" for one in made.data.messages) == 10
        stage.opens(*asks)
        await made.finish()
        assert len(stage.ended) == 60
