"""The commands and undos of a step saga can be filled from what is known by then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from sagakit import Module, Step, Undo

Problems = Callable[..., list[str]]


@dataclass(frozen=True)
class Start:
    id: str


@dataclass(frozen=True)
class Reserve:
    id: str


@dataclass(frozen=True)
class Reserved:
    id: str
    place: str


@dataclass(frozen=True)
class ReservedElsewhere:
    id: str


@dataclass(frozen=True)
class Release:
    id: str
    reason: str
    place: str = ""


@dataclass(frozen=True)
class Ship:
    id: str
    place: str
    note: str = ""


@dataclass(frozen=True)
class Shipped:
    id: str


@dataclass(frozen=True)
class Unship:
    id: str
    place: str


@dataclass(frozen=True)
class BadRelease:
    id: str
    place: str


@dataclass(frozen=True)
class Sent:
    id: str
    place: str


@dataclass(frozen=True)
class Lost:
    id: str
    nowhere: str


@pytest.fixture
def module() -> Module:
    module = Module("m")

    @module.handles
    async def reserve(command: Reserve) -> Reserved | ReservedElsewhere:
        raise NotImplementedError

    @module.handles
    async def ship(command: Ship) -> Shipped:
        raise NotImplementedError

    @module.handles
    async def undo(command: Release | Unship | BadRelease) -> Shipped:
        raise NotImplementedError

    return module


def test_fields_from_the_start_and_from_earlier_steps(module: Module, problems: Problems) -> None:
    module.step_saga(
        "steps",
        Step(Reserve, then=Reserved, undo=Release),
        Step(Ship, then=Shipped, undo=Unship),
        starts_with=Start,
        key="id",
        undo=Release,
    )
    assert problems(module) == []


def test_a_field_that_no_event_has(module: Module, problems: Problems) -> None:
    module.step_saga("steps", Step(Ship, then=Shipped), starts_with=Start, key="id")
    assert problems(module) == [
        (
            "m.steps, step 1 (Ship): no event known by then is sure to have Ship.place: "
            "give it a default, or build the message with a function"
        )
    ]


def test_a_field_that_one_of_two_events_has(module: Module, problems: Problems) -> None:
    both = Step(Reserve, then=(Reserved, ReservedElsewhere))
    module.step_saga("steps", both, Step(Ship, then=Shipped), starts_with=Start, key="id")
    [problem] = problems(module)
    assert "no event known by then is sure to have Ship.place" in problem


def test_a_field_that_an_undo_learns_too_late(module: Module, problems: Problems) -> None:
    module.step_saga("steps", Step(Reserve, then=Reserved, undo=BadRelease), starts_with=Start, key="id")
    assert problems(module) == [
        (
            "m.steps, step 1 (Reserve), undo: no event known by then is sure to have BadRelease.place; "
            "Reserved comes after the undo is recorded: give it a default, or build the message with a function"
        )
    ]


def test_the_undo_of_the_whole_knows_the_start_alone(module: Module, problems: Problems) -> None:
    module.step_saga("steps", Step(Reserve, then=Reserved), starts_with=Start, key="id", undo=Unship)
    [problem] = problems(module)
    assert problem.startswith("m.steps, undo: no event known by then is sure to have Unship.place: ")


def ship(start: Start, reserved: Reserved) -> Ship:
    raise NotImplementedError


def unship(reserved: Reserved, undo: Undo[Shipped]) -> Unship:
    raise NotImplementedError


def test_functions_ask_for_known_events(module: Module, problems: Problems) -> None:
    module.step_saga(
        "steps", Step(Reserve, then=Reserved), Step(ship, then=Shipped, undo=unship), starts_with=Start, key="id"
    )
    assert problems(module) == []


def test_a_function_that_asks_for_what_is_not_known(module: Module, problems: Problems) -> None:
    module.step_saga("steps", Step(ship, then=Shipped, undo=unship), starts_with=Start, key="id")
    assert problems(module) == [
        "m.steps, step 1 (ship): parameter 'reserved' asks for Reserved, which is not known for certain by then",
        "m.steps, step 1 (ship), undo: parameter 'reserved' asks for Reserved, which is not known for certain by then",
    ]


def test_a_function_that_asks_for_the_wrong_things(module: Module, problems: Problems) -> None:
    def early(undo: Undo[Reserved]) -> Reserve:
        raise NotImplementedError

    def number(count: int) -> Reserve:
        raise NotImplementedError

    def silent(start) -> Release:  # type: ignore[no-untyped-def]
        raise NotImplementedError

    def lost(start: Missing) -> Reserve:  # type: ignore[name-defined]  # noqa: F821
        raise NotImplementedError

    module.step_saga(
        "steps",
        Step(early, then=Reserved),
        Step(number, then=Reserved, undo=silent),
        Step(lost, then=Reserved),
        starts_with=Start,
        key="id",
    )
    assert problems(module) == [
        "m.steps, step 1 (early): parameter 'undo' asks for an Undo, which only an undo is given",
        "m.steps, step 2 (number): parameter 'count' asks for int: annotate it with the event that it needs",
        (
            "m.steps, step 2 (number), undo: parameter 'start' asks for nothing: "
            "annotate it with the event that it needs, or Undo[...]"
        ),
        (
            "m.steps, step 3 (lost): parameter 'start': Missing cannot be resolved: "
            "'Missing' is not known there when the app is put together (imported for type checking only?)"
        ),
    ]


def test_what_builds_no_command(module: Module, problems: Problems) -> None:
    def silent(start: Start):  # type: ignore[no-untyped-def]
        return None

    def wrong(start: Start) -> str:
        return ""

    module.step_saga(
        "steps",
        Step(silent, then=Reserved),
        Step(wrong, then=Reserved),  # type: ignore[arg-type]
        starts_with=Start,
        key="id",
    )
    mend = "must be a command class, or a function whose return annotation names one"
    assert problems(module) == [f"m.steps, step 1 (silent): {mend}", f"m.steps, step 2 (wrong): {mend}"]


def test_what_it_returns_is_filled_from_what_is_known_at_its_end(module: Module, problems: Problems) -> None:
    def end(reserved: ReservedElsewhere) -> Shipped:
        raise NotImplementedError

    step = Step(Reserve, then=Reserved)
    module.step_saga("fits", step, starts_with=Start, key="id", returns=Sent)
    module.step_saga("lacks", step, starts_with=Start, key="id", returns=Lost)
    module.step_saga("asks", step, starts_with=Start, key="id", returns=end)
    module.step_saga("nothing", step, starts_with=Start, key="id", returns=str)
    found = problems(module)
    assert [problem.partition(": ")[::2] for problem in found] == [
        ("m.nothing, returns", "must be an event class, or a function whose return annotation names one"),
        (
            "m.lacks, returns",
            (
                "no event known by then is sure to have Lost.nowhere: "
                "give it a default, or build the message with a function"
            ),
        ),
        ("m.asks, returns", "parameter 'reserved' asks for ReservedElsewhere, which is not known for certain by then"),
    ]
