"""Consumers and messages have names of their own, upcasters lead from version to version."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sagakit import App, DeadlineNear, Module, Saga, wire
from sagakit.core.lifecycle import TimerFired

Problems = Callable[..., list[str]]


@dataclass(frozen=True)
class Start:
    id: str
    other: str = ""


@dataclass(frozen=True)
class Do:
    id: str


@dataclass(frozen=True)
class Done:
    id: str


@wire("orders.Shipped", version=3)
@dataclass(frozen=True)
class Shipped:
    id: str


class Nested:
    @dataclass(frozen=True)
    class Do:
        id: str


@wire("m.Do")
@dataclass(frozen=True)
class DoAgain:
    id: str


@wire("sagakit.CommandFailed")
@dataclass(frozen=True)
class Ours:
    id: str


def handler(command: Any, event: Any, name: str = "handle") -> Callable[..., Any]:
    async def handle(command: Any) -> Any: ...

    handle.__name__ = name
    handle.__annotations__ = {"command": command, "return": event}
    return handle


def test_two_functions_of_one_name(problems: Problems) -> None:
    module = Module("m")
    module.handles(handler(Do, Done))
    module.on(handler(Start, None))
    [problem] = problems(module)
    assert problem.startswith("m.handle (tests/app/checks/test_names.py:")
    assert problem.endswith(" are both named 'm.handle': rename one of them")


def test_a_handler_and_a_saga_of_one_name(problems: Problems) -> None:
    module = Module("m")
    module.handles(handler(Do, Done, "run"))
    module.step_saga("run", starts_with=Start, key="id")
    [problem] = problems(module)
    assert problem.endswith("m.run are both named 'm.run': rename one of them")


def test_one_version_twice(problems: Problems) -> None:
    module = Module("m")
    module.step_saga("run", starts_with=Start, key="id", version=2)
    module.step_saga("run", starts_with=Start, key="id", version=2)
    module.step_saga("run", starts_with=Start, key="id")
    assert problems(module) == [
        "m.run and m.run: 'm.run' has version 2 twice: give the newer one the next version, or one of them another name"
    ]


def test_versions_with_different_keys(problems: Problems) -> None:
    module = Module("m")

    @module.saga(key="id", name="run")
    async def old(start: Start, saga: Saga) -> None: ...

    module.step_saga("run", starts_with=Start, key="other", version=2)
    assert problems(module) == [
        (
            "'m.run': version 1 has key='id', version 2 key='other': "
            "all versions of a process find their instances by the same key"
        )
    ]


def test_an_event_of_two_modules(problems: Problems) -> None:
    one, two = Module("one"), Module("two")
    one.handles(handler(Do, Done))
    two.handles(handler(Start, Done))
    assert problems(one, two) == [
        'Done is emitted by the modules one and two: pin its name on the wire, with @wire("one.Done")'
    ]


def test_a_pinned_event_of_two_modules(problems: Problems) -> None:
    one, two = Module("one"), Module("two")
    one.handles(handler(Do, Shipped))
    two.handles(handler(Start, Shipped))
    assert problems(one, two) == []


def test_an_event_from_outside_that_two_modules_take(problems: Problems) -> None:
    one, two = Module("one"), Module("two")
    one.on(handler(Start, None))
    two.on(handler(Start, None))
    assert problems(one, two) == [
        'Start is taken by the modules one and two: pin its name on the wire, with @wire("one.Start")'
    ]


def test_two_classes_of_one_wire_name(problems: Problems) -> None:
    module = Module("m")
    module.handles(handler(Do, Done))
    module.handles(handler(DoAgain, Done, "again"))
    module.handles(handler(Nested.Do, Done, "nested"))  # its own name is Nested.Do
    both = f"{__name__}.Do and {__name__}.DoAgain"
    assert problems(module) == [
        f"{both} are both named 'm.Do' on the wire: pin one of them to another name with @wire(...)"
    ]


def test_a_name_of_the_engines_own(problems: Problems) -> None:
    module = Module("m")
    module.handles(handler(Do, Ours))
    assert problems(module) == [
        (
            f"{__name__}.Ours is named 'sagakit.CommandFailed' on the wire: "
            "names that begin with 'sagakit.' are the engine's own"
        )
    ]


def lift(fields: dict[str, Any]) -> dict[str, Any]:
    return fields


def test_upcasters_in_order(problems: Problems) -> None:
    module = Module("m")
    module.handles(handler(Do, Shipped))
    module.upcasts(Shipped, version=1)(lift)
    module.upcasts(Shipped, version=2)(lift)
    assert problems(module) == []


def test_an_upcaster_of_no_message(problems: Problems) -> None:
    module = Module("m")
    module.upcasts(Done, version=1)(lift)
    assert problems(module) == ["m: the upcasters of Done lift no message of this app"]


def test_an_upcaster_from_the_current_version(problems: Problems) -> None:
    module = Module("m")
    module.handles(handler(Do, Done))
    module.upcasts(Done, version=1)(lift)
    assert problems(module) == [
        (
            "m: an upcaster lifts Done from version 1, but its version is 1: "
            'pin the new one with @wire("m.Done", version=2)'
        )
    ]


def test_a_version_that_no_upcaster_lifts(problems: Problems) -> None:
    module = Module("m")
    module.handles(handler(Do, Shipped))
    module.upcasts(Shipped, version=1)(lift)
    assert problems(module) == ["m: no upcaster lifts Shipped from version 2 to 3"]


def test_an_event_of_the_engine_that_apps_are_told_is_taken_like_any_other(problems: Problems) -> None:
    one, two = Module("one"), Module("two")

    @one.on
    async def listen(event: DeadlineNear) -> None: ...

    @two.on
    async def listen_too(event: DeadlineNear) -> None: ...

    assert problems(one, two) == []
    assert App("app", one, two).topology().codecs.by_class[DeadlineNear].name == "sagakit.DeadlineNear"


def test_what_the_engine_tells_processes_alone_is_not_taken(problems: Problems) -> None:
    one = Module("one")

    @one.on
    async def listen(event: TimerFired) -> None: ...

    [problem] = problems(one)
    assert problem.endswith("names that begin with 'sagakit.' are the engine's own")
