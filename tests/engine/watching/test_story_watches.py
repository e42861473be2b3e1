"""Watching a story: how it stands, every message of it, its end; and going on from a position."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from tests.each_store import ON_EACH_STORE, new_store, only_on
from tests.engine.stage import Stage, until
from tests.engine.watching.chain import Declined, Place, Placed, Script, chain
from tests.engine.watching.watched import Begun, Nudged, counting, taken, two_steps

from sagakit import CursorGone, NotFound, Stopping, TerminalError, Update
from sagakit.engine.limits import Limits
from sagakit.engine.watching.updates import MOST
from sagakit.testing.manual import engine

CURSORS = "its cursors are written out, and positions on PostgreSQL have gaps"
pytestmark = ON_EACH_STORE

TYPES = ["c.Place", "c.Placed", "c.Charge", "c.Charged", "c.Finalize", "c.PaymentFinalized"]


class Broken(TerminalError):
    pass


def types(updates: list[Update]) -> list[str]:
    return [update.state for update in updates]


def statuses(updates: list[Update]) -> list[str]:
    return [update.status for update in updates]


@only_on("memory", "sqlite", because=CURSORS)
async def test_how_it_stands_then_every_message_then_the_end() -> None:
    script = Script(closed={"Charge"})
    async with engine(chain(), provide={Script: script}) as running:
        receipt = await running.send(Place())
        await until(lambda: "Charge" in script.began)
        async with aclosing(running.watch(correlation_id=receipt.correlation_id)) as updates:
            assert await anext(updates) == Update("running", "", None, "3")
            coming = asyncio.ensure_future(anext(updates))
            await running.advance(seconds=1)
            assert not coming.done()
            script.gates["Charge"].set()
            told = [await coming, *await taken(updates)]
        assert types(told) == TYPES[3:]
        assert statuses(told) == ["running", "running", "ended"]
        assert [update.cursor for update in told] == ["4", "5", "6"]
        assert not running._watching


@only_on("memory", "sqlite", because=CURSORS)
async def test_the_end_may_come_without_a_message() -> None:
    script = Script(closed={"Mailed"})
    async with engine(chain(), provide={Script: script}) as running:
        receipt = await running.send(Place())
        await until(lambda: "Finalize" in script.began)
        async with aclosing(running.watch(correlation_id=receipt.correlation_id)) as updates:
            await running.advance(seconds=1)
            assert await anext(updates) == Update("running", "", None, "6")
            script.gates["Mailed"].set()
            assert await taken(updates) == [Update("ended", "", None, "6")]


@only_on("memory", "sqlite", because=CURSORS)
async def test_what_is_over_is_told_at_once() -> None:
    async with engine(chain(), provide={Script: Script()}) as running:
        receipt = await running.send(Place())
        await running.settle()
        assert await taken(running.watch(correlation_id=receipt.correlation_id)) == [Update("ended", "", None, "6")]


@only_on("memory", "sqlite", because=CURSORS)
@pytest.mark.parametrize("restarted", [False, True])
async def test_a_cursor_goes_on_where_it_was_left(restarted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sagakit.engine.watching.looking_back.STORY_PAGE", 4)
    store = new_store()
    async with engine(chain(), store=store, provide={Script: Script()}) as running:
        receipt = await running.send(Place())
        await running.settle()
    if restarted:
        store = store.again()
    async with engine(chain(), store=store, provide={Script: Script()}) as running:
        for after in range(len(TYPES) + 1):
            updates = await taken(running.watch(correlation_id=receipt.correlation_id, after=str(after)))
            assert types(updates) == TYPES[after:]
            assert statuses(updates) == ["running"] * (len(TYPES) - after - 1) + ["ended"] * (after < len(TYPES))
        first = await anext(running.watch(correlation_id=receipt.correlation_id, after="1"))
        assert first.event == Placed("a")


async def test_first_what_was_missed_then_live() -> None:
    script = Script(closed={"Charge"})
    async with engine(chain(), provide={Script: script}) as running:
        receipt = await running.send(Place())
        await until(lambda: "Charge" in script.began)
        async with aclosing(running.watch(correlation_id=receipt.correlation_id, after="1")) as updates:
            told = [await anext(updates)]
            script.gates["Charge"].set()
            await running.settle()
            told += await taken(updates)
        assert types(told) == TYPES[1:]
        assert statuses(told) == ["running"] * 4 + ["ended"]


@only_on("memory", "sqlite", because=CURSORS)
async def test_it_waits_for_a_person_until_one_comes() -> None:
    script, store = Script(answers={"Charge": Broken("no card")}), new_store()
    async with engine(chain(), store=store, provide={Script: script}) as running:
        receipt = await running.send(Place())
        updates = running.watch(correlation_id=receipt.correlation_id)
        told = [await anext(updates)]
        while told[-1].status == "running":
            told.append(await anext(updates))
        assert told[-1] == Update("parked", "", None, "3")
        await updates.aclose()
        again = running.watch(correlation_id=receipt.correlation_id)
        assert (await anext(again)).status == "parked"
        (parked,) = await store.read_deliveries()
        script.answers.clear()
        await running.operator.act_on_delivery(parked.id, "retry", by="ann", reason="the card is there")
        told = await taken(again)
        assert types(told)[-3:] == TYPES[3:]
        assert told[-1].status == "ended"


@only_on("memory", "sqlite", because=CURSORS)
async def test_with_its_instances() -> None:
    stage = Stage()
    async with engine(counting()) as running:
        receipt = await running.publish(Begun())
        async with aclosing(running.watch(correlation_id=receipt.correlation_id)) as updates:
            assert (await anext(updates)).status == "running"  # its instance is live
    async with engine(two_steps(), provide={Stage: stage}) as running:
        receipt = await running.publish(Begun())
        updates = await taken(running.watch(correlation_id=receipt.correlation_id, after="0"))
        assert types(updates) == ["t.Begun", "t.Ask", "t.Told", "t.Ask", "t.Told"]
        assert updates[-1].status == "ended"


@only_on("memory", "sqlite", because=CURSORS)
async def test_an_instance_that_waits_for_a_person() -> None:
    async with engine(counting()) as running:
        begun = await running.publish(Begun())
        updates = running.watch(correlation_id=begun.correlation_id)
        assert (await anext(updates)).status == "running"
        unlucky = await running.publish(Nudged("a", 13))
        assert (await anext(updates)).status == "parked"
        await updates.aclose()
        for story in (begun, unlucky):
            async with aclosing(running.watch(correlation_id=story.correlation_id)) as updates:
                assert (await anext(updates)).status == "parked"


async def test_a_slow_one_skips_to_the_newest_and_is_told_so() -> None:
    async with engine(counting()) as running:
        watcher_of = running._watching._stories
        begun = await running.publish(Begun())
        async with aclosing(running.watch(correlation_id=begun.correlation_id)) as updates:
            await anext(updates)
            (watcher,) = watcher_of.get(begun.correlation_id, tracked=True).watchers
            for number in range(MOST + 1):
                watcher.tell(number + 10, Update("running", "t.Nudged", Nudged("a", number), str(number + 10)))
            update = await anext(updates)
            assert (update.cursor, update.skipped) == (str(MOST + 10), MOST)


@only_on("memory", "sqlite", because=CURSORS)
@pytest.mark.parametrize(("after", "why"), [("7", "is ahead of it"), ("x", "is no cursor of a story")])
async def test_a_cursor_that_is_none_is_told_so_with_how_it_stands(after: str, why: str) -> None:
    async with engine(chain(), provide={Script: Script()}) as running:
        receipt = await running.send(Place())
        await running.settle()
        with pytest.raises(CursorGone, match=f"the story is at cursor 6, and after='{after}' {why}") as gone:
            await anext(running.watch(correlation_id=receipt.correlation_id, after=after))
        assert gone.value.current == Update("ended", "", None, "6")


@only_on("memory", because="its data are changed behind its back")
async def test_so_is_one_past_what_is_kept() -> None:
    store = new_store()
    async with engine(chain(), store=store, provide={Script: Script()}) as running:
        receipt = await running.send(Place())
        await running.settle()
        (story,) = store.data.stories.values()
        del story[:3]
        with pytest.raises(CursorGone, match="is no longer kept: the log has it from 4 on"):
            await anext(running.watch(correlation_id=receipt.correlation_id, after="2"))
        updates = await taken(running.watch(correlation_id=receipt.correlation_id, after="3"))
        assert types(updates) == TYPES[3:]


async def test_what_is_not_there() -> None:
    async with engine(chain(), provide={Script: Script()}) as running:
        with pytest.raises(NotFound, match="there is no story 'nobody'"):
            await anext(running.watch(correlation_id="nobody"))
        assert not running._watching


@only_on("memory", because="its data are changed behind its back")
async def test_a_message_whose_class_is_gone_is_told_by_its_name() -> None:
    store = new_store()
    async with engine(chain(), store=store, provide={Script: Script()}) as running:
        receipt = await running.send(Place())
        await running.settle()
        (story,) = store.data.stories.values()
        story[1].type = "c.Gone"
        updates = await taken(running.watch(correlation_id=receipt.correlation_id, after="0"))
        assert (updates[1].state, updates[1].event) == ("c.Gone", None)


async def test_an_engine_that_stops_tells_those_who_watch() -> None:
    script = Script(closed={"Charge"})
    async with engine(chain(), provide={Script: script}, limits=Limits(stop_within=0.01)) as running:
        receipt = await running.send(Place())
        updates = running.watch(correlation_id=receipt.correlation_id)
        await anext(updates)
        running.end_watches()
        with pytest.raises(Stopping, match="watch again from your cursor"):
            await taken(updates)
        with pytest.raises(Stopping, match="watch again from your cursor"):
            await anext(running.watch(correlation_id=receipt.correlation_id))
        script.answers["Charge"] = Declined("a")
        script.gates["Charge"].set()
