"""The batches of one saga: what it is told of their items, and what they are to the rest of the saga."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sagakit.core.commit import Item, ItemState
from sagakit.core.lifecycle import BatchEnded, BatchPage, BatchUndone, CommandFailed
from sagakit.core.process import Input, Surroundings
from sagakit.core.queries import ItemQuery
from sagakit.core.saga.batch import MARK, Batch, read_id
from sagakit.core.saga.batches.backward import OWED, Backward
from sagakit.core.saga.batches.fan import Fan
from sagakit.core.saga.batches.forward import FAILURES, Forward
from sagakit.core.saga.batches.rows import Rows
from sagakit.core.saga.compensation import CANCEL_CHILD, Compensation, SagaRecord, Step
from sagakit.core.saga.coroutine.branches import Branch
from sagakit.core.saga.coroutine.waits import Repairs
from sagakit.core.saga.each import Asked, Each
from sagakit.core.saga.operations import Then
from sagakit.core.saga.settling.outcomes import Success, names_of
from sagakit.core.saga.settling.undoing import Undoing
from sagakit.core.saga.writing import Writing
from sagakit.errors import Nondeterminism, Refused

KEPT = 10
"""Batches that have ended, and that nothing undoes, of which the state of a saga tells."""
PAGE = 1_000
"""Rows read at once, to be sent again or undone."""
_FAILED: tuple[ItemState, ...] = ("failed", "undone", "undo_failed")
_IN_FLIGHT: tuple[ItemState, ...] = ("sent", "undoing")
_PAGES: dict[str, tuple[tuple[ItemState, ...], int]] = {
    "failures": (_FAILED, FAILURES),
    "again": (("failed", "undone"), PAGE),
    "undo": (OWED, PAGE),
}


class Batches:
    """Every batch that the saga has begun."""

    def __init__(
        self,
        around: Surroundings,
        writing: Writing,
        stack: Compensation,
        repairs: Repairs,
        undoing: Undoing,
        instance: str,
    ) -> None:
        self._around, self._writing = around, writing
        self._stack, self._repairs, self._undoing, self._instance = stack, repairs, undoing, instance
        stack.batches = self
        self._rows = Rows(around, writing, instance)
        self._forward = Forward(around, writing, self._rows)
        self._backward = Backward(writing, self._rows, self._forward)
        self._read: list[Item] = []
        self._by_step: dict[int, Fan] = {}
        self._by_mark: dict[str, tuple[Fan, bool]] = {}
        """By what the ids of its commands begin with, and by what those of its undos do (then True)."""

    def __bool__(self) -> bool:
        return bool(self._by_step)

    # ------------------------------------------------------------------ what the code asks for

    def begin(self, branch: Branch, asked: Asked[Any]) -> bool:
        """Send the first items. True if there is none: the branch then has the result."""
        first = asked.items.draw(0)
        if first is None:
            branch.value = Each(0, 0, asked.items, ())
            return True
        stack = self._stack
        record = Batch(stack.record.sent + 1, asked.at_once, "", total=asked.items.total, most_failed=asked.stop_at)
        record.then = names_of(asked.then, self._around)
        fan = self._know(Fan(self._instance, record, asked, branch))
        step = stack.begin(fan.do_mark, "", None)
        step.batch = True
        self._forget_old()
        stack.record.batches.append(record)
        self._rows.send(fan, 0, first[0])
        record.next = 1
        step.type = record.command
        self._forward.fill(fan)
        return False

    def _forget_old(self) -> None:
        """A saga may have any number of batches: of those that nothing undoes, the last ones are kept."""
        batches = self._stack.record.batches
        ended = [one for one in batches if one.state == "ended" and one.step in self._by_step and not one.undo]
        for batch in ended[: 1 - KEPT]:
            batches.remove(batch)
            fan = self._by_step.pop(batch.step)
            del self._by_mark[fan.do_mark], self._by_mark[fan.undo_mark]

    def _know(self, fan: Fan) -> Fan:
        self._by_step[fan.record.step] = fan
        self._by_mark[fan.do_mark] = fan, False
        self._by_mark[fan.undo_mark] = fan, True
        return fan

    def in_flight(self) -> set[str]:
        """The ids of the steps whose batches the code waits for."""
        return {fan.do_mark for fan in self._by_step.values() if fan.branch is not None}

    def awaited(self) -> dict[str, Then]:
        """The commands of items that are out, and what counts as their success."""
        return {
            fan.rows[index].command_id: fan.asked.then
            for fan in self._by_step.values()
            if fan.asked is not None
            for index in fan.record.out
            if index in fan.rows
        }

    def of(self, branches: Collection[object]) -> list[Step]:
        """The steps whose batches these branches wait for."""
        found = (self._stack.of(fan.do_mark) for fan in self._by_step.values() if fan.branch in branches)
        return [step for step in found if step is not None]

    # ------------------------------------------------------------------ what it is told

    def wants(self, given: Input) -> list[ItemQuery]:
        """The rows that it has to be given along with this."""
        wanted = [
            ItemQuery(fan.record.step, _IN_FLIGHT, limit=2 * fan.record.at_once)
            for fan in self._by_step.values()
            if not fan.complete
        ]
        first = given.messages[0]
        if isinstance(first, BatchPage) and first.step in self._by_step:
            states, limit = _PAGES[first.what]
            if first.what == "undo":
                wanted.append(ItemQuery(first.step, states, before=first.at, limit=limit))
            else:
                wanted.append(ItemQuery(first.step, states, after=first.at, limit=limit))
        fan, index, _, _ = self._item_of(given.command_id)
        if fan is not None and index not in fan.rows and not (index in fan.record.out or index in fan.record.undoing):
            wanted.append(ItemQuery(fan.record.step, after=index - 1, limit=1))
        return wanted

    def _item_of(self, command_id: str | None) -> tuple[Fan | None, int, int, bool]:
        if command_id is None or (known := self._by_mark.get(command_id[:MARK])) is None:
            return None, 0, 0, False
        number, index = read_id(command_id)
        return known[0], index, number, known[1]

    def take(self, given: Input) -> bool:
        """Take what it is told of a batch. False if it is of something else."""
        first = given.messages[0]
        if isinstance(first, BatchPage):
            self._writing.reacted.recorded = False
            self._page(first)
        elif isinstance(first, BatchEnded):
            self._ended(first)
        elif isinstance(first, BatchUndone):
            self._undone(first)
        else:
            fan, index, number, undo = self._item_of(given.command_id)
            if fan is None:
                return False
            self._writing.reacted.recorded = False
            row = fan.rows.get(index) or self._read_row(fan, index)
            if row is not None:
                (self._undo_outcome if undo else self._outcome)(fan, row, number, given)
        return True

    def bring(self, rows: Sequence[Item]) -> None:
        """The rows that it wanted: of what is in flight, and of what it is about to be told."""
        self._read = []
        for row in rows:
            fan = self._by_step[row.step]
            if row.index in fan.record.undoing or row.index in fan.record.out:
                fan.rows.setdefault(row.index, row)
            else:
                self._read.append(row)

    def _read_row(self, fan: Fan, index: int) -> Item | None:
        return next((row for row in self._read if row.step == fan.record.step and row.index == index), None)

    def _page(self, page: BatchPage) -> None:
        fan = self._by_step[page.step]
        wanted, limit = _PAGES[page.what]
        found = {row.index: row for row in self._read if row.step == page.step and row.state in wanted}
        # what is in flight was read beside the page: it may be in both, or belong to a page that is still to come
        rows = [found[index] for index in sorted(found, reverse=page.what == "undo")][:limit]
        fan.record.asked = False
        if page.what == "undo":
            self._backward.page(fan, rows)
        elif page.what == "again":
            self._forward.again(fan, rows)
        elif fan.record.state == "ending":
            self._forward.failures(fan, rows)

    # ------------------------------------------------------------------ items

    def _outcome(self, fan: Fan, row: Item, number: int, given: Input) -> None:
        record = fan.record
        if row.command_id != given.command_id:
            return  # of an earlier round: its item has gone on since
        if row.index in record.out:
            self._forward.outcome(fan, row, given.messages)
            return
        verdict = self._forward.verdict(fan, row, given.messages)
        if isinstance(verdict, Success | Refused) or self._rows.is_cancelling(row):
            hold = self._undoing.status == "compensation_failed"
            self._backward.late(fan, row, success=not isinstance(verdict, Refused), hold=hold)
            step = self._stack.of(fan.do_mark)
            if hold and step is not None and step.state == "undone":
                step.state = "succeeded"

    def _undo_outcome(self, fan: Fan, row: Item, number: int, given: Input) -> None:
        first = given.messages[0]
        failed = first.reason if isinstance(first, CommandFailed) else None
        if fan.record.undoing.get(row.index) == number:
            self._backward.answered(fan, row, failed)
        elif row.state == "undo_failed" and failed is None:
            self._backward.answered_after_all(fan, row)

    # ------------------------------------------------------------------ ends

    def _ended(self, told: BatchEnded) -> None:
        fan = self._by_step[told.step]
        branch, step = fan.branch, self._stack.of(fan.do_mark)
        if branch is None or step is None:
            return  # given up meanwhile
        each = self._forward.ended(fan, told)
        if each is None:
            return
        fan.branch = fan.asked = None
        fan.record.state = "ended"
        if told.undo_failed:
            self._undoing.failed(step, f"{told.undo_failed} undos of {step.type} failed")
            return
        stop_at = fan.record.most_failed
        if stop_at is not None and told.failed >= stop_at:
            self._stopped(fan, step, branch, each)
            return
        self._leave(fan, step)
        branch.resume(each)

    def _stopped(self, fan: Fan, step: Step, branch: Branch, each: Each[Any]) -> None:
        error = Refused(f"{each.failed} of {each.done + each.failed} {step.type} failed: no more were sent")
        self._undoing.threw = True
        if fan.record.undo and each.done:
            self._repairs.wait_for(step, branch, error)
            self._stack.unknown(step, ())
            self._stack.undo(step, error.reason)
        else:
            self._stack.refused(step)
            branch.resume(error=error)

    def _leave(self, fan: Fan, step: Step) -> None:
        if fan.record.undo:
            self._stack.succeeded(step, None)
        else:
            self._stack.refused(step)  # nothing to undo

    def _undone(self, told: BatchUndone) -> None:
        step = self._stack.of(self._by_step[told.step].do_mark)
        if step is None:
            return
        if told.failed:
            self._undoing.failed(step, f"{told.failed} undos of {step.type} failed: {told.reason}")
        elif self._by_step[told.step].record.state == "ended":  # what is done is still to be undone
            step.state = "succeeded"
            self._undoing.settled_by_hand()
        elif step.state in ("undoing", "undo_failed"):
            self._undoing.answered(step, told)

    # ------------------------------------------------------------------ what the rest of the saga does with it

    def give_up(self, step: Step, reason: str) -> None:
        """Wait no more for a batch."""
        fan = self._by_step[step.ordinal]
        self._backward.give_up(fan, reason)
        self._stack.unknown(step, ())

    def undo(self, step: Step, reason: str) -> None:
        """Its turn has come."""
        self._backward.undo(self._by_step[step.ordinal], reason)

    def undo_of(self, step: Step) -> str:
        """The wire name of what undoes its items; "": nothing does."""
        record = self._by_step[step.ordinal].record
        return record.undo or (CANCEL_CHILD if self._rows.starts_child(record.command) else "")

    def abandon(self, step: Step) -> None:
        """Nothing of it goes on; its commands and undos are withdrawn by whoever ends the instance."""
        record = self._by_step[step.ordinal].record
        record.state, record.out, record.undoing = "given_up", [], {}

    def run_again(self, step: int) -> None:
        """Send the failed items of a batch again: the code waits for it as before."""
        fan = self._by_step.get(step)
        if fan is not None and fan.branch is not None:
            self._forward.run_again(fan)

    def undo_dropped(self, given: Input) -> None:
        """A person has taken the undo of an item away, which was given up: it counts as done."""
        fan, index, _, undo = self._item_of(given.command_id)
        row = None if fan is None or not undo else self._read_row(fan, index)
        if fan is not None and row is not None and row.state == "undo_failed":
            self._backward.answered_after_all(fan, row)

    # ------------------------------------------------------------------ coming back

    def check(self, stored: SagaRecord) -> None:
        """Raise Nondeterminism where the code has other items than are recorded."""
        for batch in stored.batches:
            fan = self._by_step.get(batch.step)
            asked = None if fan is None or fan.branch is None else fan.asked
            total = None if asked is None else asked.items.total
            if batch.total is not None and total is not None and total != batch.total:
                raise Nondeterminism(
                    f"step {batch.step}: a batch of {batch.total} items is recorded, the code now gives {total}"
                )

    def restore(self, record: SagaRecord, *, code: bool) -> None:
        """Take what is stored; without `code` nobody waits for it."""
        for batch in record.batches:
            fan = self._by_step.get(batch.step) or self._know(Fan(self._instance, batch))
            fan.record = batch
            fan.rows.clear()
            fan.queue.clear()
            if not code:
                fan.branch = fan.asked = None
