"""Counts what an engine does, a transaction at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import perf_counter

from sagakit.core.commit import ENDED, Commit, Delivery, Rejected, Search
from sagakit.core.process import Verdict
from sagakit.observer import Written
from sagakit.telemetry.metrics import catalogue
from sagakit.telemetry.metrics.tallies import Histogram, counter

MICROSECONDS = 1_000_000
_NONE = ()
_FAILED = ("sagakit.CommandFailed", "sagakit.CommandLedToNothing")


class Metrics:
    """All that is counted of one engine."""

    def __init__(self) -> None:
        self.started, self.settled = counter(), counter()
        self.parked, self.undo_stuck = counter(), counter()
        self.steps, self.undos = counter(), counter()
        self.retried, self.given_up = counter(), counter()
        self.rejected = counter()
        self.accepted, self.repeated, self.refused = counter(), counter(), counter()
        self.messages = 0
        self.duration, self.step = Histogram(catalogue.LONG), Histogram(catalogue.LONG)
        self.lateness, self.commit = Histogram(catalogue.SHORT), Histogram(catalogue.SHORT)
        self.commit_size = Histogram(catalogue.SIZES)
        self.handler = Histogram(catalogue.SHORT)
        self._managers: frozenset[str] = frozenset()

    def observe(self, roles: Mapping[str, str]) -> None:
        """An engine with these consumers begins."""
        self._managers = frozenset(name for name, role in roles.items() if role == "process_manager")

    # ------------------------------------------------------------------ transactions

    def committed(
        self, written: Sequence[Written], results: Sequence[Rejected | None], began: float, ended: float, now: int
    ) -> None:
        """A transaction is durable. `now`: microseconds since 1970, as the engine's clock tells them."""
        self.commit.observe(_NONE, ended - began)
        self.commit_size.observe(_NONE, len(written))
        for draft, result in zip(written, results, strict=True):
            if result is not None:
                self.rejected[result.why,] += 1
                continue
            commit = draft.commit
            self.messages += len(commit.messages)
            if commit.search:
                self._describe(commit)
            if draft.verdicts:
                self._judged(draft.verdicts)
            if commit.changes:
                self._changed(draft)
            for delivery in draft.handled:
                if delivery.state == "scheduled":
                    self.lateness.observe(_NONE, (now - delivery.due_at) / MICROSECONDS)
                elif self._managers and delivery.envelope.sender is not None:
                    self._answered(delivery, commit, now)

    def _describe(self, commit: Commit) -> None:
        """Instances have begun, ended, or come to stand still."""
        for write in commit.instances:
            if not write.expected:
                self.started[write.row.type,] += 1
        for search in commit.search:
            if search.status in ENDED:
                if search.ended_at == search.updated_at:  # else it had ended before, and has taken something late
                    self._end(search)
            elif search.status == "parked":
                self.parked[search.type,] += 1
            elif search.status == "compensation_failed":
                self.undo_stuck[search.type,] += 1

    def _end(self, search: Search) -> None:
        self.settled[search.type, search.status, search.cause] += 1
        self.duration.observe((search.type, search.status), (search.updated_at - search.started_at) / MICROSECONDS)

    def _judged(self, verdicts: Sequence[tuple[str, Verdict]]) -> None:
        for process, (command, outcome, took) in verdicts:
            labels = (process, command, outcome)
            if outcome in ("undone", "undo_failed"):
                self.undos[labels] += 1
                continue
            self.steps[labels] += 1
            if took >= 0:
                self.step.observe(labels, took / MICROSECONDS)

    def _answered(self, delivery: Delivery, commit: Commit, now: int) -> None:
        """A command was handled; where a process manager has sent it, this is all that is known of its step."""
        envelope = delivery.envelope
        process = (envelope.sender or "").rpartition("/")[0]
        if envelope.kind != "command" or envelope.undoes is not None or process not in self._managers:
            return
        failed = any(one.type in _FAILED and one.causation_id == envelope.id for one in commit.messages)
        labels = (process, envelope.type, "unknown" if failed else "answered")
        self.steps[labels] += 1
        self.step.observe(labels, (now - envelope.recorded_at) / MICROSECONDS)

    def _changed(self, draft: Written) -> None:
        if draft.retried is not None:
            self.retried[draft.retried.consumer,] += 1
        parked = {change.fence.delivery for change in draft.commit.changes if change.state == "parked"}
        for delivery in draft.handled:
            if delivery.id in parked:
                self.given_up[delivery.consumer,] += 1

    # ------------------------------------------------------------------ the door and the handlers

    def accept(self, message: str, error: Exception | None, *, repeated: bool) -> None:
        """A message from outside was accepted, or refused."""
        if error is not None:
            self.refused[message, type(error).__name__] += 1
        elif repeated:
            self.repeated[message,] += 1
        else:
            self.accepted[message,] += 1

    def ran(self, consumer: str, began: float, error: BaseException | None) -> None:
        """A run of a handler has ended."""
        outcome = "ok" if error is None else "error" if isinstance(error, Exception) else "cancelled"
        self.handler.observe((consumer, outcome), perf_counter() - began)
