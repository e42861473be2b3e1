"""Step sagas: commands filled from what is known, undos from their own outcome, errors that name the step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, get_type_hints

import pytest
from msgspec import Struct
from tests.core import driver as drivers
from tests.core.driver import Driver
from tests.core.messages import (
    A,
    ADone,
    ANo,
    B,
    BDone,
    BNo,
    C,
    CDone,
    CNo,
    Start,
    UndoA,
    UndoB,
    UndoC,
    UndoSaga,
)

from sagakit.core.process import Surroundings
from sagakit.core.saga.code_saga import SagaDefinition
from sagakit.core.saga.compensation import Undo, UndoFacts
from sagakit.core.saga.step_saga import Builder, Known, Step, StepSaga, compile_steps, is_undo
from sagakit.errors import OutcomeUnknown, ProcessBug, Refused


def hints(build: Any) -> Mapping[str, Any]:
    return get_type_hints(build, include_extras=True)


def saga(*steps: Step, undo: Any = None, returns: Any = None) -> Driver:
    declared = StepSaga[Any]("steps", *steps, starts_with=Start, key="key", undo=undo, returns=returns)
    code = compile_steps(declared, hints)
    around: Surroundings = drivers.AROUND
    return Driver(SagaDefinition("steps", code, around, starts_with=(Start,), receives=(), version=1))


NONE = CDone("none")
A_STEP = Step(A, then=ADone, undo=UndoA)
B_STEP = Step(B, then=BDone, undo=UndoB)
C_STEP = Step(C, then=CDone)


def test_steps_run_in_order_to_the_end() -> None:
    driver = saga(A_STEP, B_STEP, C_STEP)
    driver.start()
    for command, done in ((A, ADone()), (B, BDone()), (C, CDone())):
        driver.answer(driver.waiting(command), done)
    assert driver.types == ["A", "B", "C"]
    assert driver.live.status == "completed"


def test_it_ends_with_an_event_that_is_filled_from_what_is_known() -> None:
    driver = saga(A_STEP, returns=CDone)
    driver.start()
    reacted = driver.answer(driver.waiting(A), ADone("a-1"))
    assert [output.message for output in reacted.answers] == [CDone("a-1")]
    assert driver.live.status == "completed"


def test_a_function_says_what_it_ends_with() -> None:
    def end(start: Start, done: ADone) -> BDone:
        return BDone(f"{start.key} {done.id}")

    driver = saga(A_STEP, returns=end)
    driver.start()
    reacted = driver.answer(driver.waiting(A), ADone("a-1"))
    assert [output.message for output in reacted.answers] == [BDone("k a-1")]


def test_an_end_that_cannot_be_built_parks() -> None:
    def end(done: ADone) -> BDone:
        raise ValueError("not today")

    driver = saga(A_STEP, returns=end)
    driver.start()
    with pytest.raises(ProcessBug, match=r"returns=end: .*ValueError: not today"):
        driver.answer(driver.waiting(A), ADone("a-1"))


def test_a_refused_step_undoes_those_before_it_and_the_saga() -> None:
    driver = saga(A_STEP, B_STEP, C_STEP, undo=UndoSaga)
    driver.start()
    driver.answer(driver.waiting(A), ADone("a-1"))
    driver.answer(driver.waiting(B), BDone("b-1"))
    driver.answer(driver.waiting(C), CNo("no c"))
    driver.answer(driver.waiting(UndoB))
    driver.answer(driver.waiting(UndoA))
    driver.answer(driver.waiting(UndoSaga))
    assert [output.message for output in driver.sent[3:]] == [
        UndoB("b-1", "no c"),
        UndoA("a-1", "no c"),
        UndoSaga("no c"),
    ]
    assert (driver.live.status, driver.live.cause, driver.live.reason) == ("compensated", "refused", "no c")


def test_an_unknown_step_is_undone_first_with_nothing_known() -> None:
    driver = saga(A_STEP, B_STEP)
    driver.start()
    driver.answer(driver.waiting(A), ADone("a-1"))
    driver.fail(driver.waiting(B), "lost")
    assert driver.last(UndoB).message == UndoB("a-1", "lost"), "filled from the newest known event with that field"
    driver.answer(driver.waiting(UndoB))
    driver.answer(driver.waiting(UndoA))
    assert driver.live.cause == "failed"


def test_it_comes_back_by_replay() -> None:
    driver = saga(A_STEP, B_STEP, C_STEP)
    driver.start()
    driver.answer(driver.waiting(A), ADone("a-1"))
    driver = driver.revived()
    driver.answer(driver.waiting(B), BDone("b-1"))
    driver = driver.revived()
    driver.cancel("by hand")
    assert driver.last(UndoB).message == UndoB("b-1", "by hand")


# ---------------------------------------------------------------------- functions


def charge(start: Start, done: ADone) -> B:
    return B(start.amount + len(done.id))


def refund(start: Start, undo: Undo[BDone]) -> UndoB:
    return UndoB(undo.outcome.id if undo.outcome else start.key, undo.reason)


def test_functions_ask_for_events_and_for_what_is_known_of_the_undo() -> None:
    driver = saga(A_STEP, Step(charge, then=BDone, undo=refund, name="charge"), C_STEP)
    driver.start(Start("k", 10))
    driver.answer(driver.waiting(A), ADone("xyz"))
    assert driver.last(B).message == B(13)
    driver.answer(driver.waiting(B), BDone("b-1"))
    driver.cancel("by hand")
    assert driver.last(UndoB).message == UndoB("b-1", "by hand")


def test_a_function_may_ask_for_what_may_not_be_known() -> None:
    def undo(done: BDone | None, other: Annotated[CDone | ADone, "either"], late: CDone = NONE) -> UndoB:
        return UndoB(f"{done.id if done else '?'} {other.id} {late.id}")

    driver = saga(A_STEP, Step(B, then=BDone, undo=undo), C_STEP)
    driver.start()
    driver.answer(driver.waiting(A), ADone("a"))
    driver.cancel()
    assert driver.last(UndoB).message == UndoB("? a none")


def test_a_function_may_refuse() -> None:
    def too_much(start: Start) -> A:
        raise Refused("too much")

    driver = saga(B_STEP, Step(too_much, then=ADone))
    driver.start()
    driver.answer(driver.waiting(B), BDone())
    assert (driver.live.status, driver.live.cause, driver.live.reason) == ("undoing", "refused", "too much")


def test_several_events_may_count_as_success() -> None:
    driver = saga(Step(A, then=(ADone, ANo)), B_STEP)
    driver.start()
    driver.answer(driver.waiting(A), ANo())
    assert driver.types == ["A", "B"]


# ---------------------------------------------------------------------- what fills an undo


def test_an_undo_is_filled_from_its_own_outcome_and_not_from_later_events() -> None:
    driver = saga(A_STEP, B_STEP, C_STEP)
    driver.start()
    driver.answer(driver.waiting(A), ADone("a-1"))
    driver.answer(driver.waiting(B), BDone("b-1"))
    driver.answer(driver.waiting(C), CNo())
    driver.answer(driver.waiting(UndoB))
    assert driver.last(UndoA).message == UndoA("a-1", "no c")


def test_the_undo_of_the_saga_is_filled_from_all_that_is_known() -> None:
    driver = saga(A_STEP, B_STEP, undo=UndoC)
    driver.start()
    driver.answer(driver.waiting(A), ADone("a-1"))
    driver.answer(driver.waiting(B), BNo())
    driver.answer(driver.waiting(UndoA))
    assert driver.last(UndoC).message == UndoC("a-1", "no b")


# ---------------------------------------------------------------------- errors


def test_a_field_that_nothing_has_names_step_and_field() -> None:
    @dataclass(frozen=True)
    class Needs:
        absent: str

    driver = saga(A_STEP, Step(Needs, then=BDone))
    driver.start()
    with pytest.raises(ProcessBug, match=r"^step 2 \(Needs\): LookupError: Needs: no known event has 'absent'$"):
        driver.answer(driver.waiting(A), ADone())


def test_an_event_that_is_not_known_names_step_and_event() -> None:
    with pytest.raises(ProcessBug, match=r"^step 1 \(charge\): LookupError: charge: no ADone is known$"):
        saga(Step(charge, then=BDone)).start()


def test_an_undo_that_cannot_be_built_at_the_send_names_its_step() -> None:
    def undo(done: ADone) -> UndoA:
        return UndoA(done.id)

    driver = saga(Step(A, then=ADone, undo=undo))
    with pytest.raises(ProcessBug, match=r"^step 1 \(A\): do\(A\): its undo cannot be built .* no ADone is known"):
        driver.start()


def test_an_undo_of_the_saga_that_cannot_be_built_says_so() -> None:
    def undo(done: ADone) -> UndoSaga:
        return UndoSaga(done.id)

    with pytest.raises(ProcessBug, match=r"^the undo of the saga \(undo\): LookupError: undo: no ADone is known$"):
        saga(A_STEP, undo=undo).start()


def test_a_function_that_fails_names_step_and_line() -> None:
    def broken(start: Start) -> A:
        raise ValueError("bad")

    line = broken.__code__.co_firstlineno + 1
    with pytest.raises(ProcessBug, match=rf"^step 1 \(broken\): line {line} of test_step_saga.py: ValueError: bad$"):
        saga(Step(broken, then=ADone)).start()


def test_only_an_undo_has_what_is_known_of_it() -> None:
    def command(undo: Undo[Any]) -> A:
        return A()

    with pytest.raises(ProcessBug, match="'undo' asks for an Undo, which only an undo has"):
        saga(Step(command, then=ADone)).start()


# ---------------------------------------------------------------------- the builder by itself


class Parcel(Struct, frozen=True):
    parcel_id: str
    weight: int = 1


@dataclass(frozen=True)
class Ship:
    shared: ClassVar[str] = "no field"
    parcel_id: str
    weight: int = 5
    notes: tuple[str, ...] = ()
    secret: int = field(default=0, init=False)


def test_fields_come_from_the_newest_event_that_has_them_and_else_from_their_defaults() -> None:
    build = Builder(Ship, {})
    known = Known([Parcel("old", 7)])
    assert build(known) == Ship("old", 7)
    known.add(ADone("not a parcel"))
    known.add(Parcel("new", 8))
    assert build(known) == Ship("new", 8)


def test_a_property_of_an_event_is_no_field_of_it() -> None:
    @dataclass(frozen=True)
    class WithProperty:
        id: str = "x"

        @property
        def parcel_id(self) -> str:
            return "computed"

    with pytest.raises(LookupError, match="no known event has 'parcel_id'"):
        Builder(Ship, {})(Known([WithProperty()]))


def test_an_undos_reason_is_the_reason_and_a_commands_is_a_field() -> None:
    build = Builder(UndoA, {})
    known = Known([ANo("of the event")])
    assert build(known) == UndoA("", "of the event")
    assert build(known, UndoFacts(None, "why")) == UndoA("", "why")
    assert build(known, UndoFacts(ADone("own"), "why")) == UndoA("own", "why")


def test_what_asks_for_an_undo() -> None:
    assert is_undo(Undo)
    assert is_undo(Undo[ADone])
    assert not is_undo(ADone)


def test_how_things_are_shown() -> None:
    assert Step(A, then=ADone).name == "A"
    assert repr(StepSaga[Any]("ship", starts_with=Start, key="key")) == "<step saga ship>"
    assert issubclass(OutcomeUnknown, Exception)
