"""From facts to an explanation: pure. The first situation that holds is the cause."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sagakit.core.commit import ENDED
from sagakit.core.display import record_of
from sagakit.core.process import PendingTimer, words_of
from sagakit.core.process_manager.record import ManagerRecord
from sagakit.core.saga.batches.progress import Progress, progress_of
from sagakit.core.saga.compensation import OWED, SagaRecord, Step
from sagakit.engine.handlers.processes.instances import NOT_DECLARED
from sagakit.engine.operating.explanation import Blocker, Explanation, Situation, Wait
from sagakit.engine.operating.facts import Facts, Standing
from sagakit.engine.operating.mending import (
    PAYLOAD,
    REASON,
    RUN,
    blocker_of,
    mends_of,
    resume_command,
    short,
    time_of,
    timer_of,
    urgency,
    wait_of,
    what_is_paused,
    who_mends,
    who_opens,
    why_limited,
)


class Explaining:
    """One explanation in the making."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._row, self._search = facts.row, facts.search
        self._record = record_of(facts.row)
        self._id = facts.row.id

    def explain(self) -> Explanation:
        """The explanation."""
        ways: Iterable[Callable[[], Explanation | None]] = (
            self._ended,
            self._paused,
            self._parked,
            self._compensation_failed,
            self._no_code,
            self._queued,
            self._parked_child,
            self._sent,
            self._handed_over,
            self._child,
            self._asleep,
            self._awaits_event,
        )
        for way in ways:
            found = way()
            if found is not None:
                return found
        return self._lost()

    # ------------------------------------------------------------------ the instance itself

    def _ended(self) -> Explanation | None:
        if self._row.status not in ENDED:
            return None
        cause = f" ({self._search.cause}: {self._search.reason})" if self._search.cause else ""
        rerun = [one for one in self._batches() if one.failed and self._row.status == "completed"]
        left = ""
        if self._row.status == "abandoned" and (undos := self._undos_left()):
            left = f"; not undone: {', '.join(undos)}"
        why = f"it has ended as {self._row.status}{cause}{left}"
        mend = [self._command("rerun-failed")] if rerun else []
        return self._say("ended", why, self._search.ended_at, "nobody", mend=mend)

    def _paused(self) -> Explanation | None:
        standing = [one for one in (*self._facts.own, *self._facts.sent) if one.pause is not None]
        pause = self._facts.pause or (standing[0].pause if standing and self._row.status != "parked" else None)
        if pause is None:
            return None
        waits = [wait_of(one) for one in standing]
        why = f"{what_is_paused(pause)} is paused by {pause.by}: {pause.reason}"
        return self._say("paused", why, pause.since, "a person", waits, [resume_command(pause)])

    def _parked(self) -> Explanation | None:
        if self._row.status != "parked":
            return None
        head = next((one for one in self._facts.own if one.delivery.state == "parked"), None)
        since, facts = self._search.updated_at, self._facts
        error = self._search.reason
        waits = [] if head is None else [wait_of(head, "person")]
        retry, cancel = self._command("retry"), self._command("cancel")
        if facts.code or NOT_DECLARED in error:
            why = f"no worker has its code: {facts.code or error}"
            # what has parked for its version goes on by itself once it is declared: to retry it before helps nobody
            mend = [cancel] if NOT_DECLARED in error else [retry, cancel]
            return self._say("no_code", why, since, "a deployment that declares it again", waits, mend)
        if head is not None and head.unreadable:
            return self._unreadable(head, since)
        if facts.contradiction or " is recorded, " in error:
            why = f"its code contradicts what is recorded: {facts.contradiction or error}"
            return self._say("code_contradicts_record", why, since, "a deployment", waits, [retry, cancel])
        what = "its input" if head is None else head.delivery.envelope.type
        why = f"its code failed on {what}: {error}"
        mend = [retry, cancel]
        if head is not None:
            mend.append(f"sagakit deliveries edit {head.delivery.id} {PAYLOAD} {REASON}")
        return self._say("parked_event", why, since, "a person: mend the code, then", waits, mend)

    def _compensation_failed(self) -> Explanation | None:
        if self._row.status != "compensation_failed":
            return None
        undos = [one for one in self._facts.sent if one.delivery.state == "parked"]
        broken = next((one for one in undos if one.unreadable), None)
        if broken is not None:
            return self._unreadable(broken, self._search.updated_at)
        mend = [self._command("resume-compensation")]
        mend += [f"sagakit deliveries drop {one.delivery.id} {REASON}" for one in undos]
        mend.append(self._command("abandon"))
        names = ", ".join(one.delivery.envelope.type for one in undos) or "an undo"
        why = f"{names} was given up: {self._search.reason}"
        waits = [wait_of(one, "person") for one in undos]
        return self._say("compensation_failed", why, self._search.updated_at, "a person", waits, mend)

    def _no_code(self) -> Explanation | None:
        if not self._facts.code:
            return None
        why = f"no worker has its code: {self._facts.code}"
        waits = [wait_of(one) for one in (*self._facts.own, *self._facts.sent)]
        mend = [] if self._facts.runs or self._facts.owner else [RUN]
        mend.append(self._command("cancel" if isinstance(self._record, SagaRecord) else "abandon"))
        return self._say("no_code", why, self._last_at(), "a deployment that declares it again", waits, mend)

    def _unreadable(self, one: Standing, since: int | None) -> Explanation:
        why = f"nobody can decode {one.delivery.envelope.type}: {one.unreadable}"
        return self._say("unreadable", why, since, "a person", [wait_of(one, "person")], mends_of(one))

    # ------------------------------------------------------------------ what it waits for

    def _queued(self) -> Explanation | None:
        """Something is there for it: it will be handled, if anybody does."""
        if not self._facts.own:
            return None
        head = self._facts.own[0]
        if head.unreadable:
            return self._unreadable(head, head.delivery.envelope.recorded_at)
        return self._under_way(head)

    def _parked_child(self) -> Explanation | None:
        """The only command of a saga that parks is one that starts a child; undos are not among what it waits for."""
        failed = any(
            one.delivery.state == "parked" and one.delivery.envelope.undoes is None for one in self._facts.sent
        )
        return self._child() if failed else None

    def _sent(self) -> Explanation | None:
        worst = min(self._facts.sent, key=urgency, default=None)
        if worst is None:
            return None
        delivery, waits = worst.delivery, [wait_of(one) for one in self._facts.sent]
        head = worst.head.delivery if worst.head else delivery
        since = delivery.envelope.recorded_at
        if worst.undeclared:
            why = (
                f"no worker has the code: {delivery.consumer}, which handles {delivery.envelope.type}, is not declared"
            )
            mend = [RUN, self._command("cancel")]
            return self._say("no_code", why, since, "a deployment that declares it again", waits, mend)
        if worst.unreadable and head is delivery:
            return self._unreadable(worst, since)
        if worst.head is not None and head.state in ("parked", "retrying"):
            there = f"{head.envelope.type}, which is {head.state}"
            why = f"{delivery.envelope.type} waits behind {there}, in the lane {head.lane}"
            mend, who = mends_of(worst.head), who_mends(head)
            return self._say("behind_another", why, since, who, waits, mend, blocked_by=blocker_of(head))
        if delivery.state == "retrying":
            why = f"{delivery.envelope.type} failed and is tried again: {delivery.error}"
            mend = [self._command("retry"), self._command("cancel")]
            return self._say("retrying", why, since, who_mends(delivery), waits, mend)
        return self._under_way(worst)

    def _under_way(self, one: Standing) -> Explanation:
        envelope = one.delivery.envelope
        if not self._facts.runs and self._facts.owner is None:
            why = f"{envelope.type} is to be handled, and no engine runs on this database"
            return self._say("no_engine", why, envelope.recorded_at, "whoever runs the app", [wait_of(one)], [RUN])
        if one.limit is not None:
            why = why_limited(envelope.type, one.delivery.consumer, one.limit)
            waits = [wait_of(one)]
            return self._say("waiting_for_limit", why, one.limit.since, who_opens(one.limit), waits)
        perhaps = "" if one.delivery.consumer == self._row.type else one.perhaps  # a process has no limits
        why = f"{envelope.type} is being handled by {one.delivery.consumer}{perhaps}"
        return self._say("under_way", why, envelope.recorded_at, f"{one.delivery.consumer}", [wait_of(one)])

    def _handed_over(self) -> Explanation | None:
        if not self._facts.handed:
            return None
        first = min(self._facts.handed, key=lambda one: one.since)
        who = first.to or "a participant"
        waits = [Wait("message", f"the answer to {one.type}", one.command_id, one.since) for one in self._facts.handed]
        waits += [timer_of(one) for one in self._timers() if one.kind == "step"]
        why = (
            f"it waits since {time_of(first.since)} for the answer of {who} to {first.type} {first.command_id}, "
            f"which {first.handler} has handed over"
        )
        mend = [f"sagakit processes give-result {self._id} --message TYPE {PAYLOAD} {REASON}"]
        mend = [*mend, self._command("cancel")] if self._row.status == "running" else [self._command("abandon")]
        return self._say("handed_over", why, first.since, who, waits, mend)

    def _child(self) -> Explanation | None:
        if not self._facts.children:
            return None
        child = self._facts.children[-1]
        wait = Wait("message", f"the end of its child {child.id}", child.command_id, self._last_at())
        why = f"it waits for its child {child.id}, which is {child.status}"
        mend = [f"sagakit processes explain {child.id}"]
        return self._say("waiting_for_child", why, self._last_at(), "see its child", [wait], mend)

    def _asleep(self) -> Explanation | None:
        timers = [one for one in self._timers() if one.kind in ("sleep", "reminder")]
        if not timers or (isinstance(self._record, SagaRecord) and self._record.receiving):
            return None
        first = min(timers, key=lambda one: one.due_at)
        waits = [timer_of(one) for one in self._timers()]
        late = first.due_at < self._facts.now
        if late and not self._facts.runs and self._facts.owner is None:
            why = f"its {words_of(first)} was over at {time_of(first.due_at)}, and no engine runs on this database"
            return self._say("no_engine", why, self._last_at(), "whoever runs the app", waits, [RUN])
        who = f"nobody: it wakes at {time_of(first.due_at)}"
        mend = [f"sagakit processes skip-step {self._id} --step {first.id} {REASON}"]
        return self._say(
            "sleeping", f"{words_of(first)}, until {time_of(first.due_at)}", self._last_at(), who, waits, mend
        )

    def _awaits_event(self) -> Explanation | None:
        receiving = self._record.receiving if isinstance(self._record, SagaRecord) else []
        if isinstance(self._record, SagaRecord) and not receiving:
            return None
        waits = [Wait("event", name, "", self._last_at()) for name in receiving]
        waits += [timer_of(one) for one in self._timers()]
        if self._facts.story:
            parked = self._facts.story[0]
            kind = parked.delivery.envelope.kind
            why = f"the {kind} {parked.delivery.envelope.type} of its story is parked: {parked.delivery.error}"
            if parked.unreadable:
                return self._unreadable(parked, parked.delivery.envelope.recorded_at)
            waits.append(wait_of(parked, "person"))
            since, blocker = parked.delivery.envelope.recorded_at, blocker_of(parked.delivery)
            return self._say("parked_command", why, since, "a person", waits, mends_of(parked), blocked_by=blocker)
        what = " or ".join(receiving) or "an event that it takes"
        message = receiving[0] if receiving else "TYPE"
        mend = [
            f"sagakit processes give-result {self._id} --message {message} {PAYLOAD} {REASON}",
            self._command("cancel"),
        ]
        why = f"it waits for {what} with the key {self._row.key!r}"
        return self._say("waiting_for_event", why, self._last_at(), f"whoever publishes {what}", waits, mend)

    def _lost(self) -> Explanation:
        """It waits for an outcome, and nothing is outstanding that could lead to it."""
        steps = self._under_way_steps()
        waits = [Wait("message", step.type, step.id, self._last_at()) for step in steps]
        what = ", ".join(step.type for step in steps) or "nothing that is recorded"
        mend = [f"sagakit processes give-result {self._id} --message TYPE {PAYLOAD} {REASON}", self._command("cancel")]
        why = f"it waits for the outcome of {what}, which is not outstanding any more: somebody has dropped it"
        return self._say("outcome_lost", why, self._last_at(), "a person", waits, mend)

    # ------------------------------------------------------------------ words

    def _say(
        self,
        situation: Situation,
        why: str,
        since: int | None,
        who: str,
        waits_for: list[Wait] | None = None,
        mend: list[str] | None = None,
        *,
        blocked_by: Blocker | None = None,
    ) -> Explanation:
        return Explanation(
            id=self._id,
            type=self._row.type,
            key=self._row.key,
            status=self._row.status,
            situation=situation,
            why=why + "".join(f"; each {one.command}: {one.words()}" for one in self._batches()),
            since=since,
            waits_for=waits_for or [],
            blocked_by=blocked_by,
            who=who,
            mend=mend or [],
            next_step="" if situation == "ended" else self._next_step(),
            engine=self._facts.runs or self._facts.owner is not None,
        )

    def _command(self, action: str) -> str:
        return f"sagakit processes {action} {self._id} {REASON}"

    def _last_at(self) -> int:
        last = self._facts.last
        return last.inputs[0].recorded_at if last is not None and last.inputs else self._search.updated_at

    def _batches(self) -> list[Progress]:
        return [] if isinstance(self._record, ManagerRecord) else progress_of(self._record.batches)

    def _timers(self) -> list[PendingTimer]:
        return self._record.reminders if isinstance(self._record, ManagerRecord) else self._record.timers

    def _under_way_steps(self) -> list[Step]:
        return (
            [one for one in self._record.steps if one.state == "sent"] if isinstance(self._record, SagaRecord) else []
        )

    def _undos_left(self) -> list[str]:
        if isinstance(self._record, ManagerRecord):
            return [one.undo.type for one in self._record.sent if one.undo is not None and not one.undone]
        left = OWED | {"undo_failed"}
        of_batches = {one.step: one.undo for one in self._record.batches}
        owed = [one for one in reversed(self._record.steps) if one.state in left]
        names = [of_batches[one.ordinal] if one.batch else one.undo and one.undo.type for one in owed]
        return [name for name in names if name]

    def _next_step(self) -> str:
        if self._row.status in ("undoing", "compensation_failed"):
            left = [one for one in self._undos_left() if one]
            return f"then it undoes: {', '.join(left)}" if left else "then it is compensated"
        steps = self._under_way_steps()
        if steps and self._facts.steps:
            names = list(self._facts.steps)
            name = short(steps[0].type)
            rest = names[names.index(name) + 1 :] if name in names else []
            return f"then step {len(names) - len(rest) + 1} ({rest[0]})" if rest else "then it is completed"
        if isinstance(self._record, ManagerRecord):
            return "then it reacts to what it is told"
        return "then its code goes on" + (f" with the outcome of {steps[0].type}" if steps else "")


def explain(facts: Facts) -> Explanation:
    """Why an instance stands where it stands."""
    return Explaining(facts).explain()
