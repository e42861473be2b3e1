"""Participants answer later: one outcome, whatever crashes, is doubled, early or late; explain says who has what."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.engine.doors.test_answering import (
    WAYS,
    Charge,
    Charged,
    Declined,
    Handed,
    Order,
    Refund,
    Refunded,
    Way,
    answer,
    paying,
)

from sagakit import App, Context, Doors, Later, Saga
from sagakit.core.streams import instance_id
from sagakit.errors import RetryableError
from sagakit.testing import Trial, crash_everywhere
from sagakit.testing.manual import engine


@dataclass
class Bank:
    """A participant on a queue of its own, which outlives every engine; it answers twice."""

    declines: bool = False
    fails: bool = False
    queue: dict[str, tuple[object, str]] = field(default_factory=dict[str, tuple[object, str]])
    done: dict[str, object] = field(default_factory=dict[str, object])
    came: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, command: object, context: Context) -> Later:
        self.queue.setdefault(context.message_id, (command, context.correlation_id))
        self.came.set()
        return Later("the bank")

    def work(self, command: object) -> object | None:
        if isinstance(command, Refund):
            return Refunded(command.key)
        assert isinstance(command, Charge)
        return None if self.fails else Declined(command.key) if self.declines else Charged(command.key)


class Wire:
    """Brings the bank's answers to whichever engine runs; one that was not taken is brought again."""

    name = "wire"
    bank: Bank

    async def run(self, doors: Doors) -> None:
        while True:
            self.bank.came.clear()
            for id, (command, story) in list(self.bank.queue.items()):
                outcome = self.bank.work(command)
                failed = None if outcome is not None else "the bank is broken"
                events: tuple[Any, ...] = () if outcome is None else (outcome,)
                try:
                    for _ in range(2):
                        await doors.answer(id, *events, correlation_id=story, failed=failed, message_id=f"re {id}")
                except RetryableError:
                    await asyncio.sleep(0)
                    break
                self.bank.done[id] = outcome
                del self.bank.queue[id]
            else:
                await self.bank.came.wait()

    def ready(self) -> None:
        return None


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("script", ["done", "declined", "failed"])
def test_one_outcome_whatever_crashes(way: Way, script: str) -> None:
    wire = Wire()

    def bank() -> dict[Any, object]:
        wire.bank = Bank(declines=script == "declined", fails=script == "failed")
        return {Handed: wire.bank}

    def wired() -> App:
        app = paying(way)
        app.link(wire)
        return app

    @crash_everywhere(wired(), provide=bank)
    async def an_order(trial: Trial) -> object:
        await trial.publish(Order("1"))
        await trial.finish()
        return sorted(str(one) for one in wire.bank.done.values())

    an_order()


# ---------------------------------------------------------------------- batches


@dataclass(frozen=True)
class All:
    key: str
    count: int


@dataclass(frozen=True)
class AllDone:
    done: int
    failed: int


def many() -> App:
    app = paying()

    @app.saga(key="key")
    async def charge_all(all: All, saga: Saga) -> AllDone:
        charged = await saga.each(
            range(all.count),
            lambda number: Charge(str(number)),
            then=Charged,
            at_once=3,
            undo=lambda number: Refund(str(number)),
        )
        return AllDone(charged.done, charged.failed)

    return app


async def test_the_items_of_a_batch_are_handed_over_so_many_at_once() -> None:
    handed = Handed()
    async with engine(many(), provide={Handed: handed}) as running:
        await running.publish(All("a", 7))
        await running.settle()
        assert handed.count(Charge) == 3
        explained = await running.operator.explain(instance_id("t.charge_all", "a"))
        assert (explained.situation, len(explained.waits_for)) == ("handed_over", 3)
        answered = 0
        while answered < handed.count(Charge):
            context = handed.contexts[Charge][answered]
            outcome = Declined("", "no") if answered == 4 else Charged("")
            await answer(running, context, outcome)
            await answer(running, context, outcome)
            await running.settle()
            answered += 1
        assert answered == 7
        assert await running.status("t.charge_all", "a") == "completed"
        done = [one for one in await running.store.read_messages() if one.type == "t.AllDone"]
        assert [one.payload for one in done] == [b'{"done":6,"failed":1}']


async def test_what_a_batch_has_handed_over_is_undone_by_participants_too() -> None:
    handed = Handed()
    async with engine(many(), provide={Handed: handed}) as running:
        await running.publish(All("a", 2))
        await running.settle()
        await answer(running, handed.contexts[Charge][0], Charged(""))
        await running.cancel("t.charge_all", "a", reason="no")
        await running.settle()
        assert handed.count(Refund) == 2
        await answer(running, handed.contexts[Charge][1], Charged(""))  # late
        for number in range(4):
            await running.settle()
            if number < handed.count(Refund):
                await answer(running, handed.contexts[Refund][number], Refunded(""))
        await running.settle()
        assert await running.status("t.charge_all", "a") == "compensated"


# ---------------------------------------------------------------------- explained


@pytest.mark.parametrize("way", WAYS)
async def test_explain_says_who_has_a_command_since_when(way: Way) -> None:
    handed = Handed()
    async with engine(paying(way), provide={Handed: handed}) as running:
        await running.publish(Order("1"))
        await running.settle()
        await running.advance(hours=1)
        id = instance_id("t.paid", "1")
        charge = handed.last(Charge).message_id
        explained = await running.operator.explain(id)
        assert explained.situation == "handed_over"
        assert explained.why == (
            f"it waits since 2026-01-01 00:00:00 UTC for the answer of the bank to t.Charge {charge}, "
            "which t.charge has handed over"
        )
        assert [(one.kind, one.what, one.id) for one in explained.waits_for] == [
            ("message", "the answer to t.Charge", charge)
        ]
        assert explained.who == "the bank"

        await running.operator.act(id, "cancel", by="ann", reason="it takes too long")
        await running.settle()
        explained = await running.operator.explain(id)
        assert explained.situation == "handed_over"
        assert handed.last(Refund).message_id in explained.why


async def test_a_result_given_by_hand_is_the_outcome_and_the_answer_is_doubled() -> None:
    handed = Handed()
    async with engine(paying(), provide={Handed: handed}) as running:
        await running.publish(Order("1"))
        await running.settle()
        id = instance_id("t.paid", "1")
        await running.operator.act(
            id, "give_result", by="ann", reason="by phone", message="t.Charged", payload={"key": "1"}
        )
        await running.settle()
        assert await running.status("t.paid", "1") == "completed"
        await answer(running, handed.last(Charge), Declined("1"))
        await running.settle()
        assert await running.status("t.paid", "1") == "completed"


async def test_a_step_that_was_handed_over_times_out() -> None:
    handed, app = Handed(), paying()

    @app.saga(key="key")
    async def impatient(all: All, saga: Saga) -> None:
        await saga.do(Charge(all.key), then=Charged, undo=Refund(all.key), timeout=60)

    async with engine(app, provide={Handed: handed}) as running:
        await running.publish(All("a", 1))
        await running.settle()
        await running.advance(seconds=61)
        await running.settle()
        assert handed.last(Refund).undoes == handed.last(Charge).message_id
        await answer(running, handed.last(Refund), Refunded("a"))
        await running.settle()
        assert await running.status("t.impatient", "a") == "compensated"
