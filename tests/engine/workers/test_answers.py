"""Answers come to whichever worker: also of a command that another one has handed over, or still runs."""

from __future__ import annotations

import pytest
from tests.engine.doors.test_answering import Charge, Charged, Handed, Order, Refund, Refunded, answer, paying
from tests.engine.stage import until
from tests.engine.workers.crew import crew

from sagakit import KeyInFlight
from sagakit.core.queries import DeliveryQuery

KEYS = [str(number) for number in range(12)]


def of(handed: Handed, command: type) -> list[str]:
    return [one.message_id for one in handed.contexts.get(command, ())]


async def test_any_worker_takes_an_answer() -> None:
    handed = Handed()
    async with crew(paying(), provide={Handed: handed}) as team:
        first, second = await team.join("first"), await team.join("second")
        await team.beat()
        await team.settle()
        for key in KEYS:
            await first.publish(Order(key))
        await team.settle()
        for number, context in enumerate(list(handed.contexts[Charge])):
            await answer((first, second)[number % 2], context, Charged("x"), message_id=str(number))
            again = await answer((first, second)[(number + 1) % 2], context, Charged("x"), message_id=str(number))
            assert again.repeated
        await team.settle()
        assert {await second.status("t.paid", key) for key in KEYS} == {"completed"}
        assert len(of(handed, Charge)) == len(set(of(handed, Charge)))


async def test_an_early_answer_ends_a_run_at_another_worker() -> None:
    handed = Handed(held=True)
    async with crew(paying(), provide={Handed: handed}) as team:
        first, second = await team.join("first"), await team.join("second")
        await team.beat()
        await team.rest()
        for key in KEYS:
            await first.publish(Order(key))
        await until(lambda: handed.count(Charge) == len(KEYS))
        for context in list(handed.contexts[Charge]):
            await answer(second, context, Charged("x"))
        await team.settle()  # nothing runs any more, although nobody has opened the gate
        assert {await first.status("t.paid", key) for key in KEYS} == {"completed"}
        assert await first.store.find_deliveries(DeliveryQuery()) == []


@pytest.mark.parametrize("by", [0, 1])
async def test_a_failed_undo_is_parked_once_and_an_answer_ends_it(by: int) -> None:
    handed = Handed()
    async with crew(paying(), provide={Handed: handed}) as team:
        both = await team.join("first"), await team.join("second")
        await team.beat()
        await team.settle()
        await both[0].publish(Order("1"))
        await team.settle()
        await answer(both[by], handed.last(Charge), failed="broken")
        await team.settle()
        undo = handed.last(Refund)
        for number, one in enumerate(both):
            await answer(one, undo, failed="shut", message_id=str(number))
            await team.settle()
        (parked,) = await both[0].store.find_deliveries(DeliveryQuery())
        assert parked.state == "parked"
        await answer(both[by], undo, Refunded("1"), message_id="done")
        await team.settle()
        assert await both[0].status("t.paid", "1") == "compensated"
        assert await both[0].store.find_deliveries(DeliveryQuery()) == []


async def test_what_parks_is_not_failed_before_it_was_handed_over() -> None:
    handed = Handed(held=True)
    async with crew(paying(), provide={Handed: handed}) as team:
        first = await team.join("first")
        await first.send(Charge("1"))
        await until(lambda: handed.count(Charge))
        with pytest.raises(KeyInFlight, match="still being handed over"):
            await answer(first, handed.last(Charge), failed="shut", message_id="1")
        handed.gate.set()
        await team.settle()
        assert not (await answer(first, handed.last(Charge), failed="shut", message_id="1")).repeated
        await team.settle()
        (parked,) = await first.store.find_deliveries(DeliveryQuery())
        assert parked.error == "shut"
