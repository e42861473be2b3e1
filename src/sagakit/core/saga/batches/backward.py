"""A batch on its way back: given up, or undone, the newest items first, and what is learnt late of its items."""

from __future__ import annotations

from collections.abc import Sequence

from sagakit.core.commit import Item, ItemState
from sagakit.core.lifecycle import BatchUndone
from sagakit.core.saga.batches.fan import Fan
from sagakit.core.saga.batches.forward import Forward
from sagakit.core.saga.batches.rows import Rows, short
from sagakit.core.saga.writing import Writing

OWED: tuple[ItemState, ...] = ("sent", "done", "undo_failed")
"""Items whose undo is still to be sent; those that are `sent` may have been done."""


class Backward:
    """Undoes batches."""

    def __init__(self, writing: Writing, rows: Rows, forward: Forward) -> None:
        self._writing, self._rows, self._forward = writing, rows, forward

    def give_up(self, fan: Fan, reason: str) -> None:
        """Wait no more for what is in flight: it may have been done. What is being undone goes on."""
        record = fan.record
        record.state, record.reason = "given_up", short(reason)
        fan.branch = None
        fan.queue.clear()
        for index in record.out:
            row = fan.rows[index]
            self._writing.withdraw(row.command_id)
            row.reason = record.reason
            if not (row.undo or self._rows.child_of(row)):
                row.state = "failed"
                record.failed += 1
            self._rows.settle(fan, row)
        record.out = []

    def undo(self, fan: Fan, reason: str) -> None:
        """Its turn has come: undo its items, from the newest one on."""
        record = fan.record
        record.state, record.reason = "undoing", short(reason) or record.reason
        record.undo_failed = 0
        record.cursor = record.next
        fan.queue.clear()
        self._forward.ask(fan, "undo", record.cursor)

    def page(self, fan: Fan, page: Sequence[Item]) -> None:
        """A page of the items that are still to be undone, newest first."""
        if fan.record.state != "undoing":
            return
        fan.queue.extend(page)
        if not page:
            fan.record.cursor = 0
        self.feed(fan)

    def feed(self, fan: Fan) -> None:
        """Send undos until so many are in flight as may be, or none is left; then the batch is undone."""
        record = fan.record
        while fan.queue and len(record.undoing) < record.at_once:
            row = fan.queue.popleft()
            record.cursor = row.index
            again = row.state == "undo_failed"
            if again:
                self._rows.withdraw_undo(row)
            elif row.state == "sent":
                row.reason = row.reason or record.reason
                if self._rows.child_of(row):
                    self._rows.send_cancel(fan, row, record.round)
                    continue
            if not self._rows.has_undo(row):
                continue  # a child that is done, and that nothing undoes
            self._rows.send_undo(fan, row, record.next_again() if again else record.round)
        if not fan.queue and record.cursor > 0 and not record.asked:
            self._forward.ask(fan, "undo", record.cursor)
        if record.cursor == 0 and not (fan.queue or record.undoing):
            self._end(fan)

    def _end(self, fan: Fan) -> None:
        record = fan.record
        record.state = "undo_failed" if record.undo_failed else "undone"
        self._writing.event(BatchUndone(record.step, record.undo_failed, record.reason if record.undo_failed else ""))

    # ------------------------------------------------------------------ answers

    def answered(self, fan: Fan, row: Item, failed: str | None) -> None:
        """An undo has its answer, or was given up."""
        del fan.record.undoing[row.index]
        if fan.record.state == "running":
            if failed is None:
                self._forward.undone(fan, row)
            else:
                self._forward.undo_failed(fan, row, failed)
            return
        row.state = "undone"
        if failed is not None:
            row.state, row.reason = "undo_failed", short(failed)
            fan.record.undo_failed += 1
            fan.record.reason = row.reason
        self._rows.settle(fan, row)
        if fan.record.state == "undoing":
            self.feed(fan)

    def answered_after_all(self, fan: Fan, row: Item) -> None:
        """An undo that was given up is answered: a person had it tried again."""
        record = fan.record
        row.state = "undone"
        record.undo_failed -= 1
        self._rows.write(row)
        if record.undo_failed:
            return
        if record.state == "undo_failed":
            self._end(fan)
        elif record.state == "ended":
            self._writing.event(BatchUndone(record.step))

    # ------------------------------------------------------------------ late

    def late(self, fan: Fan, row: Item, *, success: bool, hold: bool) -> None:
        """The outcome of an item that was given up is known after all.

        `hold`: nothing may go out now; it is undone again in its turn.
        """
        if self._rows.is_cancelling(row):
            self._child_ended(fan, row, left=success)
        elif row.state == "sent" and not success:
            row.state = "failed"  # known not done: nothing to undo
            self._rows.write(row)
        elif row.state == "sent" and self._rows.child_of(row):
            row.state = "done"  # so that its child is not cancelled any more
            for waiting in fan.queue:
                if waiting.index == row.index:
                    waiting.state = "done"
            self._rows.write(row)
        elif not (success and row.undo and row.reason):  # it was done, or refused: the first known outcome stands
            return
        elif row.state == "undoing":
            self._rows.withdraw_undo(row)
            self._rows.send_undo(fan, row, fan.record.next_again())
        elif row.state == "undone" and not hold:
            self._rows.send_undo(fan, row, fan.record.next_again())
        elif row.state == "undone":
            row.state = "done"
            self._rows.write(row)

    def _child_ended(self, fan: Fan, row: Item, *, left: bool) -> None:
        """The child of an item that was given up has ended: that is the answer to its cancel."""
        if left and self._rows.has_undo(row):
            self._rows.send_undo(fan, row, fan.record.next_again())
        else:
            self.answered(fan, row, None)
