"""Watching an instance: where it stands, every reaction, its end; and going on from a cursor."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest
from tests.each_store import ON_EACH_STORE, new_store, only_on
from tests.engine.stage import Ask, Declined, Stage, Told, until
from tests.engine.watching.watched import (
    FIRST,
    SECOND,
    Begun,
    Nudged,
    TakenBack,
    counting,
    shown,
    taken,
    two_steps,
    waits_for,
)

from sagakit import App, CursorGone, NotFound, Saga, Stopping, TerminalError, WaitTimeout
from sagakit.core.lifecycle import CancelRequested
from sagakit.engine.limits import Limits
from sagakit.engine.watching.updates import MOST
from sagakit.testing.manual import ManualEngine, engine

pytestmark = ON_EACH_STORE

DONE = [
    ("running", "t.Ask", "Begun"),
    ("running", "t.Ask", "Told"),
    ("completed", "", "Told"),
]
UNDONE = [
    ("running", "t.Ask", "Begun"),
    ("running", "t.Ask", "Told"),
    ("undoing", "undoing t.Ask", "Declined"),
    ("compensated", "", "TakenBack"),
]


async def test_where_it_stands_then_every_update_then_the_end() -> None:
    stage = Stage()
    stage.closes(FIRST, SECOND)
    async with engine(two_steps(), provide={Stage: stage}) as running:
        await running.publish(Begun())
        async with aclosing(running.watch("t.ask_twice", "a")) as updates:
            assert shown(await anext(updates)) == ("running", "t.Ask", None)
            stage.opens(FIRST)
            update = await anext(updates)
            assert (shown(update), update.event, update.cursor) == (DONE[1], Told("a", 1), "2")
            stage.opens(SECOND)
            assert shown(await anext(updates)) == DONE[2]
            with pytest.raises(StopAsyncIteration):
                await anext(updates)
        assert not waits_for(running)


async def test_the_undoing_of_it() -> None:
    stage = Stage()
    stage.closes(FIRST)
    stage.will(SECOND, Declined("a", "no"))
    async with engine(two_steps(), provide={Stage: stage}) as running:
        await running.publish(Begun())
        watched = running.watch("t.ask_twice", "a")
        updates = [await anext(watched)]
        stage.opens(FIRST)
        updates += await taken(watched)
    assert [shown(update) for update in updates] == [("running", "t.Ask", None), *UNDONE[1:]]
    assert updates[-1].event == TakenBack("a", 1)


async def test_what_has_ended_is_told_at_once() -> None:
    async with engine(two_steps(), provide={Stage: Stage()}) as running:
        await running.publish(Begun())
        await running.settle()
        assert [shown(update) for update in await taken(running.watch("t.ask_twice", "a"))] == [("completed", "", None)]


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize(("answer", "told"), [(Told("a", 2), DONE), (Declined("a", "no"), UNDONE)])
async def test_a_cursor_goes_on_where_it_was_left(answer: Any, told: list[Any], restarted: bool) -> None:
    stage, store = Stage(), new_store()
    stage.will(SECOND, answer)
    async with engine(two_steps(), store=store, provide={Stage: stage}) as running:
        await running.publish(Begun())
        await running.settle()
        await _check_cursors(running, told) if not restarted else None
    async with engine(two_steps(), store=store.again(), provide={Stage: stage}) as running:
        await _check_cursors(running, told)


async def _check_cursors(running: ManualEngine, told: list[Any]) -> None:
    for after in range(len(told) + 1):
        updates = await taken(running.watch("t.ask_twice", "a", after=str(after)))
        assert [shown(update) for update in updates] == told[after:]
        assert [update.cursor for update in updates] == [str(number + 1) for number in range(after, len(told))]
        assert all(update.skipped == 0 for update in updates)


async def test_first_what_was_missed_then_live() -> None:
    stage = Stage()
    stage.closes(SECOND)
    async with engine(two_steps(), provide={Stage: stage}) as running:
        await running.publish(Begun())
        await until(lambda: SECOND in stage.now)
        async with aclosing(running.watch("t.ask_twice", "a", after="1")) as updates:
            assert shown(await anext(updates)) == DONE[1]
            coming = asyncio.ensure_future(anext(updates))
            await running.advance(seconds=1)
            assert not coming.done()
            stage.opens(SECOND)
            assert shown(await coming) == DONE[2]


async def test_nothing_is_told_twice_that_comes_while_the_missed_is_told() -> None:
    stage = Stage()
    stage.closes(SECOND)
    async with engine(two_steps(), provide={Stage: stage}) as running:
        await running.publish(Begun())
        await until(lambda: SECOND in stage.now)
        async with aclosing(running.watch("t.ask_twice", "a", after="0")) as updates:
            seen = [await anext(updates)]
            stage.opens(SECOND)
            await running.settle()
            seen += await taken(updates)
    assert [shown(update) for update in seen] == DONE


async def test_reactions_of_one_commit_are_told_one_by_one() -> None:
    async with engine(counting()) as running:
        await running.publish(Begun())
        lane = running._lanes.find(next(iter(running._lanes._lanes)))
        assert lane is not None
        async with aclosing(running.watch("t.count", "a")) as updates:
            await anext(updates)
            lane.busy = True  # as if something of it were being written
            for number in range(3):
                await running.publish(Nudged("a", number))
            running._lanes.release(lane)
            await running.settle()
            told = [await anext(updates) for _ in range(3)]
        assert [(update.event, update.cursor) for update in told] == [
            (Nudged("a", number), str(number + 2)) for number in range(3)
        ]
        again = running.watch("t.count", "a", after="1")
        assert [await anext(again) for _ in range(3)] == told
        await again.aclose()


async def test_what_parks_is_told_without_an_event() -> None:
    async with engine(counting()) as running:
        await running.publish(Begun())
        async with aclosing(running.watch("t.count", "a")) as updates:
            await anext(updates)
            await running.publish(Nudged("a", 13))
            assert shown(await anext(updates)) == ("parked", "", None)
        async with aclosing(running.watch("t.count", "a", after="1")) as updates:
            update = await anext(updates)
            assert (shown(update), update.cursor, update.skipped) == (("parked", "", None), "2", 0)


async def test_a_slow_one_skips_to_the_newest_and_is_told_so() -> None:
    async with engine(counting()) as running:
        await running.publish(Begun())
        async with aclosing(running.watch("t.count", "a")) as updates:
            assert (await anext(updates)).cursor == "1"
            for number in range(MOST + 21):
                await running.publish(Nudged("a", 1000 + number))
                await running.settle()
            first = await anext(updates)
            assert (first.cursor, first.skipped) == (str(MOST + 2), MOST)
            rest = [await anext(updates) for _ in range(20)]
            assert [update.cursor for update in rest] == [str(MOST + 3 + number) for number in range(20)]
            assert not any(update.skipped for update in rest)


@pytest.mark.parametrize(
    ("after", "why"),
    [
        ("7", r"after='7' is ahead of it: go on from there"),
        ("-1", "is no cursor of an instance"),
        ("x", "is no cursor of an instance"),
        ("", "is no cursor of an instance"),
        ("٣", "is no cursor of an instance"),
        ("9" * 30, "is no cursor of an instance"),
    ],
)
async def test_a_cursor_that_is_none_is_told_so_with_where_it_stands(after: str, why: str) -> None:
    async with engine(two_steps(), provide={Stage: Stage()}) as running:
        await running.publish(Begun())
        await running.settle()
        with pytest.raises(CursorGone, match=why) as gone:
            await anext(running.watch("t.ask_twice", "a", after=after))
        assert shown(gone.value.current) == ("completed", "", None)
        assert gone.value.current.cursor == "3"
        assert "t.ask_twice 'a' is at cursor 3" in str(gone.value)


@only_on("memory", because="its data are changed behind its back")
async def test_so_is_one_past_what_is_kept() -> None:
    store = new_store()
    async with engine(two_steps(), store=store, provide={Stage: Stage()}) as running:
        await running.publish(Begun())
        await running.settle()
        (history,) = store.data.reactions.values()
        del history[:2]
        with pytest.raises(CursorGone, match=r"after='1' is no longer kept: its history begins at 3") as gone:
            await anext(running.watch("t.ask_twice", "a", after="1"))
        assert gone.value.current.status == "completed"
        assert [shown(update) for update in await taken(running.watch("t.ask_twice", "a", after="2"))] == [DONE[2]]


@only_on("memory", because="its data are changed behind its back")
async def test_what_has_lost_its_beginning_skips_to_where_it_stands() -> None:
    store = new_store()
    async with engine(two_steps(), store=store, provide={Stage: Stage()}) as running:
        await running.publish(Begun())
        await running.settle()
        (history,) = store.data.reactions.values()
        del history[:1]
        (update,) = await taken(running.watch("t.ask_twice", "a", after="1"))
        assert (shown(update), update.cursor, update.skipped) == (DONE[2], "3", 1)


async def test_code_that_contradicts_its_history_skips_to_where_it_stands() -> None:
    store = new_store()
    async with engine(two_steps(), store=store, provide={Stage: Stage()}) as running:
        await running.publish(Begun())
        await running.settle()

    changed = App("t")

    @changed.handles
    async def ask(command: Ask) -> Told | Declined:
        return Told(command.key)

    @changed.saga(key="key")
    async def ask_twice(begun: Begun, saga: Saga) -> None:
        await saga.do(Ask(begun.key), then=Told)
        raise ValueError("another code")

    async with engine(changed, store=store.again()) as running:
        told = [(shown(update), update.skipped) for update in await taken(running.watch(ask_twice, "a", after="0"))]
        assert told == [(DONE[0], 0), (DONE[2], 1)]


@only_on("memory", because="its data are changed behind its back")
async def test_a_message_whose_class_is_gone_does_so_too() -> None:
    store = new_store()
    async with engine(two_steps(), store=store, provide={Stage: Stage()}) as running:
        await running.publish(Begun())
        await running.settle()
        (story,) = store.data.stories.values()
        story[0].type = "t.Gone"
        (update,) = await taken(running.watch("t.ask_twice", "a", after="0"))
        assert (shown(update), update.skipped) == (DONE[2], 2)


async def test_a_long_history_is_read_in_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sagakit.engine.watching.instances.HISTORY_PAGE", 2)
    async with engine(two_steps(), provide={Stage: Stage()}) as running:
        await running.publish(Begun())
        await running.settle()
        assert [shown(update) for update in await taken(running.watch("t.ask_twice", "a", after="0"))] == DONE


async def test_a_cancel_is_told() -> None:
    stage = Stage()
    stage.closes(FIRST)
    async with engine(two_steps(), provide={Stage: stage}) as running:
        await running.publish(Begun())
        async with aclosing(running.watch("t.ask_twice", "a")) as updates:
            await anext(updates)
            await running.cancel("t.ask_twice", "a", reason="enough")
            update = await anext(updates)
            assert (update.status, update.event) == ("undoing", CancelRequested("enough"))


async def test_what_is_not_there() -> None:
    async with engine(two_steps(), provide={Stage: Stage()}) as running:
        with pytest.raises(NotFound, match=r"there is no t\.ask_twice with key 'a'"):
            await anext(running.watch("t.ask_twice", "a"))
        with pytest.raises(NotFound, match="is no process of this app"):
            running.watch("t.other", "a")
        with pytest.raises(NotFound, match=r"there is no t\.ask_twice"):
            await running.wait("t.ask_twice", "a")
        with pytest.raises(TypeError, match="a process and a key, or correlation_id="):
            running.watch()  # type: ignore[call-overload]
        assert not waits_for(running)


async def test_several_watch_and_those_who_leave_are_forgotten() -> None:
    stage = Stage()
    stage.closes(FIRST)
    async with engine(two_steps(), provide={Stage: stage}) as running:
        await running.publish(Begun())
        first, second = running.watch("t.ask_twice", "a"), running.watch("t.ask_twice", "a")
        await anext(first)
        await anext(second)
        await first.aclose()
        stage.opens(FIRST)
        assert [shown(update) for update in await taken(second)] == DONE[1:]
        assert not waits_for(running)


async def test_an_engine_that_stops_tells_those_who_watch() -> None:
    stage = Stage()
    stage.closes(FIRST)
    async with engine(two_steps(), provide={Stage: stage}, limits=Limits(stop_within=0.01)) as running:
        await running.publish(Begun())
        updates = running.watch("t.ask_twice", "a")
        await anext(updates)
        coming = asyncio.ensure_future(anext(updates))
        await asyncio.sleep(0)
    with pytest.raises(Stopping, match="may still come"):
        await coming
    with pytest.raises(Stopping):
        await anext(running.watch("t.ask_twice", "a"))


async def test_watches_end_before_the_engine_does() -> None:
    stage = Stage()
    stage.closes(FIRST)
    async with engine(two_steps(), provide={Stage: stage}) as running:
        await running.publish(Begun())
        waiting = asyncio.create_task(running.wait("t.ask_twice", "a"))
        expecting = asyncio.create_task(running.send_and_wait(Ask("b"), until=Told))
        await until(lambda: waits_for(running))
        running.end_watches()
        with pytest.raises(Stopping, match="watch again from your cursor"):
            await waiting
        assert await expecting == Told("b")
        stage.opens(FIRST)


# ---------------------------------------------------------------------- waiting for the end


async def test_the_end_of_an_instance() -> None:
    stage = Stage()
    stage.closes(FIRST)
    stage.will(SECOND, Declined("a", "no"))
    async with engine(two_steps(), provide={Stage: stage}) as running:
        await running.publish(Begun())
        waiting = asyncio.create_task(running.wait("t.ask_twice", "a"))
        await until(lambda: waits_for(running))
        stage.opens(FIRST)
        assert shown(await waiting) == UNDONE[-1]
        assert shown(await running.wait("t.ask_twice", "a")) == ("compensated", "", None)


async def test_an_end_that_does_not_come_in_time() -> None:
    stage = Stage()
    stage.closes(FIRST)
    async with engine(two_steps(), provide={Stage: stage}) as running:
        await running.publish(Begun())
        waiting = asyncio.create_task(running.wait("t.ask_twice", "a", timeout=5))
        await running.advance(seconds=4.999)
        assert not waiting.done()
        await running.advance(seconds=0.001)
        with pytest.raises(WaitTimeout, match=r"t\.ask_twice 'a' has not ended within 5 s"):
            await waiting
        assert not waits_for(running)
        stage.opens(FIRST)
        await running.settle()
        assert await running.status("t.ask_twice", "a") == "completed"


async def test_one_may_wait_for_an_instance_that_is_still_to_begin() -> None:
    stage = Stage()
    async with engine(two_steps(), provide={Stage: stage}) as running:
        in_vain = asyncio.create_task(running.wait("t.ask_twice", "a", timeout=5, begun=False))
        waiting = asyncio.create_task(running.wait("t.ask_twice", "a", timeout=6, begun=False))
        await until(lambda: running._watching.waiters == 2)
        await running.advance(seconds=5)
        with pytest.raises(WaitTimeout, match=r"t\.ask_twice 'a' has not ended within 5 s"):
            await in_vain
        await running.publish(Begun())
        assert shown(await waiting) == DONE[2]
        assert (await running.wait("t.ask_twice", "a", begun=False)).status == "completed"
        ends = asyncio.create_task(running.wait("t.ask_twice", "b", begun=False))
        await until(lambda: waits_for(running))
        running.end_watches()
        with pytest.raises(Stopping):
            await ends
        assert not waits_for(running)


class Broken(TerminalError):
    pass


async def test_while_deliveries_wait_in_the_store_unread() -> None:
    stage, store = Stage(), new_store()
    stage.closes(FIRST, Ask("b", 1))
    async with engine(two_steps(), store=store, provide={Stage: stage}, limits=Limits(stop_within=0.01)) as running:
        await running.publish(Begun("b"))
        await running.publish(Begun("a"))
        await until(lambda: len(stage.now) == 2)
    store, limits = store.again(), Limits(page=1, at_once=1)
    async with engine(two_steps(), store=store, provide={Stage: stage}, limits=limits) as running:
        watched = running.watch("t.ask_twice", "a")
        first = await anext(watched)
        stage.opens(FIRST, Ask("b", 1))
        updates = [first, *await taken(watched)]
        assert [shown(update) for update in updates] == [("running", "t.Ask", None), *DONE[1:]]
