"""One saga in memory: what it is told resumes its code, and what its code awaits is performed."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from types import CodeType
from typing import Any

import msgspec

from sagakit.core.commit import ENDED, Cause, History, Instance, Status
from sagakit.core.lifecycle import BESIDES, CANCELS, OperatorActed, Restarted, TimerFired
from sagakit.core.process import Input, Reacted, Surroundings
from sagakit.core.queries import ItemQuery
from sagakit.core.saga.batches.batches import Batches
from sagakit.core.saga.compensation import Compensation, SagaRecord, Step
from sagakit.core.saga.coroutine.branches import Branch, Group
from sagakit.core.saga.coroutine.running import Running
from sagakit.core.saga.coroutine.waits import Arrivals, Repairs
from sagakit.core.saga.operations import Do, ForEach, Operation, Receive, RestartWith, Saga, Sleep, Then
from sagakit.core.saga.replay import check_record, replay
from sagakit.core.saga.rerun import check_nothing_followed, chosen
from sagakit.core.saga.restarting import ADVISED, Anew, beginning_of, check_length, of_this_run
from sagakit.core.saga.settling.flights import Flights
from sagakit.core.saga.settling.operated import Operated
from sagakit.core.saga.settling.outcomes import cause_of
from sagakit.core.saga.settling.passing import Passing
from sagakit.core.saga.settling.settling import Settling
from sagakit.core.saga.settling.times import Times
from sagakit.core.saga.settling.undoing import Undoing
from sagakit.core.saga.timing.deadline import Deadline
from sagakit.core.saga.timing.timers import Timers
from sagakit.core.saga.writing import Writing
from sagakit.errors import NotPossible, ProcessBug, TerminalError

__all__ = ["SagaLive", "Surroundings", "decode_record"]

decode_record = msgspec.json.Decoder(SagaRecord).decode
_encode = msgspec.json.Encoder().encode


class SagaLive:
    """The driver of one saga's coroutine."""

    def __init__(
        self,
        name: str,
        code: Callable[[Any, Saga], Coroutine[Any, Any, Any]],
        receives: tuple[type, ...],
        around: Surroundings,
        id: str,
        key: str,
        deadline: Deadline | None = None,
        starts_with: tuple[type, ...] = (),
    ) -> None:
        self.id, self.key = id, key
        self._name, self._deadline = name, deadline
        self._made_of = (name, code, receives, around, id, key, deadline, starts_with)
        self._starts_with = starts_with
        self._receives, self._around = receives, around
        self._writing = Writing(around, id)
        self._stack = Compensation(around, self._writing)
        self._code = Running(name, code, around, self._writing, self._stack, id, key)
        self._arrivals = Arrivals()
        self._repairs = Repairs()
        self._timers = Timers(self._writing, self._stack)
        self._flights = Flights(around, self._writing, self._stack, self._timers)
        self._undoing = Undoing(self._stack, self._flights, self._code, self._arrivals, self._repairs, self._timers)
        self._settling = Settling(around, self._writing, self._stack, self._flights, self._repairs, self._undoing)
        self._passing: Passing | None = None
        self._times: Times | None = None
        self._batches: Batches | None = None
        self._started_by = ""
        self._version = 0
        self._started = False
        self._history: Sequence[tuple[Input, History]] = ()

    # ------------------------------------------------------------------ what the engine calls

    @property
    def status(self) -> Status:
        return self._undoing.status

    @property
    def record(self) -> SagaRecord:
        """The stored state."""
        return self._stack.record

    @property
    def cause(self) -> Cause:
        return self.record.cause

    @property
    def reason(self) -> str:
        if self.status == "compensation_failed":
            return next((step.undo_error for step in self.record.steps if step.state == "undo_failed"), "")
        return self.record.reason

    @property
    def contradiction(self) -> str | None:
        return None if self._undoing.broken is None else str(self._undoing.broken)

    def undos(self) -> list[str]:
        """The wire names of the undos that are out or still to be sent."""
        return self._stack.undos()

    def in_flight(self) -> dict[str, Then]:
        """The commands whose outcome its code waits for, and what counts as their success."""
        items = {} if self._batches is None else self._batches.awaited()
        return self._flights.awaited() | items

    def snapshot(self) -> bytes:
        record = self._stack.record
        if (self._arrivals.waiting or record.receiving) and self._undoing.broken is None:
            by_class = self._around.codecs.by_class
            record.receiving = [by_class[event].name for event in self._arrivals.awaited()]
        return _encode(record)

    def wants(self, given: Input) -> Sequence[ItemQuery]:
        """The rows of its batches that this input has to bring along."""
        return () if self._batches is None else self._batches.wants(given)

    def react(self, given: Input) -> Reacted:
        """Handle one input; raises ProcessBug where the saga's code cannot go on."""
        reacted, self._undoing.threw = self._writing.begin(given), False
        try:
            first, batches = given.messages[0], self._batches
            if batches is not None:
                batches.bring(given.items)
            if first.__class__ in BESIDES:
                self._take_besides(first, given)
            elif self._undoing.broken is not None:
                raise self._undoing.broken
            elif not self._started:
                self._begin(first, given)
            elif batches is not None and batches.take(given):
                pass
            elif (command_id := given.command_id) is None or not self._settling.outcome(command_id, given.messages):
                self._take(given.messages)
            if self._code.main is not None:
                if self._repairs.stacks:
                    self._repairs.go_on(self._stack)
                self._after_code(self._code.main)
            self._version += 1
            if not reacted.recorded:
                self.record.unrecorded += 1
            if self._version >= ADVISED and self._undoing.status == "running" and not self._code.silent:
                check_length(self._version, self.record, self._code.log)
        except BaseException:
            self.evict()
            raise
        self._writing.end()
        return reacted

    def _take_besides(self, first: Any, given: Input) -> None:
        if first.__class__ in CANCELS:
            self._undoing.cancel(first.reason)
        elif first.__class__ is TimerFired:
            self._all_times().fire(given, started_by=self._started_by, instance=self.id)
        elif first.__class__ is OperatorActed:
            self._started = self._operated().act(first, given) or self._started
        elif self._undoing.broken is not None:
            raise self._undoing.broken
        else:
            self._begin(first, given)

    def revive(self, row: Instance, history: Sequence[tuple[Input, History]]) -> None:
        """Bring the code to where it stood, and take what is recorded: that wins over what a replay builds.

        Code that contradicts its record is told of when it is needed: a cancel does without it.
        """
        record = decode_record(row.state)
        history, anew = of_this_run(history, record)
        self._undoing.status = row.status
        if row.status in ("running", "parked"):
            self._undoing.status = "undoing" if record.undoing else "running"
        if self.status != "running":
            self._started, self._history = True, history
            self._settling.relearn = self._relearn
        elif record.since and anew is None:
            self._await_restart(history, row)
        else:
            try:
                self._replay(history, running=True)
                batches = self._batches.in_flight() if self._batches is not None else ()
                check_record(self.record, record, {*self._flights.out, *batches})
                if record.batches:
                    self._all_batches().check(record)
            except ProcessBug as contradiction:
                self.evict()
                self._undoing.broken = contradiction
        self._stack.restore(record)
        self._version = row.version
        if record.batches:
            self._all_batches().restore(record, code=self._code.main is not None)

    def reopen(self, row: Instance, history: Sequence[tuple[Input, History]], step: int) -> None:
        """Bring the code back to where it waited for a batch whose failed items are to be sent again."""
        stored = decode_record(row.state)
        history, anew = of_this_run(history, stored)
        check_nothing_followed(stored, history, chosen(stored, str(step)))
        self._enter(anew)
        if stored.since and (anew is None or step <= self.record.sent):
            raise NotPossible(f"the saga has gone on anew since step {step}: start a new instance with what failed")
        self._code.silent = True
        replay(self, history, running=True, rerun=step)
        self._code.silent = False
        if row.status in ENDED:
            self._timers.clear()
        self.record.batches, self.record.unrecorded = stored.batches, stored.unrecorded
        self._version = row.version
        self._all_batches().restore(self.record, code=True)

    def silence(self) -> None:
        """Its code says nothing in the log."""
        self._code.silent = True

    def evict(self) -> None:
        """Let go of the coroutine; nothing that it does while it is closed has an effect."""
        self._code.silent, self._writing.reacted = True, Reacted()
        self._undoing.close_code()
        # whoever waits, and the undo functions, hold this and are held by it: cut, all of it is free at once
        self._flights.out.clear()
        self._timers.let_go()
        self._stack.undoers.clear()

    # ------------------------------------------------------------------ what branches call (Performer)

    @property
    def author(self) -> CodeType | None:
        return self._code.author

    def perform(self, branch: Branch, operation: Operation[Any]) -> bool:
        wanted: Any = operation  # its class says what it is
        if operation.__class__ is Do:
            self._flights.send(branch, wanted)
            return False
        if operation.__class__ is ForEach:
            return self._all_batches().begin(branch, wanted.asked)
        if operation.__class__ is Receive:
            return self._receive(branch, wanted)
        if operation.__class__ is Sleep:
            return self._all_times().wait(branch, operation, wanted.delay, "sleep")
        return self._repairs.undo_all(branch, self._stack)

    def withdraw(self, losers: Sequence[Branch], waiting: Sequence[Branch | Group], heir: Group) -> int:
        lost = frozenset(waiting)
        self._arrivals.withdraw(lost)
        self._timers.withdraw(lost)
        undos = self._repairs.withdraw(lost, heir)
        for step in self._give_up(lost):
            if self._stack.owes(step):
                self._stack.undo(step, "lost to another branch")
                self._repairs.wait_for(step, heir)
                undos += 1
        self._code.withdraw(losers)
        return undos

    def _give_up(self, lost: frozenset[object]) -> list[Step]:
        """What these branches wait for is given up, newest first, as all undoing."""
        if self._batches is None:
            return [self._flights.give_up(command_id) for command_id in reversed(self._flights.of(lost))]
        flights = [self._stack.of(command_id) for command_id in self._flights.of(lost)]
        steps = [*self._batches.of(lost), *(step for step in flights if step is not None)]
        steps.sort(key=lambda step: step.ordinal, reverse=True)
        for step in steps:
            if step.batch:
                self._batches.give_up(step, "lost to another branch")
            else:
                self._flights.give_up(step.id)
        return steps

    # ------------------------------------------------------------------ running the code

    def _after_code(self, main: Branch) -> None:
        if self._code.dropped:
            self._code.check_dropped(threw=self._undoing.threw or main.error is not None)
        if not main.ended or self._undoing.status != "running":
            return
        self._code.main = None
        if main.value.__class__ is RestartWith:
            self._anew().leave(main.value.start, self._starts_with, self._version + 1, self._started_by)
            return
        if main.error is not None:
            self._undoing.stop(cause_of(main.error), main.error.reason)
            self._undoing.next()
            return
        self._undoing.status = "completed"
        self._stack.forget()
        self._timers.clear()
        if main.value is not None:
            try:
                reacted = self._writing.reacted
                reacted.answers.append(self._writing.event(main.value))
            except (TerminalError, TypeError) as error:
                raise ProcessBug(f"what the saga returns: {error}") from error

    # ------------------------------------------------------------------ going on anew

    def _anew(self) -> Anew:
        return Anew(self._around, self._writing, self._stack, self._arrivals)

    def _begin(self, first: Any, given: Input) -> None:
        if isinstance(first, Restarted):
            if self.status != "running":
                return
            self._started_by, start = first.started_by, self._anew().take_over(first)
            passing = self._all_times().passing
            if passing is not None:
                passing.begin_anew(start)
            self._code.start(start, self)
        else:
            self._started, self._started_by = True, given.id
            if self._deadline is not None:
                self._under(self._deadline).begin(given)
            self._code.start(first, self)

    def _await_restart(self, history: Sequence[tuple[Input, History]], row: Instance) -> None:
        """It stopped between two runs: what came meanwhile waits for the next one."""
        self._started = True
        self._stack.restore(decode_record(row.state))
        for given, _ in history:
            if given.command_id is None or self._stack.of(given.command_id) is None:
                self._take(given.messages)

    # ------------------------------------------------------------------ what few sagas have

    def _all_batches(self) -> Batches:
        if self._batches is None:
            self._batches = Batches(self._around, self._writing, self._stack, self._repairs, self._undoing, self.id)
        return self._batches

    def _operated(self) -> Operated:
        parts = (self._around, self._writing, self._stack, self._flights)
        return Operated(*parts, self._undoing, self._settling, self._arrivals, self._timers)

    def _all_times(self) -> Times:
        if self._times is None:
            passing = None if self._deadline is None else self._under(self._deadline)
            self._times = Times(passing, self._timers, self._undoing, self._settling, self._arrivals, self._code)
        return self._times

    def _under(self, deadline: Deadline) -> Passing:
        if self._passing is None:
            self._passing = Passing(deadline, self._name, self.key, self.id, self._writing, self._timers, self._undoing)
        return self._passing

    # ------------------------------------------------------------------ events by key

    def _receive(self, branch: Branch, receive: Receive) -> bool:
        if receive.event not in self._receives:
            raise ProcessBug(f"{receive.where()}: {receive.what()}: declare it with receives={receive.event.__name__}")
        if self._arrivals.receive(branch, receive.event):
            return True
        if receive.timeout is None:
            return False
        what = self._around.codecs.by_class[receive.event].name
        if self._all_times().wait(branch, receive, receive.timeout, "receive", what):
            self._arrivals.withdraw((branch,))
            return True
        return False

    def _take(self, messages: tuple[Any, ...]) -> None:
        for message in messages:
            if self.status == "running" and type(message) in self._receives:
                branch = self._arrivals.take(message)
                if branch is not None:
                    self._timers.settled(branch)
                    branch.resume(message)

    # ------------------------------------------------------------------ replay

    def _replay(self, history: Sequence[tuple[Input, History]], *, running: bool) -> None:
        self._enter(beginning_of(history))
        self._code.silent = True
        replay(self, history, running=running)
        self._code.silent = False

    def _enter(self, anew: Restarted | None) -> None:
        """A replay begins: with the first message, or with how the saga stood when it went on anew."""
        if anew is not None:
            self._started = True
            self._stack.restore(decode_record(bytes(anew.record)))

    def _relearn(self, step: Step) -> None:
        """Replay the code as far as it went, for the undo functions that an eviction has taken."""
        history, self._history = self._history, ()
        begun = not self.record.since or beginning_of(history) is not None
        if not history or not begun or step in self._stack.undoers:
            return
        before = SagaLive(*self._made_of)
        try:
            before._replay(history, running=False)
        except ProcessBug:
            return  # the code has changed or cannot run: the recorded undo goes out
        self._stack.undoers, before._stack.undoers = before._stack.undoers, self._stack.undoers
        before.evict()
