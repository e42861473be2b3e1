"""Each command has one handler; undos are commands; what a step waits for can come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from sagakit import Message, Module, Saga, Step, Undoing


@dataclass(frozen=True)
class Start:
    id: str


@dataclass(frozen=True)
class Do:
    id: str


@dataclass(frozen=True)
class UndoIt:
    id: str


@dataclass(frozen=True)
class Done:
    id: str


@dataclass(frozen=True)
class Refused:
    id: str


@dataclass(frozen=True)
class Undone:
    id: str


Problems = Callable[..., list[str]]


@pytest.fixture
def module() -> Module:
    """Handles Do and UndoIt."""
    module = Module("m")

    @module.handles
    async def do(command: Do) -> Done | Refused:
        raise NotImplementedError

    @module.handles
    async def undo_it(command: UndoIt) -> Undone:
        raise NotImplementedError

    return module


def test_an_app_in_order_has_no_problem(module: Module, problems: Problems) -> None:
    @module.saga(key="id")
    async def run(start: Start, saga: Saga) -> None:
        await saga.do(Do(start.id), then=Done, undo=UndoIt(start.id))

    module.step_saga("steps", Step(Do, then=Done, undo=UndoIt), starts_with=Start, key="id", undo=UndoIt)
    assert problems(module) == []


def test_two_handlers_of_a_command(module: Module, problems: Problems) -> None:
    @module.handles
    async def again(command: Do) -> Done:
        raise NotImplementedError

    [problem] = problems(module)
    assert problem.startswith("Do is handled by m.do (tests/app/checks/test_commands.py:")
    assert "and by m.again (tests/app/checks/test_commands.py:" in problem
    assert problem.endswith("a command has one handler")


def test_a_handler_and_an_aggregate(module: Module, problems: Problems) -> None:
    @module.aggregate(key="id")
    @dataclass(frozen=True)
    class Thing:
        def decide(self, command: Do) -> Done:
            raise NotImplementedError

        def evolve(self, event: Done) -> Thing:
            return self

    assert any("Do is handled by m.do" in problem and "m.Thing" in problem for problem in problems(module))


def test_a_handler_and_a_saga_that_the_command_starts(module: Module, problems: Problems) -> None:
    @module.saga(key="id")
    async def run(start: Do, saga: Saga) -> None: ...

    @module.saga(key="id")
    async def parent(start: Start, saga: Saga) -> None:
        await saga.do(Do(start.id), then=Done)

    assert any("Do is handled by m.do" in problem and "m.run" in problem for problem in problems(module))


def test_versions_of_a_saga_are_one_handler(problems: Problems) -> None:
    module = Module("m")

    @module.saga(key="id", name="run")
    async def run_1(start: Start, saga: Saga) -> Done:
        raise NotImplementedError

    @module.saga(key="id", name="run", version=2)
    async def run_2(start: Start, saga: Saga) -> Done:
        raise NotImplementedError

    assert problems(module) == []


def test_nobody_handles_a_command_of_a_code_saga(problems: Problems) -> None:
    module = Module("m")

    @module.saga(key="id")
    async def run(start: Start, saga: Saga) -> None:
        await saga.do(Do(start.id), then=Done, undo=lambda undo: UndoIt(start.id))
        saga.send(UndoIt(start.id))

    where = f"m.run (tests/app/checks/test_commands.py:{run.code.__code__.co_firstlineno})"
    line = run.code.__code__.co_firstlineno + 2
    mend = "declare a handler or an aggregate that does"
    assert problems(module) == [
        f"{where}, line {line}: nobody handles Do: {mend}",
        f"{where}, line {line}, undo: nobody handles UndoIt: {mend}",
        f"{where}: nobody handles UndoIt: {mend}",
    ]


def test_nobody_handles_a_command_of_a_step_saga(problems: Problems) -> None:
    module = Module("m")

    def make(start: Start) -> Do:
        raise NotImplementedError

    module.step_saga("steps", Step(make, then=Done, undo=UndoIt), starts_with=Start, key="id", undo=UndoIt)
    mend = "declare a handler or an aggregate that does"
    assert problems(module) == [
        f"m.steps, step 1 (make): nobody handles Do: {mend}",
        f"m.steps, step 1 (make), undo: nobody handles UndoIt: {mend}",
        f"m.steps, undo: nobody handles UndoIt: {mend}",
    ]


def test_nobody_handles_what_a_listener_returns(problems: Problems) -> None:
    module = Module("m")

    @module.on
    def whenever(event: Start) -> list[Do]:
        raise NotImplementedError

    [problem] = problems(module)
    assert problem.endswith("nobody handles Do: declare a handler or an aggregate that does")
    assert problem.startswith("m.whenever (")


def test_nobody_handles_an_undo_of_a_process_manager(module: Module, problems: Problems) -> None:
    other = Module("other")

    @other.process_manager(key="id", starts_with=Start)
    @dataclass(frozen=True)
    class Manager:
        def react(self, event: Start | Done) -> Sequence[Message]:
            match event:
                case Start(id):
                    return [Do(id)]
                case Done(id):
                    return [Undoing(Undone(id), of=Do(id))]

    [problem] = problems(module, other)
    assert problem.startswith("other.Manager (")
    assert problem.endswith("undo: Undone is an event (of m.undo_it), and only a command can be sent")


def test_an_undo_that_is_an_event(module: Module, problems: Problems) -> None:
    module.step_saga("steps", Step(Do, then=Done, undo=Undone), starts_with=Start, key="id")
    assert problems(module) == [
        "m.steps, step 1 (Do), undo: Undone is an event (of m.undo_it), and only a command can be sent"
    ]


def test_a_success_that_cannot_come(module: Module, problems: Problems) -> None:
    module.step_saga("steps", Step(Do, then=(Done, Undone)), starts_with=Start, key="id")

    @module.saga(key="id")
    async def run(start: Start, saga: Saga) -> None:
        await saga.do(Do(start.id), then=Undone)

    line = run.code.__code__.co_firstlineno + 2
    assert problems(module) == [
        (
            f"m.run (tests/app/checks/test_commands.py:{line - 2}), line {line}: "
            "then=Undone cannot come: the handler of Do declares Done, Refused"
        ),
        "m.steps, step 1 (Do): then=Undone cannot come: the handler of Do declares Done, Refused",
    ]


def test_a_saga_that_starts_with_a_command_handles_it(problems: Problems) -> None:
    module = Module("m")

    @module.saga(key="id")
    async def child(start: Do, saga: Saga) -> Done | Refused:
        raise NotImplementedError

    module.step_saga("steps", starts_with=UndoIt, key="id")

    @module.saga(key="id")
    async def parent(start: Start, saga: Saga) -> None:
        await saga.do(Do(start.id), then=Done, undo=UndoIt(start.id))

    @module.on
    def whenever(event: Done) -> list[Do]:
        raise NotImplementedError

    assert problems(module) == []


def test_a_success_that_a_saga_does_not_return(problems: Problems) -> None:
    module = Module("m")

    @module.saga(key="id")
    async def child(start: Do, saga: Saga) -> Refused:
        raise NotImplementedError

    module.step_saga("steps", starts_with=UndoIt, key="id")
    module.step_saga("outer", Step(Do, then=Done), starts_with=Start, key="id")
    module.step_saga("other", Step(UndoIt, then=Undone), starts_with=Start, key="id")
    assert problems(module) == [
        "m.outer, step 1 (Do): then=Done cannot come: the handler of Do declares Refused",
        "m.other, step 1 (UndoIt): then=Undone cannot come: the handler of UndoIt declares none",
    ]


def test_two_sagas_that_one_command_starts(problems: Problems) -> None:
    module = Module("m")

    @module.saga(key="id")
    async def child(start: Do, saga: Saga) -> Done: ...

    @module.saga(key="id")
    async def other(start: Do, saga: Saga) -> Done: ...

    @module.saga(key="id")
    async def parent(start: Start, saga: Saga) -> None:
        await saga.do(Do(start.id), then=Done)

    [problem] = problems(module)
    assert problem.startswith("Do is handled by m.child (")
    assert "and by m.other (" in problem


def test_two_sagas_that_a_handled_command_starts(module: Module, problems: Problems) -> None:
    for name in ("one", "two"):
        module.step_saga(name, starts_with=Do, key="id")
    [problem] = problems(module)
    assert problem.startswith("Do is handled by m.do (")
    assert problem.endswith("and by m.one and by m.two: a command has one handler")


def test_a_command_that_somebody_takes_for_an_event(module: Module, problems: Problems) -> None:
    @module.on
    async def listen(event: Do) -> None: ...

    [problem] = problems(module)
    assert problem.startswith("Do is a command (handled by m.do (")
    assert problem.endswith("): let them be two classes")
    assert "an event (of m.listen (" in problem


def test_an_event_that_is_handled_as_a_command(module: Module, problems: Problems) -> None:
    @module.handles
    async def handle(command: Done) -> Undone:
        raise NotImplementedError

    [problem] = problems(module)
    assert problem.startswith("Done is a command (handled by m.handle (")


def test_a_command_that_starts_a_saga_and_is_listened_to(module: Module, problems: Problems) -> None:
    @module.saga(key="id")
    async def child(start: Start, saga: Saga) -> Undone:
        raise NotImplementedError

    @module.saga(key="id", receives=Start)
    async def parent(start: Done, saga: Saga) -> None:
        await saga.do(Start(start.id), then=Undone)

    assert any(problem.startswith("Start is a command (handled by m.child") for problem in problems(module))


def test_what_cannot_be_seen_is_no_problem(module: Module, problems: Problems) -> None:
    make: Any = None

    @module.saga(key="id")
    async def run(start: Start, saga: Saga) -> None:
        await saga.do(make(start), then=Done)

    assert problems(module) == []
