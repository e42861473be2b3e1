"""Process managers: what they are told, what they answer, and how they undo by themselves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import msgspec
import pytest
from msgspec import Struct
from tests.core.driver import Driver
from tests.core.managers import CAREFUL, CHAIN, careful, manager, not_taking_failed
from tests.core.messages import (
    A,
    ADone,
    ANo,
    B,
    BDone,
    C,
    Ended,
    Notify,
    Odd,
    Paid,
    Start,
    UndoA,
    UndoB,
    Undone,
)

from sagakit.core.lifecycle import Cancelled, Failed
from sagakit.core.process_manager.answers import End, Undoing
from sagakit.core.process_manager.live import ManagerDefinition, ManagerLive
from sagakit.errors import ProcessBug


def live_of(driver: Driver) -> ManagerLive:
    assert isinstance(driver.live, ManagerLive)
    return driver.live


def told(driver: Driver) -> tuple[str, ...]:
    return live_of(driver).state.told


# ---------------------------------------------------------------------- what it is told


def test_declared_outcomes_are_told_and_lead_on() -> None:
    driver = not_taking_failed()
    driver.answer(driver.last(A), ADone("1"))
    driver.answer(driver.last(B), BDone("2"))
    assert driver.types == ["A", "B"]
    assert live_of(driver).state.done == ("1", "2")
    assert (driver.live.status, driver.live.cause) == ("completed", "")


def test_each_event_of_an_outcome_is_told() -> None:
    driver = not_taking_failed()
    driver.answer(driver.last(A), ADone("1"), ADone("2"))
    assert live_of(driver).state.done == ("1", "2")
    assert driver.types == ["A", "B", "B"]


def test_what_it_does_not_take_is_recorded_only() -> None:
    driver = not_taking_failed()
    driver.event(Paid())
    driver.answer(driver.last(A))
    driver.fail(driver.last(A), known_not_done=True)
    driver.cancel()
    assert driver.types == ["A"]
    assert (driver.live.status, driver.live.cause) == ("running", "")


def test_a_failure_that_it_does_not_take_parks_it() -> None:
    driver = not_taking_failed()
    with pytest.raises(ProcessBug, match=r"^no route: Chain takes no Failed$"):
        driver.fail(driver.last(A), "no route")


@pytest.mark.parametrize(
    ("how", "reason", "known_not_done"),
    [("given up", "no route", False), ("nothing", "t.A led to no event", True), ("known", "no route", True)],
)
def test_failed_has_command_reason_and_what_is_known(how: str, reason: str, known_not_done: bool) -> None:
    heard: list[Any] = []

    @dataclass(frozen=True)
    class Hears:
        def react(self, event: Start | Failed[A]) -> Any:
            if isinstance(event, Start):
                return A(7)
            heard.append(event)
            return None

    driver = Driver(manager(Hears, (), (Start, Failed)))
    driver.start()
    if how == "nothing":
        driver.answer(driver.last(A))
    else:
        driver.fail(driver.last(A), "no route", known_not_done=how == "known")
    assert heard == [Failed(A(7), reason, known_not_done)]
    assert driver.live.cause == ("refused" if known_not_done else "failed")
    assert driver.live.reason == reason


def test_a_cancel_is_told_and_it_stays_running() -> None:
    driver = careful()
    driver.answer(driver.last(A), ADone())
    driver.cancel("by hand")
    assert (driver.live.status, driver.live.cause, driver.live.reason) == ("running", "cancelled", "by hand")
    assert driver.last(UndoA).message == UndoA("", "by hand")


def test_what_comes_after_the_end_is_recorded_only() -> None:
    driver = not_taking_failed()
    driver.answer(driver.last(A), ANo("no"))
    assert (driver.live.status, driver.live.cause, driver.live.reason) == ("compensated", "refused", "no")
    state = live_of(driver).state
    driver.answer(driver.last(A), ADone())
    driver.fail(driver.last(A))
    driver.cancel()
    driver.start()
    assert live_of(driver).state == state
    assert driver.types == ["A"]
    assert driver.live.status == "compensated"


# ---------------------------------------------------------------------- what it answers


def answering(*answers: Any) -> Driver:
    @dataclass(frozen=True)
    class Answers:
        def react(self, event: Start) -> Any:
            return answers[0] if len(answers) == 1 else list(answers)

    driver = Driver(manager(Answers, (), (Start,)))
    driver.start()
    return driver


def test_it_answers_commands_and_events() -> None:
    driver = answering(A(), Ended("e"), Notify("n"))
    assert [(output.kind, output.type) for output in driver.sent] == [
        ("command", "t.A"),
        ("event", "t.Ended"),
        ("command", "t.Notify"),
    ]
    assert len({output.id for output in driver.sent}) == 3


@pytest.mark.parametrize("nothing", [None, [], ()])
def test_it_may_answer_nothing(nothing: Any) -> None:
    assert answering(nothing).sent == []


@pytest.mark.parametrize(
    ("end", "status", "cause", "reason"),
    [
        (End(), "completed", "", ""),
        (End("completed", "all in"), "completed", "", "all in"),
        (End("compensated", "no stock"), "compensated", "refused", "no stock"),
    ],
)
def test_it_ends_itself(end: End, status: str, cause: str, reason: str) -> None:
    driver = answering(Ended(), end)
    assert (driver.live.status, driver.live.cause, driver.live.reason) == (status, cause, reason)


@pytest.mark.parametrize("answer", [object(), "text", 3, A])
def test_an_answer_that_is_no_message(answer: Any) -> None:
    with pytest.raises(ProcessBug, match=r"^Answers on Start: .* is not a message of this app"):
        answering(answer)


def test_an_answer_that_does_not_fit_its_type() -> None:
    with pytest.raises(ProcessBug, match=r"^Answers on Start: t.A: n: Expected `int`, got `str`$"):
        answering(A("one"))  # type: ignore[arg-type]


# ---------------------------------------------------------------------- bugs


def test_a_bug_in_react_names_its_line() -> None:
    @dataclass(frozen=True)
    class Broken:
        def react(self, event: Start) -> Any:
            raise ValueError("bad")

    line = Broken.react.__code__.co_firstlineno + 1
    with pytest.raises(ProcessBug, match=rf"^Broken on Start, line {line} of test_live.py: ValueError: bad$"):
        Driver(manager(Broken, (), (Start,))).start()


def test_evolve_must_return_the_class() -> None:
    @dataclass(frozen=True)
    class Forgets:
        def evolve(self, event: Start) -> Any:
            pass

        def react(self, event: Start) -> Any:
            return None

    with pytest.raises(ProcessBug, match=r"^Forgets on Start: evolve returns a NoneType, not a Forgets$"):
        Driver(manager(Forgets, (Start,), (Start,))).start()


def test_it_must_start_without_arguments() -> None:
    @dataclass(frozen=True)
    class Needs:
        key: str

        def react(self, event: Start) -> Any:
            return None

    with pytest.raises(ProcessBug, match=r"^Needs has to start without arguments"):
        Driver(manager(Needs, (), (Start,)))


def test_a_state_that_does_not_fit_its_class_is_found_when_it_is_stored() -> None:
    @dataclass(frozen=True)
    class Wrong:
        count: int = 0

        def evolve(self, event: Start) -> Self:
            return type(self)("one")  # type: ignore[arg-type]

        def react(self, event: Start) -> Any:
            return None

    with pytest.raises(
        ProcessBug, match=r"^the state does not fit its class: Wrong: count: Expected `int`, got `str`$"
    ):
        Driver(manager(Wrong, (Start,), (Start,))).start()


def test_a_stored_state_that_does_not_fit_its_class_any_more() -> None:
    driver = not_taking_failed()
    driver.row.state = b'{"state":{"done":3}}'
    with pytest.raises(ProcessBug, match=r"^the stored state does not fit its class: Chain: done: Expected `array`"):
        driver.revived()


# ---------------------------------------------------------------------- state


def test_its_state_round_trips() -> None:
    @dataclass(frozen=True)
    class Batch:
        waiting: frozenset[str] = frozenset()
        start: Start | None = None

        def evolve(self, event: Start) -> Batch:
            return Batch(frozenset({"a", "b"}), event)

        def react(self, event: Start) -> Any:
            return None

    definition = ManagerDefinition(
        "Batch",
        Batch,
        CHAIN.around,
        starts_with=(Start,),
        evolves=frozenset({Start}),
        reacts=frozenset({Start}),
        version=1,
    )
    driver = Driver(definition)
    driver.start(Start("k", 3))
    revived = driver.revived()
    assert live_of(revived).state == live_of(driver).state == Batch(frozenset({"a", "b"}), Start("k", 3))
    assert revived.live.snapshot() == driver.live.snapshot()


def test_what_it_holds_in_memory_is_what_a_load_gives() -> None:
    @dataclass(frozen=True)
    class Listing:
        seen: tuple[str, ...] = ()

        def evolve(self, event: Start) -> Self:
            return type(self)([event.key])  # type: ignore[arg-type]

        def react(self, event: Start) -> Any:
            return None

    driver = Driver(manager(Listing, (Start,), (Start,)))
    driver.start()
    assert live_of(driver).state.seen == ("k",)


def test_a_struct_may_be_a_manager() -> None:
    class Counter(Struct, frozen=True):
        count: int = 0

        def evolve(self, event: Paid) -> Counter:
            return Counter(self.count + event.amount)

        def react(self, event: Start | Paid) -> Any:
            return End() if self.count > 3 else None

    driver = Driver(manager(Counter, (Paid,), (Start, Paid)))
    driver.start()
    driver.event(Paid(2))
    driver = driver.revived()
    driver.event(Paid(2))
    assert driver.live.status == "completed"


def test_a_start_that_failed_starts_when_it_is_handled_again() -> None:
    driver = Driver(CHAIN).revived(status="parked")
    driver.start()
    assert driver.types == ["A"]


def test_a_definition_names_what_it_takes() -> None:
    assert not CAREFUL.replays
    assert CAREFUL.starts_with == (Start,)
    assert set(CAREFUL.receives) == {ADone, BDone, Undone}


# ---------------------------------------------------------------------- undoing


def test_an_undo_names_the_command_and_any_answer_to_it_is_told() -> None:
    driver = careful()
    driver.answer(driver.last(A), ADone())
    driver.fail(driver.last(B), "no b")
    assert driver.withdrawn == [], "A is settled"
    assert driver.last(UndoA).undoes == driver.last(A).id
    assert driver.live.undos() == ["t.UndoA"]
    driver = driver.revived()
    driver.answer(driver.last(UndoA), Undone())
    assert told(driver) == ("ADone", "Failed", "Undone")
    assert (driver.live.status, driver.live.cause, driver.live.reason) == ("compensated", "failed", "no b")
    assert driver.live.undos() == []


def test_an_answer_without_events_counts_as_done_and_is_not_told() -> None:
    driver = careful()
    driver.answer(driver.last(A), ADone())
    driver.fail(driver.last(B))
    driver.answer(driver.last(UndoA))
    assert told(driver) == ("ADone", "Failed")
    assert driver.live.undos() == []


def test_undoing_a_command_in_flight_gives_it_up_without_a_failed() -> None:
    driver = careful()
    driver.cancel("by hand")
    assert driver.withdrawn == [driver.last(A).id]
    assert driver.live.undos() == ["t.UndoA"]
    driver.fail(driver.last(A), "given up at the same time")
    driver.answer(driver.last(A), ANo())
    assert told(driver) == ("Cancelled",)


@pytest.mark.parametrize("undone", [False, True])
def test_a_late_success_sends_the_undo_once_more_and_is_not_told(undone: bool) -> None:
    driver = careful()
    driver.cancel("by hand")
    first = driver.last(UndoA)
    if undone:
        driver.answer(first)
    driver = driver.revived()
    driver.answer(driver.last(A), ADone("late"))
    again = driver.last(UndoA)
    assert (again.id != first.id, again.message, again.undoes) == (True, first.message, first.undoes)
    assert (first.id in driver.withdrawn) is not undone
    assert told(driver) == ("Cancelled",)
    driver.answer(driver.last(A), ADone("doubled"))
    assert driver.types.count("UndoA") == 2


@pytest.mark.parametrize("undone", [False, True])
def test_that_a_command_is_undone_is_told_once_however_often_it_was_undone(undone: bool) -> None:
    @dataclass(frozen=True)
    class Counting:
        told: tuple[str, ...] = ()

        def evolve(self, event: Undone | Cancelled) -> Any:
            return replace(self, told=(*self.told, type(event).__name__))

        def react(self, event: Start | Cancelled) -> Any:
            return A() if isinstance(event, Start) else Undoing(UndoA(), of=A())

    driver = Driver(manager(Counting, (Undone, Cancelled), (Start, Cancelled)))
    driver.start()
    driver.cancel()
    first = driver.last(UndoA)
    if undone:
        driver.answer(first, Undone())
    driver.answer(driver.last(A), ADone("late"))
    again = driver.last(UndoA)
    driver = driver.revived()
    if not undone:  # it was running when the late success came: its answer comes all the same
        driver.answer(first, Undone())
        assert told(driver) == ("Cancelled",)
        assert driver.live.undos() == ["t.UndoA"]
    driver.answer(again, Undone())
    assert told(driver) == ("Cancelled", "Undone")
    assert driver.live.undos() == []


def test_a_late_success_after_the_end_is_undone() -> None:
    driver = careful()
    driver.cancel()
    driver.answer(driver.last(UndoA), Undone())
    assert driver.live.status == "compensated"
    driver.answer(driver.last(A), ADone("late"))
    assert driver.types == ["A", "UndoA", "UndoA"]
    driver.fail(driver.last(UndoA), "cannot undo")
    assert driver.live.status == "compensation_failed"


def test_a_doubled_outcome_is_not_told() -> None:
    driver = careful()
    driver.answer(driver.last(A), ADone())
    driver.answer(driver.last(A), ADone("again"))
    driver.answer(driver.last(A), ANo())
    assert driver.types == ["A", "B"]
    assert told(driver) == ("ADone",)


def test_a_failed_undo_waits_for_a_person_and_is_never_told_as_failed() -> None:
    driver = careful()
    driver.answer(driver.last(A), ADone())
    driver.cancel("by hand")
    driver.fail(driver.last(UndoA), "the bank is closed")
    assert (driver.live.status, driver.live.cause) == ("compensation_failed", "cancelled")
    assert driver.live.reason == "the bank is closed"
    driver = driver.revived()
    driver.answer(driver.last(B), BDone())
    driver.cancel()
    assert told(driver) == ("ADone", "Cancelled")
    assert driver.types == ["A", "B", "UndoA"]


def test_what_comes_late_for_a_failed_compensation_sends_nothing() -> None:
    @dataclass(frozen=True)
    class Two:
        def react(self, event: Start | Cancelled) -> Any:
            if isinstance(event, Start):
                return [A(), B()]
            return [Undoing(UndoB(), of=B()), Undoing(UndoA(), of=A())]

    driver = Driver(manager(Two, (), (Start, Cancelled)))
    driver.start()
    driver.cancel()
    driver.fail(driver.last(UndoA), "cannot undo")
    before = len(driver.sent)
    driver.answer(driver.last(A), ADone())
    driver.answer(driver.last(B), BDone())
    assert len(driver.sent) == before
    assert driver.withdrawn == [driver.last(B).id, driver.last(A).id, driver.last(UndoB).id]
    assert driver.live.undos() == ["t.UndoA", "t.UndoB"]


def test_of_two_equal_commands_each_is_undone_once() -> None:
    @dataclass(frozen=True)
    class Twice:
        def react(self, event: Start | Cancelled) -> Any:
            if isinstance(event, Start):
                return [A(), A()]
            return [Undoing(UndoA("1"), of=A()), Undoing(UndoA("2"), of=A())]

    driver = Driver(manager(Twice, (), (Start, Cancelled)))
    driver.start()
    driver.cancel()
    first, second = driver.sent[:2]
    assert [output.undoes for output in driver.sent[2:]] == [second.id, first.id]


@pytest.mark.parametrize("of", [C(), A(99)])
def test_undoing_what_was_not_sent(of: Any) -> None:
    @dataclass(frozen=True)
    class Confused:
        def react(self, event: Start | Paid) -> Any:
            return A() if isinstance(event, Start) else Undoing(UndoA(), of=of)

    driver = Driver(manager(Confused, (), (Start, Paid)))
    driver.start()
    with pytest.raises(ProcessBug, match=rf"Undoing\(of=t.{type(of).__name__}\): this instance has sent no such"):
        driver.event(Paid())


def test_undoing_with_what_is_no_command() -> None:
    @dataclass(frozen=True)
    class Confused:
        def react(self, event: Start | Paid) -> Any:
            return A() if isinstance(event, Start) else Undoing(Ended(), of=A())

    driver = Driver(manager(Confused, (), (Start, Paid)))
    driver.start()
    with pytest.raises(ProcessBug, match=r"nobody handles the command t.Ended"):
        driver.event(Paid())


def test_a_doubled_outcome_is_not_told_after_the_undo_either() -> None:
    driver = careful()
    driver.answer(driver.last(A), ADone())
    driver.fail(driver.last(B))
    driver.answer(driver.last(UndoA), Undone())
    driver.answer(driver.last(A), ADone("again"))
    assert told(driver) == ("ADone", "Failed", "Undone")
    assert driver.types == ["A", "B", "UndoA"]


# ---------------------------------------------------------------------- what is kept only where it is needed


def test_a_manager_that_never_undoes_keeps_no_commands() -> None:
    driver = not_taking_failed()
    assert msgspec.json.decode(driver.live.snapshot()) == {"state": {"done": [], "reason": ""}}


def test_an_undeclared_event_as_outcome_is_recorded_only_by_the_core() -> None:
    """The one who handles the command knows that it is undeclared, and tells it as a failure."""
    driver = not_taking_failed()
    driver.answer(driver.last(A), Odd())
    assert driver.live.status == "running"
