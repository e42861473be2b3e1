"""Limits of handlers, as an engine applies them: what waits holds nothing up, and no slot or token gets lost."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from tests.engine.stage import Ask, Stage, Told, numbers, until
from tests.engine.test_recovery import Begun, doomed

from sagakit import App, AtOnce, Busy, Context, Rate, Refused, Retry, Saga
from sagakit.core.queries import InstanceQuery
from sagakit.engine.limits import Limits
from sagakit.stores.memory import MemoryStore
from sagakit.testing.manual import ManualEngine, engine

RETRY = Retry(3, first=1.0, factor=2.0, jitter=0.0)


def limited(*, at_once: Any = None, rate: Any = None, **options: Any) -> App:
    """The stage's app, its handler under these limits; and one beside it without any."""
    app = App("t")

    @app.handles(at_once=at_once, rate=rate, retry=RETRY, **options)
    async def ask(command: Ask, stage: Stage, context: Context) -> Told:
        stage.contexts.append(context)
        return await stage.play(command)

    return app


async def send_all(running: ManualEngine, asks: list[Ask]) -> None:
    for one in asks:
        await running.send(one)
    await running._breathe()


async def test_no_more_run_at_once_and_the_next_begins_when_one_has_ended() -> None:
    stage, asks = Stage(), [Ask("a", number) for number in range(5)]
    stage.closes(*asks)
    async with engine(limited(at_once=2), provide={Stage: stage}) as running:
        await send_all(running, asks)
        assert numbers(stage.began) == [0, 1]
        stage.opens(asks[1])
        await running._breathe()
        assert numbers(stage.began) == [0, 1, 2]
        stage.opens(*asks)
        await running.settle()
        assert (numbers(stage.began), stage.most) == ([0, 1, 2, 3, 4], 2)


async def test_a_key_has_slots_of_its_own() -> None:
    stage = Stage()
    asks = [Ask(key, number) for number in range(3) for key in "ab"]
    stage.closes(*asks)
    async with engine(limited(at_once=AtOnce(1, key="key")), provide={Stage: stage}) as running:
        await send_all(running, asks)
        assert stage.now == {Ask("a", 0), Ask("b", 0)}
        stage.opens(Ask("b", 0))
        await running._breathe()
        assert stage.now == {Ask("a", 0), Ask("b", 1)}
        stage.opens(*asks)
        await running.settle()
        assert (numbers(stage.ended, "a"), numbers(stage.ended, "b")) == ([0, 1, 2], [0, 1, 2])


async def test_a_key_and_the_whole_are_limited_both_and_keys_take_turns() -> None:
    stage = Stage()
    asks = [*(Ask("a", number) for number in range(6)), *(Ask("b", number) for number in range(2))]
    stage.closes(*asks)
    async with engine(limited(at_once=[3, AtOnce(2, key="key")]), provide={Stage: stage}) as running:
        await send_all(running, asks)
        assert stage.now == {Ask("a", 0), Ask("a", 1), Ask("b", 0)}
        for one in asks:
            stage.opens(one)
            await running._breathe()
            assert len(stage.now) <= 3
        await running.settle()
        assert (len(stage.ended), stage.most) == (8, 3)


async def test_tokens_come_evenly_and_nothing_looks_before_they_come() -> None:
    stage, asks = Stage(), [Ask("a", number) for number in range(5)]
    async with engine(limited(rate=Rate(2, per=1)), provide={Stage: stage}) as running:
        await send_all(running, asks)
        began = running.hand.now()
        assert numbers(stage.began) == [0]
        assert running.next_due == began + 500_000
        await running.advance(seconds=0.499)
        assert numbers(stage.began) == [0]
        await running.advance(seconds=0.001)
        assert numbers(stage.began) == [0, 1]
        await running.advance(seconds=1.0)
        assert numbers(stage.began) == [0, 1, 2, 3]
        await running.advance(seconds=10)
        assert (len(stage.began), running.next_due) == (5, None)


