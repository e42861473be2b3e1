"""The items of a batch against their matrix of docs/protocol.md: every cell that can happen is brought about."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from tests.core.driver import Driver, stored
from tests.core.messages import A, ADone, ANo, Start, UndoA
from tests.core.protocol.tables import Cell, read

from sagakit.core.lifecycle import OperatorActed
from sagakit.core.process import Output
from sagakit.core.saga.code_saga import SagaDefinition
from sagakit.core.saga.operations import Saga

CELLS = [cell for cell in read("items").values() if cell.next is not None]


class Batch:
    """A batch of two items, one at a time: the first is the one that is looked at."""

    def __init__(self) -> None:
        async def code(start: Start, saga: Saga) -> None:
            await saga.each(range(2), A, then=ADone, at_once=1, undo=lambda n: UndoA(str(n)))

        self.driver = Driver(code)
        self.driver.start()
        self.do = self.driver.pending()[0]

    @property
    def state(self) -> str:
        return self.driver.items[1, 0].state

    def the_undo(self) -> Output:
        return next(one for one in reversed(self.driver.sent) if one.message == UndoA("0"))

    def be(self, state: str) -> Batch:
        """Bring the item into a state, while the batch runs."""
        if state == "done":
            self.driver.answer(self.do, ADone())
        elif state == "failed":
            self.driver.answer(self.do, ANo("no"))
        elif state != "sent":
            self.driver.fail(self.do)
            if state == "undone":
                self.driver.answer(self.the_undo())
            elif state == "undo_failed":
                self.driver.fail(self.the_undo(), "no way back")
        assert self.state == state
        return self

    def settle(self) -> None:
        """Everything but the first item is answered."""
        while self.driver.own or [one for one in self.driver.pending() if self.of_the_other(one)]:
            self.driver.tell_own()
            for command in self.driver.pending():
                if self.of_the_other(command):
                    self.driver.answer(command, *([ADone()] if isinstance(command.message, A) else []))

    def of_the_other(self, command: Output) -> bool:
        return command.message in (A(1), UndoA("1"))

    def act(self, action: str, about: str | None = None, **details: str) -> None:
        acted = OperatorActed(action=action, target="k", by="ada", reason="by hand", details=details)
        self.driver.react(self.driver.envelope(acted, about))

    def reopen(self) -> None:
        definition = self.driver.definition
        assert isinstance(definition, SagaDefinition)
        self.driver.live = definition.reopen(msgspec.structs.replace(self.driver.row), stored(self.driver.history), 1)


def given_up(batch: Batch) -> None:
    batch.driver.cancel()


def undone(batch: Batch) -> None:
    batch.driver.cancel()
    batch.driver.tell_own()
    batch.settle()


def rerun(batch: Batch) -> None:
    batch.settle()
    assert batch.driver.live.status == "completed"
    if batch.driver.record.batches[0].failed:
        batch.reopen()
        batch.act("rerun_failed", step="1")
        batch.driver.tell_own()


def late(*answer: object) -> Callable[[Batch], None]:
    def tell(batch: Batch) -> None:
        if batch.state == "sent":
            batch.driver.cancel()
        batch.driver.answer(batch.do, *answer)

    return tell


EVENTS: dict[str, Callable[[Batch], object]] = {
    "success": lambda batch: batch.driver.answer(batch.do, ADone()),
    "refusal": lambda batch: batch.driver.answer(batch.do, ANo("no")),
    "unknown": lambda batch: batch.driver.fail(batch.do),
    "batch_given_up": given_up,
    "batch_undone": undone,
    "undo_answered": lambda batch: batch.driver.answer(batch.the_undo()),
    "undo_given_up": lambda batch: batch.driver.fail(batch.the_undo()),
    "late_success": late(ADone()),
    "late_refusal": late(ANo("no")),
    "doubled_outcome": lambda batch: batch.driver.answer(batch.do, ANo("no") if batch.state == "done" else ADone()),
    "rerun": rerun,
    "operator_drop": lambda batch: batch.act("drop", batch.the_undo().id),
}


@pytest.mark.parametrize("evicted", [False, True], ids=["in memory", "evicted"])
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_an_item_does_what_its_cell_says(cell: Cell, evicted: bool) -> None:
    batch = Batch().be(cell.state)
    if evicted:
        batch.driver = batch.driver.revived()
    before = len(batch.driver.sent)
    EVENTS[cell.event](batch)
    assert batch.state == cell.next
    again = [one.id for one in batch.driver.sent[before:] if one.message == UndoA("0")]
    if "once more" in cell.words:
        assert len(again) == 1
        assert again[0] not in {one.id for one in batch.driver.sent[:before]}
    elif cell.next != "undoing":
        assert not again
    if cell.event == "rerun" and cell.next == "sent":
        assert batch.driver.sent[-1].message == A(0)
        assert batch.driver.sent[-1].id != batch.do.id


def test_outcomes_of_items_make_no_history_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sagakit.core.saga.live.ADVISED", 8)
    monkeypatch.setattr("sagakit.core.saga.restarting.REQUIRED", 8)
    batch = Batch().be("failed")
    rerun(batch)
    batch.driver = batch.driver.revived()
    batch.driver.answer(batch.driver.pending()[0], ANo("no"))
    for _ in range(2):
        rerun(batch)
        batch.driver = batch.driver.revived()
        batch.driver.answer(batch.driver.pending()[0], ANo("no"))
    assert batch.driver.row.version > 12


def test_every_event_of_the_table_is_brought_about() -> None:
    assert {cell.event for cell in CELLS} == set(EVENTS)
