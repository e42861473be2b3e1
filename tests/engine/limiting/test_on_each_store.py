"""Limits and turns where an engine starts on what another one has left, on each kind of store."""

from __future__ import annotations

from tests.each_store import ON_EACH_STORE, new_store
from tests.engine.limiting.test_throttle import limited
from tests.engine.stage import Ask, Stage, numbers, until
from tests.engine.test_recovery import Begun, Tick, two_kinds

from sagakit import AtOnce, Rate
from sagakit.engine.limits import Limits
from sagakit.testing.manual import engine

pytestmark = ON_EACH_STORE

WHO = {"by": "me", "reason": "test"}


async def test_limits_hold_after_a_restart_and_nothing_is_lost() -> None:
    stage, store = Stage(), new_store()
    app = limited(at_once=[3, AtOnce(2, key="key")], rate=Rate(4, per=1, burst=4))
    asks = [Ask("ab"[number % 2], number) for number in range(9)]
    async with engine(app, provide={Stage: stage}, store=store) as running:
        await running.operator.pause("all", **WHO)
        for one in asks:
            await running.send(one)
        clock = running.hand
    stage.closes(*asks)
    async with engine(app, provide={Stage: stage}, store=store.again(), clock=clock) as running:
        await running.operator.resume("all", **WHO)
        await until(lambda: len(stage.now) == 3)
        assert sorted(one.key for one in stage.now) in (["a", "a", "b"], ["a", "b", "b"])
        stage.opens(*asks)
        await until(lambda: len(stage.ended) == 4)  # no fifth token
        await running.advance(seconds=10)
        await running.settle()
        assert sorted(numbers(stage.ended)) == list(range(9))
        assert {context.attempt for context in stage.contexts} == {1}
        assert stage.most <= 3


async def test_a_backlog_of_one_type_delays_no_other_after_a_restart() -> None:
    stage, store = Stage(), new_store()
    asks = [Ask(f"{number}", number) for number in range(60)]
    limits = Limits(page=2, stop_within=1.0, hand_over_within=1.0)
    async with engine(two_kinds(), provide={Stage: stage}, store=store, limits=limits) as running:
        await running.publish(Begun("old"))
        await running.settle()
        await running.operator.pause("all", **WHO)
        for one in asks:
            await running.send(one)
        await running.publish(Tick("old", 1))
        clock = running.hand
    stage.closes(*asks)
    again = store.again()
    async with engine(two_kinds(), provide={Stage: stage}, store=again, clock=clock, limits=limits) as running:
        await running.operator.resume("all", **WHO)
        await until(lambda: Ask("old", -1) in stage.ended)
        await running.publish(Begun("new"))
        await running.publish(Tick("new", 1))
        await until(lambda: Ask("new", -1) in stage.ended)
        assert len(stage.began) < len(asks)  # most of the others are not even read
        stage.opens(*asks)
        await running.advance(seconds=60)
        await running.settle()
        assert sorted(one.number for one in stage.ended if one.number >= 0) == list(range(60))
        assert {await running.status("t.quiet", key) for key in ("old", "new")} == {"completed"}