async def test_a_burst_begins_together_after_a_quiet_time() -> None:
    stage, asks = Stage(), [Ask("a", number) for number in range(12)]
    async with engine(limited(rate=Rate(1, per=1, burst=4)), provide={Stage: stage}) as running:
        await send_all(running, asks[:6])
        assert len(stage.began) == 4
        await running.advance(seconds=2)
        assert len(stage.began) == 6
        await running.advance(seconds=2)  # two tokens
        await send_all(running, asks[6:])
        assert len(stage.began) == 8


async def test_a_retry_takes_a_token_and_waiting_for_it_is_no_attempt() -> None:
    stage, first, second = Stage(), Ask("a", 1), Ask("a", 2)
    stage.will(first, RuntimeError("once"))
    async with engine(limited(rate=Rate(1, per=10)), provide={Stage: stage}) as running:
        await send_all(running, [first, second])
        await running.advance(seconds=1)  # the retry is due, and has no token
        assert numbers(stage.began) == [1]
        await running.advance(seconds=9)
        assert numbers(stage.began) == [1, 2]  # it waited before the retry did
        await running.advance(seconds=10)
        assert [
            (context.message_id == stage.contexts[0].message_id, context.attempt) for context in stage.contexts
        ] == [
            (True, 1),
            (False, 1),
            (True, 2),
        ]


async def test_what_fails_gives_its_slot_back() -> None:
    stage, asks = Stage(), [Ask("a", number) for number in range(3)]
    stage.will(asks[0], RuntimeError("once"))
    stage.will(asks[1], Refused("no"))
    async with engine(limited(at_once=1), provide={Stage: stage}) as running:
        await send_all(running, asks)
        assert numbers(stage.began) == [0, 1, 2]
        await running.advance(seconds=1)
        assert numbers(stage.began) == [0, 1, 2, 0]


async def test_a_lane_keeps_its_order_and_holds_up_no_other() -> None:
    stage = Stage()
    asks = [Ask("a", 0), Ask("a", 1), Ask("b", 0), Ask("c", 0)]
    stage.closes(*asks)
    async with engine(limited(key="key", at_once=2), provide={Stage: stage}) as running:
        await send_all(running, asks)
        assert stage.now == {Ask("a", 0), Ask("b", 0)}
        stage.opens(Ask("a", 0))
        await running._breathe()
        assert stage.now == {Ask("c", 0), Ask("b", 0)}  # it had waited for longer
        stage.opens(*asks)
        await running.settle()
        assert numbers(stage.ended, "a") == [0, 1]


async def test_what_waits_takes_no_worker() -> None:
    stage = Stage()
    app = limited(at_once=1)

    @app.on
    async def note(event: Told, stage: Stage) -> None:
        stage.ended.append(Ask("noted", event.number))

    asks = [Ask("a", number) for number in range(20)]
    stage.closes(asks[0])
    async with engine(app, provide={Stage: stage}, limits=Limits(at_once=2)) as running:
        await send_all(running, asks)
        await running.publish(Told("x", 7))
        await running._breathe()
        assert Ask("noted", 7) in stage.ended
        stage.opens(asks[0])


@dataclass(frozen=True)
class Call:
    tenant: str | None


async def test_a_message_without_the_value_is_not_held() -> None:
    app, gate, began = App("t"), asyncio.Event(), list[str | None]()

    @app.handles(at_once=AtOnce(1, key="tenant"))
    async def call(command: Call) -> Told:
        began.append(command.tenant)
        await gate.wait()
        return Told()

    async with engine(app) as running:
        for tenant in ("a", "a", None, None):
            await running.send(Call(tenant))
        await running._breathe()
        assert began == ["a", None, None]
        gate.set()
        await running.settle()
        assert len(began) == 4


