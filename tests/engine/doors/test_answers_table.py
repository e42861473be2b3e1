"""The engine against the matrix `answers` of docs/protocol.md: every cell that can happen is brought about."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.core.protocol.tables import Cell, read
from tests.each_store import ON_EACH_STORE
from tests.engine.doors.test_answering import Charge, Charged, Handed, Order, Refund, Refunded, answer, paying
from tests.engine.stage import until

from sagakit import Context
from sagakit.core.lifecycle import HANDED_OVER
from sagakit.core.queries import DeliveryQuery
from sagakit.errors import KeyInFlight
from sagakit.testing.manual import ManualEngine, engine

pytestmark = ON_EACH_STORE

CELLS = [cell for cell in read("answers").values() if cell.next is not None]


class Case:
    """One command on its way: a step's, or one from outside."""

    def __init__(self, running: ManualEngine, handed: Handed, *, step: bool) -> None:
        self.running, self.handed, self.step = running, handed, step
        self.command: Context

    async def begin(self, *, held: bool = False) -> None:
        self.handed.held = held
        await (self.running.publish(Order("1")) if self.step else self.running.send(Charge("1")))
        await until(lambda: self.handed.count(Charge))
        self.command = self.handed.last(Charge)
        self.handed.held = False  # the one that has begun waits, others do not
        if not held:
            await self.running.settle()

    async def answer(self, *events: Any, id: str = "first", **more: Any) -> Any:
        receipt = await answer(self.running, self.command, *events, message_id=id, **more)
        await self.running.settle()  # also where its run was under way: that is cancelled
        return receipt

    async def state(self) -> str:
        deliveries = await self.running.store.find_deliveries(DeliveryQuery())
        own = [one for one in deliveries if one.envelope.id == self.command.message_id]
        if own:
            return "parked" if own[0].state == "parked" else "outstanding"
        story = await self.running.store.read_messages()
        led = [one for one in story if one.causation_id == self.command.message_id]
        if any(one.sender is None for one in led):
            return "answered"
        if self.handed.count(Refund):
            return "given_up"
        return "handed_over" if any(one.type == HANDED_OVER for one in led) else "given_up"


async def outstanding(case: Case) -> None:
    await case.begin(held=True)


async def parked(case: Case) -> None:
    await case.begin()
    await case.answer(failed="shut")


async def handed_over(case: Case) -> None:
    await case.begin()


async def answered(case: Case) -> None:
    await case.begin()
    await case.answer(Charged("1"))


async def given_up(case: Case) -> None:
    await case.begin()
    await case.running.cancel("t.paid", "1", reason="no")
    await case.running.settle()


STATES: dict[str, Callable[[Case], Awaitable[None]]] = {
    "outstanding": outstanding,
    "parked": parked,
    "handed_over": handed_over,
    "answered": answered,
    "given_up": given_up,
}


async def later(case: Case) -> None:
    case.handed.gate.set()
    await case.running.settle()


async def withdraw(case: Case) -> None:
    await case.running.cancel("t.paid", "1", reason="no")
    await case.running.settle()


async def fails(case: Case) -> None:
    await case.answer(failed="broken", id="second")


async def answers(case: Case) -> None:
    await case.answer(Charged("1"), id="second")


async def same(case: Case) -> None:
    before = await case.running.store.read_messages()
    what: dict[str, Any] = {"failed": "shut"} if not case.step else {}
    receipt = await case.answer(*(() if what else (Charged("1"),)), **what)
    assert receipt.repeated
    assert await case.running.store.read_messages() == before


EVENTS: dict[str, Callable[[Case], Awaitable[None]]] = {
    "later": later,
    "answer": answers,
    "failed_step": fails,
    "failed_park": fails,
    "same_answer": same,
    "withdraw": withdraw,
}


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
async def test_the_engine_does_what_the_cell_says(cell: Cell) -> None:
    handed = Handed()
    step = cell.event != "failed_park" and cell.state != "parked"
    async with engine(paying(), provide={Handed: handed}) as running:
        case = Case(running, handed, step=step)
        if cell.event == "later" and cell.state != "outstanding":  # its run ends after it was answered, or given up
            await case.begin(held=True)
            await (case.answer(Charged("1")) if cell.state == "answered" else withdraw(case))
        else:
            await STATES[cell.state](case)
        if running.team is not None and (cell.state, cell.event) == ("outstanding", "failed_park"):
            with pytest.raises(KeyInFlight, match="answer again"):  # its run may be at another engine
                await EVENTS[cell.event](case)
            assert await case.state() == "outstanding"
            await later(case)  # it is handed over; then the same is answered again, as was asked for
        await EVENTS[cell.event](case)
        assert await case.state() == cell.next
        if step and cell.words.startswith("`answered`: late: a success"):
            assert handed.count(Refund) == 2
            assert handed.contexts[Refund][0].message_id != handed.last(Refund).message_id
        if cell.words.startswith("`answered`: doubled") and step:
            assert await running.status("t.paid", "1") == "completed"


async def test_of_an_undo_that_is_parked_an_answer_counts_as_done() -> None:
    handed = Handed()
    async with engine(paying(), provide={Handed: handed}) as running:
        case = Case(running, handed, step=True)
        await given_up(case)
        undo = handed.last(Refund)
        await answer(running, undo, failed="shut", message_id="1")
        await running.settle()
        assert await running.status("t.paid", "1") == "compensation_failed"
        await answer(running, undo, Refunded("1"), message_id="2")
        await running.settle()
        assert await running.status("t.paid", "1") == "compensated"
