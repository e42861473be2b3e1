"""A batch on its way forward: items are sent as others settle, counted, and at the end told to the code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sagakit.core.commit import Item
from sagakit.core.lifecycle import BatchEnded, BatchPage
from sagakit.core.process import Surroundings
from sagakit.core.saga.batches.fan import Fan
from sagakit.core.saga.batches.rows import Rows, short
from sagakit.core.saga.each import Each, Source
from sagakit.core.saga.settling.outcomes import Success, classes_of, judge
from sagakit.core.saga.writing import Writing
from sagakit.errors import NotDone, Refused

FAILURES = 500
"""Failed items told to the code in one message."""


class Forward:
    """Sends the items of batches and takes their outcomes."""

    def __init__(self, around: Surroundings, writing: Writing, rows: Rows) -> None:
        self._around, self._writing, self._rows = around, writing, rows

    def fill(self, fan: Fan) -> None:
        """Send items until so many are in flight as may be, or none is left; then the batch ends."""
        record = fan.record
        while record.in_flight < record.at_once and not record.stopped:
            if not (self._send_again(fan) if record.waiting else self._send_next(fan)):
                break
        if record.in_flight or record.state != "running":
            return
        if record.stopped or not (record.waiting or record.asked):
            self._end(fan)

    def _send_next(self, fan: Fan) -> bool:
        asked, record = fan.asked, fan.record
        assert asked is not None
        drawn = asked.items.draw(record.next)
        if drawn is None:
            record.total = record.next
            return False
        self._rows.send(fan, record.next, drawn[0])
        record.next += 1
        return True

    def _send_again(self, fan: Fan) -> bool:
        record = fan.record
        if not fan.queue:
            if not record.asked:
                self.ask(fan, "again", record.cursor)
            return False
        row = fan.queue.popleft()
        record.cursor = row.index
        record.waiting -= 1
        self._rows.send_again(fan, row)
        return True

    def again(self, fan: Fan, page: Sequence[Item]) -> None:
        """A page of the items that failed, to be sent again."""
        if fan.record.state != "running":  # stopped meanwhile
            return
        fan.queue.extend(page)
        if not page:  # fewer than were counted
            fan.record.waiting = 0
        self.fill(fan)

    def run_again(self, fan: Fan) -> None:
        """Those that failed are to be sent again. They come in pages: the first one is asked for."""
        record = fan.record
        record.state, record.round = "running", record.round + 1
        record.waiting, record.failed, record.cursor = record.failed, 0, -1
        fan.failures = []
        self.ask(fan, "again", -1)

    # ------------------------------------------------------------------ outcomes

    def outcome(self, fan: Fan, row: Item, messages: tuple[Any, ...]) -> None:
        """An item in flight has its outcome."""
        record = fan.record
        record.out.remove(row.index)
        verdict = self.verdict(fan, row, messages)
        self._count(row, verdict)
        if isinstance(verdict, Success):
            row.state = "done"
            record.done += 1
        else:
            row.reason = short(verdict.reason)
            if row.undo and not isinstance(verdict, Refused):
                self._rows.send_undo(fan, row, record.round)
                return
            row.state = "failed"
            record.failed += 1
        self._rows.settle(fan, row)
        self.fill(fan)

    def _count(self, row: Item, verdict: Success | NotDone) -> None:
        codec = self._around.codecs.by_class.get(self._rows.command_class(row))
        done = "succeeded" if isinstance(verdict, Success) else None
        outcome = done or ("refused" if isinstance(verdict, Refused) else "unknown")
        self._writing.settled("" if codec is None else codec.name, outcome)

    def undone(self, fan: Fan, row: Item) -> None:
        """An item that may have been done has left nothing behind: it failed."""
        row.state = "undone"
        self._failed(fan, row)

    def undo_failed(self, fan: Fan, row: Item, reason: str) -> None:
        """An item may have been done, and cannot be undone: the batch goes on, its instance will not end well."""
        row.state = "undo_failed"
        row.reason = short(f"{row.reason}; its undo failed: {reason}")
        fan.record.undo_failed += 1
        self._failed(fan, row)

    def _failed(self, fan: Fan, row: Item) -> None:
        fan.record.failed += 1
        self._rows.settle(fan, row)
        self.fill(fan)

    def verdict(self, fan: Fan, row: Item, messages: tuple[Any, ...]) -> Success | NotDone:
        """What the outcome of an item's command says."""
        then = fan.asked.then if fan.asked is not None else classes_of(fan.record.then, self._around)
        return judge(then, self._rows.command_class(row), messages, self._around)

    # ------------------------------------------------------------------ the end

    def _end(self, fan: Fan) -> None:
        record = fan.record
        record.state = "ending"
        record.failed += record.waiting  # stopped before they went out again
        record.waiting = 0
        fan.queue.clear()
        if record.failed:
            self.ask(fan, "failures", -1)
        else:
            self._tell(fan, ())

    def failures(self, fan: Fan, page: Sequence[Item]) -> None:
        """A page of the items that failed: the code is told of them."""
        more = len(page) == FAILURES
        self._tell(fan, page, more=more)
        if more:
            self.ask(fan, "failures", page[-1].index)

    def _tell(self, fan: Fan, page: Sequence[Item], *, more: bool = False) -> None:
        record = fan.record
        failures = [(row.index, row.reason) for row in page]
        self._writing.event(BatchEnded(record.step, record.done, record.failed, failures, record.undo_failed, more))

    def ended(self, fan: Fan, told: BatchEnded) -> Each[Any] | None:
        """What the code gets; None while more failures are to come."""
        fan.failures += told.failures
        if told.more:
            return None
        record = fan.record  # a replay has not been told of the items
        record.done, record.failed, record.out = told.done, told.failed, []
        record.next = max(record.next, told.done + told.failed)
        source: Source[Any] = Source(()) if fan.asked is None else fan.asked.items
        failures, fan.failures = fan.failures, []
        return Each(told.done, told.failed, source, failures)

    def ask(self, fan: Fan, what: Any, at: int) -> None:
        """Have a page of rows read, and be told it."""
        fan.record.asked = True
        self._writing.event(BatchPage(fan.record.step, what, at))