async def test_a_thread_past_its_timeout_holds_its_slot_until_it_ends() -> None:
    app, inside, began = App("t"), asyncio.Event(), list[int]()
    loop = asyncio.get_running_loop()
    opened = asyncio.Event()

    @app.handles(at_once=1, timeout=1, retry=Retry(1))
    def ask(command: Ask) -> Told:
        began.append(command.number)
        loop.call_soon_threadsafe(inside.set)
        if command.number == 0:
            asyncio.run_coroutine_threadsafe(opened.wait(), loop).result()
        return Told()

    async with engine(app) as running:
        await running.send(Ask("a", 0))
        await inside.wait()
        await running.send(Ask("a", 1))
        await running.advance(seconds=1)
        deliveries = await running.store.read_deliveries()
        assert {one.state for one in deliveries} == {"parked", "ready"}
        assert began == [0]
        opened.set()
        await until(lambda: began == [0, 1])


async def test_a_paused_lane_holds_nothing_and_waits_again_when_it_goes_on() -> None:
    stage, asks = Stage(), [Ask("a", number) for number in range(3)]
    stage.closes(asks[0])
    async with engine(limited(at_once=1), provide={Stage: stage}) as running:
        await send_all(running, asks)
        await running.operator.pause("module", "t", by="me", reason="test")
        stage.opens(asks[0])
        await running._breathe()
        assert numbers(stage.began) == [0]
        await running.operator.resume("module", "t", by="me", reason="test")
        await running.settle()
        assert sorted(numbers(stage.began)) == [0, 1, 2]
        assert stage.most == 1


async def test_what_waits_when_the_engine_stops_goes_on_at_the_next_start() -> None:
    stage, store = Stage(), MemoryStore()
    asks = [Ask("a", number) for number in range(3)]
    app = limited(rate=Rate(1, per=10))
    async with engine(app, provide={Stage: stage}, store=store) as running:
        await send_all(running, asks)
    assert len(stage.began) == 1
    async with engine(app, provide={Stage: stage}, store=store.again()) as running:
        await running.advance(seconds=20)
    assert (numbers(stage.ended), [context.attempt for context in stage.contexts]) == ([0, 1, 2], [1, 1, 1])


async def test_a_suspect_that_waits_for_a_limit_holds_up_no_other_and_is_not_charged() -> None:
    stage, store = Stage(), MemoryStore()
    app = limited(rate=Rate(2, per=20, burst=2))

    @app.handles
    async def call(command: Call, stage: Stage) -> Told:
        return await stage.play(Ask("beside"))

    asks = [Ask("a", 0), Ask("a", 1), Ask("beside")]
    stage.closes(*asks)
    async with doomed(app, store, stage) as running:
        await send_all(running, asks[:2])
        await running.send(Call("x"))
        await until(lambda: len(stage.now) == 3)
    stage = Stage()
    one = limited(rate=Rate(1, per=10))
    one.handles(app.declared.handlers[-1].function)
    async with engine(one, provide={Stage: stage}, store=store.again()) as running:
        await running.settle()
        assert stage.ended == [Ask("a", 0), Ask("beside")]
        (waits,) = await running.store.read_deliveries()
        assert (waits.attempt, waits.crashes) == (1, 0)
        await running.advance(seconds=10)
        assert stage.ended[-1] == Ask("a", 1)


@pytest.mark.parametrize("reason", ["withdrawn", "timed out"])
async def test_what_is_given_up_while_it_waits_lets_the_next_one_through(reason: str) -> None:
    stage = Stage()
    app = limited(at_once=1)

    @app.saga(key="key")
    async def one_step(begun: Begun, saga: Saga) -> None:
        await saga.do(Ask(begun.key), then=Told, timeout=5)

    stage.closes(Ask("a"), Ask("c"))
    async with engine(app, provide={Stage: stage}) as running:
        await running.send(Ask("a"))
        for key in "bc":
            await running.publish(Begun(key))
            await running._breathe()
            await running.advance(seconds=2)
        if reason == "withdrawn":
            await running.cancel("t.one_step", "b", reason="test")
            await running._breathe()
        else:
            await running.advance(seconds=1)
        assert running._throttle.waiting == {"t.ask": 1}
        stage.opens(Ask("a"))
        await running._breathe()
        assert stage.now == {Ask("c")}
        stage.opens(Ask("c"))
        await running.settle()
        assert Ask("b") not in stage.began
        assert await running.status("t.one_step", "b") == "compensated"
        assert await running.status("t.one_step", "c") == "completed"


