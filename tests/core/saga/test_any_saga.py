"""What holds for every saga, whatever its code, its outcomes and their order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.core.driver import Driver, stored
from tests.core.messages import DOS, Notified, Notify, Odd, Paid, Shipped, Undone, UndoSaga
from tests.core.saga.programs import Do, Node, code_of, programs

from sagakit.core.commit import ENDED
from sagakit.core.process import Output, Timer

UNDOS = {*(undo for _, _, undo in DOS.values()), UndoSaga}

THOROUGH = settings(deadline=None, suppress_health_check=list(HealthCheck))


class World:
    """Answers what a saga sends, in an order and with outcomes that are drawn, and keeps what really happened."""

    def __init__(self, program: Node, draw: Callable[[Any], Any], *, failing_undos: bool) -> None:
        self.steps: dict[int, Do] = {}
        self.driver = Driver(code_of(program, self.steps))
        self.draw = draw
        self.failing_undos = failing_undos
        self.outcomes: dict[str, list[str]] = {}
        """What came for each command, in its order."""
        self.failed_undos = 0

    def run(self) -> None:
        self.driver.start()
        for _ in range(40):
            if self.over():
                break
            self.next()
        self.settle()
        while self.draw(st.booleans()) and (unknown := self.unknown()):
            self.straggler(self.draw(st.sampled_from(unknown)))
            self.settle()

    def over(self) -> bool:
        return self.driver.live.status in (*ENDED, "compensation_failed") and not self.driver.pending()

    def settle(self) -> None:
        for _ in range(200):
            if self.over():
                return
            pending = self.driver.pending()
            if pending:
                self.tell(pending[0], "success")
            elif self.driver.timers:
                self.driver.fire()
            else:
                self.driver.event(Paid(1))
                self.driver.event(Shipped("p"))
        raise AssertionError(f"never ends: {self.driver.live.status} {self.driver.types}")

    def next(self) -> None:
        pending, unknown = self.driver.pending(), self.unknown()
        match self.draw(
            st.sampled_from(["paid", "shipped", "cancel", "stale", *["time"] * 3, *["command"] * 12, *["late"] * 3])
        ):
            case "command" if pending:
                self.command(self.draw(st.sampled_from(pending)))
            case "late" if unknown:
                self.straggler(self.draw(st.sampled_from(unknown)))
            case "cancel" if self.draw(st.integers(0, 5)) == 0:
                self.driver.cancel("by hand")
            case "time" if self.driver.timers:
                self.driver.fire(late=self.draw(st.integers(0, 10**6)))
            case "stale" if self.driver.forgotten:
                self.driver.fire(self.forgotten())
            case "paid":
                self.driver.event(Paid(1))
            case _:
                self.driver.event(Shipped("p"))

    def forgotten(self) -> Timer:
        """One that had fired when it was forgotten."""
        ids = self.driver.forgotten
        return self.draw(st.sampled_from([timer for timer in self.driver.set if timer.id in ids]))

    def unknown(self) -> list[Output]:
        """Commands of which something may still come: given up, and nothing known of them yet."""
        return [
            output
            for output in self.driver.sent
            if type(output.message) in DOS
            and (output.id in self.driver.withdrawn or output.id in self.outcomes)
            and self.truth(output) == "unknown"
        ]

    def command(self, output: Output) -> None:
        if type(output.message) in DOS:
            kinds = ["success"] * 5 + ["refusal", "nothing", "broken", "odd", "known"]
            self.tell(output, self.draw(st.sampled_from(kinds)))
        elif type(output.message) in UNDOS and self.failing_undos and self.draw(st.integers(0, 9)) == 0:
            self.failed_undos += 1
            self.driver.fail(output, "undo broken")
        else:
            self.tell(output, self.draw(st.sampled_from(["success", "nothing"])))

    def straggler(self, output: Output) -> None:
        self.tell(output, self.draw(st.sampled_from(["success", "success", "refusal", "nothing", "odd", "broken"])))

    def tell(self, output: Output, kind: str) -> None:
        self.outcomes.setdefault(output.id, []).append(kind)
        success, refusal, _ = DOS.get(type(output.message), (Undone, Undone, Undone))
        match kind:
            case "success" if type(output.message) is Notify:
                self.driver.answer(output, Notified())
            case "success" if type(output.message) in DOS:
                self.driver.answer(output, success(f"{output.message.n}!"))
            case "success":
                self.driver.answer(output, Undone())
            case "refusal":
                self.driver.answer(output, refusal())
            case "nothing":
                self.driver.answer(output)
            case "odd":
                self.driver.answer(output, Odd())
            case _:
                self.driver.fail(output, "broken", known_not_done=kind == "known")

    def truth(self, output: Output, *, first: bool = False) -> str:
        """Whether a command is done, as far as anybody knows: the first known outcome counts.

        `first`: as far as was known when its first outcome came.
        """
        anything = self.steps[output.message.n].any_outcome
        for kind in self.outcomes.get(output.id, [])[: 1 if first else None]:
            if kind == "success" or (anything and kind in ("refusal", "nothing", "odd")):
                return "done"
            if kind in ("refusal", "nothing", "known"):
                return "not done"
        return "unknown"

    def undoable(self) -> list[Output]:
        return [output for output in self.driver.sent if output.id in self.driver.ordinals and output.undoes is None]

    def undos_of(self, output: Output) -> list[Output]:
        return [undo for undo in self.driver.sent if undo.undoes == output.id]


def played(program: Node, data: st.DataObject, *, failing_undos: bool = False) -> World:
    world = World(program, data.draw, failing_undos=failing_undos)
    world.run()
    return world


@THOROUGH
@given(programs, st.data())
def test_every_saga_ends_or_waits_for_a_person(program: Node, data: st.DataObject) -> None:
    world = played(program, data, failing_undos=True)

    assert world.over()
    assert not world.driver.timers, "nothing is left that would fire after the end"
    assert world.driver.record.timers == []
    assert len({timer.id for timer in world.driver.set}) == len(world.driver.set)
    assert (world.driver.live.status == "compensation_failed") == (world.failed_undos > 0)


@THOROUGH
@given(programs, st.data())
def test_what_is_compensated_has_left_nothing_behind(program: Node, data: st.DataObject) -> None:
    world = played(program, data)

    for output in world.undoable():
        undos = world.undos_of(output)
        given_up = output.id in world.driver.withdrawn or world.truth(output, first=True) == "unknown"
        if world.driver.live.status == "compensated" and world.truth(output) != "not done":
            assert undos
        if undos:
            assert undos[-1].id in world.driver.answered
        if world.truth(output) == "not done" and not given_up:
            assert not undos
        if given_up and world.truth(output) != "not done":
            assert undos, "what the code gave up is undone, even if the saga completes"


@THOROUGH
@given(programs, st.data())
def test_an_undo_follows_what_it_undoes_and_knows_it(program: Node, data: st.DataObject) -> None:
    world = played(program, data)
    driver = world.driver
    told: dict[str, int] = {}
    for number, entry in enumerate(driver.history):
        for envelope in entry.inputs:
            if envelope.causation_id and type(envelope.message) in {done for done, _, _ in DOS.values()}:
                told.setdefault(envelope.causation_id, number)

    for output in world.undoable():
        undos = world.undos_of(output)
        step = world.steps[output.message.n]
        if not undos or world.truth(output) != "done" or output.id not in told:
            continue
        sent = next(n for n, entry in enumerate(driver.history) if undos[-1].id in {one.id for one in entry.outputs})
        assert sent >= told[output.id], "the last undo is sent when the success is known"
        if step.undoing == "function" and not step.any_outcome:
            assert undos[-1].message.id == f"{output.message.n}:{output.message.n}!"
        assert len({undo.id for undo in undos}) == len(undos) <= 2


@THOROUGH
@given(programs, st.data())
def test_undoing_goes_backwards_one_by_one(program: Node, data: st.DataObject) -> None:
    world = played(program, data, failing_undos=True)
    driver = world.driver
    before, out, last = "running", set[str](), 10**9
    for entry, row, given_up in zip(driver.history, driver.rows, driver.given_up, strict=True):
        answered = {envelope.causation_id for envelope in entry.inputs}
        out -= {*answered, *given_up}
        for output in entry.outputs:
            again = output.undoes in answered  # a late success is undone at once
            if output.undoes is not None and not again and before != "completed" and row.status != "running":
                assert not out
                ordinal = driver.ordinals[output.undoes or output.id]
                assert ordinal < last
                last = ordinal
            if output.undoes is not None:
                out.add(output.id)
        before = row.status
    if before == "compensation_failed":
        assert world.failed_undos


@THOROUGH
@given(programs, st.data())
def test_a_replay_from_any_point_goes_on_the_same(program: Node, data: st.DataObject) -> None:
    driver = played(program, data, failing_undos=True).driver

    for point in range(1, len(driver.history)):
        history = stored(driver.history)
        live = driver.definition.revive(driver.rows[point - 1], history[:point])
        for (given_again, recorded), row, given_up, times in zip(
            history[point:], driver.rows[point:], driver.given_up[point:], driver.times[point:], strict=True
        ):
            reacted = live.react(given_again)
            assert [(one.id, one.type, one.payload, one.undoes) for one in reacted.outputs] == [
                (one.id, one.type, one.payload, one.undoes) for one in recorded.outputs
            ]
            assert reacted.withdrawn == given_up
            assert (reacted.timers, reacted.forgotten) == times
            assert live.status == row.status
            assert live.snapshot() == row.state
        live.evict()