async def test_an_operator_may_have_a_lane_that_waits_and_it_waits_again() -> None:
    stage, asks = Stage(), [Ask("a", number) for number in range(3)]
    stage.closes(asks[0])
    async with engine(limited(at_once=1), provide={Stage: stage}) as running:
        await send_all(running, asks)
        waiting = (await running.store.read_deliveries())[1]
        lane = await running._lanes.claim(waiting.lane)
        assert running._throttle.waiting == {"t.ask": 1}
        stage.opens(asks[0])
        await running._breathe()
        assert numbers(stage.began) == [0, 2]
        running._lanes.release(lane)
        await running.settle()
        assert numbers(stage.began) == [0, 2, 1]


async def test_explain_says_which_limit_it_waits_for_since_when_and_who_lets_it_through() -> None:
    stage = Stage()
    app = limited(at_once=[5, AtOnce(1, key="key")])

    @app.saga(key="key")
    async def one_step(begun: Begun, saga: Saga) -> None:
        await saga.do(Ask("a"), then=Told)

    stage.closes(Ask("a"))
    async with engine(app, provide={Stage: stage}) as running:
        await running.send(Ask("a"))
        await running._breathe()
        await running.advance(seconds=5)
        await running.publish(Begun("x"))
        await running._breathe()
        (listed,) = await running.store.read_instances(InstanceQuery())
        said = await running.operator.explain(listed.row.id)
        assert said.situation == "waiting_for_limit"
        assert said.why == (
            "t.Ask waits since 2026-01-01 00:00:05 UTC for a limit of t.ask: at most 1 at once for each key (here 'a')"
        )
        assert said.since == running.hand.now()
        assert said.who.startswith("nobody: it begins by itself, when others have ended")
        waiting = (await running.store.read_deliveries())[-1]
        _, told = await running.operator.explain_delivery(waiting.id)
        assert (told.situation, told.why) == ("waiting_for_limit", said.why)
        assert (await running.standing()).limited == {"t.ask": 1}
        stage.opens(Ask("a"))
        await running.settle()
        assert (await running.standing()).limited == {}


async def test_explain_says_when_the_next_token_comes() -> None:
    stage = Stage()
    async with engine(limited(rate=Rate(6, per=60)), provide={Stage: stage}) as running:
        await send_all(running, [Ask("a", 0), Ask("a", 1)])
        (waiting,) = await running.store.read_deliveries()
        _, told = await running.operator.explain_delivery(waiting.id)
        assert told.who.startswith("nobody: it begins by itself, at 2026-01-01 00:00:10 UTC at the earliest")
        assert "at most 6 in 60 s" in told.why


async def test_what_waits_for_a_limit_closes_no_door_until_it_is_very_much() -> None:
    stage = Stage()
    asks = [Ask("a", number) for number in range(30)]
    stage.closes(asks[0])
    async with engine(limited(at_once=1), provide={Stage: stage}, limits=Limits(unfinished=10)) as running:
        await send_all(running, asks[:20])  # ten that wait, and ten that count
        with pytest.raises(Busy):
            await running.send(asks[20])
        assert (await running.standing()).unfinished == 20
        stage.opens(asks[0])
        await running.settle()
        await running.send(asks[-1])
        await running.settle()
        assert len(stage.ended) == 21
