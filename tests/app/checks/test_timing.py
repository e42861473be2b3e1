"""Times that can pass, and reminders that somebody takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from sagakit import App, Deadline, End, Forget, Message, Module, Remind, Saga, Step

Problems = Callable[..., list[str]]


@dataclass(frozen=True)
class Start:
    id: str


@dataclass(frozen=True)
class Pay:
    id: str


@dataclass(frozen=True)
class Paid:
    id: str


@dataclass(frozen=True)
class Escalate:
    id: str


@dataclass(frozen=True)
class Overdue:
    """A reminder: it needs no key."""

    times: int = 1


@dataclass(frozen=True)
class NotTaken:
    pass


@pytest.fixture
def module() -> Module:
    module = Module("m")

    @module.handles
    async def pay(command: Pay) -> Paid:
        raise NotImplementedError

    return module


def steps(module: Module, *, timeout: Any = None, deadline: Any = None) -> None:
    module.step_saga("steps", Step(Pay, then=Paid, timeout=timeout), starts_with=Start, key="id", deadline=deadline)


def code(module: Module, deadline: Any) -> None:
    @module.saga(key="id", deadline=deadline)
    async def code(start: Start, saga: Saga) -> None:
        await saga.do(Pay(start.id), then=Paid, timeout=3)


def escalate(start: Start) -> Escalate:
    return Escalate(start.id)


def pay_anyway(start: Start) -> Pay:
    return Pay(start.id)


@pytest.mark.parametrize("time", [1, 0.001, timedelta(days=400)])
def test_times_that_pass(module: Module, problems: Problems, time: Any) -> None:
    steps(module, timeout=time, deadline=time)
    code(module, Deadline(time, then="warn"))
    assert problems(module) == []


@pytest.mark.parametrize("time", [0, -1, timedelta(0)])
def test_times_that_are_over_at_once(module: Module, problems: Problems, time: Any) -> None:
    steps(module, timeout=time, deadline=Deadline(time, warn=time))
    end = f"{time!r}: it passes at once: give seconds, or a timedelta, above 0"
    assert problems(module) == [
        f"m.steps, step 1 (Pay): timeout={end}",
        f"m.steps, deadline={end}",
        f"m.steps, deadline, warn={end}",
    ]


@pytest.mark.parametrize("time", ["30", float("nan"), float("inf"), True, 1e18])
def test_what_is_no_time(module: Module, problems: Problems, time: Any) -> None:
    steps(module, timeout=time, deadline=time)
    end = f"{time!r}: give seconds, or a timedelta, of ten thousand years at most"
    assert problems(module) == [f"m.steps, step 1 (Pay): timeout={end}", f"m.steps, deadline={end}"]


@pytest.mark.parametrize("warn", [60, timedelta(minutes=2)])
def test_a_warning_that_would_come_before_the_start(module: Module, problems: Problems, warn: Any) -> None:
    code(module, Deadline(60, warn=warn))
    [problem] = problems(module)
    assert "deadline, warn=" in problem
    assert problem.endswith("before the deadline, which is 60 s after the start: make it shorter")


@pytest.mark.parametrize(("then", "name"), [("explode", "'explode'"), (Escalate, "Escalate"), (None, "None")])
def test_a_deadline_that_does_nothing_known(module: Module, problems: Problems, then: Any, name: str) -> None:
    code(module, Deadline(60, then=then))
    [problem] = problems(module)
    assert problem.endswith(f"deadline, then={name}: give 'compensate', 'warn', or a function of its start message")


@pytest.mark.parametrize("declare", [code, lambda module, deadline: steps(module, deadline=deadline)])
def test_the_command_of_a_deadline_is_handled(module: Module, problems: Problems, declare: Any) -> None:
    declare(module, Deadline(60, then=escalate))
    [problem] = problems(module)
    assert problem.endswith(", deadline: nobody handles Escalate: declare a handler or an aggregate that does")


def test_the_command_of_a_deadline_is_among_what_a_saga_sends(module: Module) -> None:
    code(module, Deadline(60, then=pay_anyway))
    topology = App("app", module).topology()
    assert Pay in topology.handlers


def test_the_command_of_a_deadline_as_a_lambda_is_checked_when_it_is_sent(module: Module, problems: Problems) -> None:
    code(module, Deadline(60, then=lambda start: Pay(start.id)))
    assert problems(module) == []


# ---------------------------------------------------------------------- reminders


def test_what_a_reminder_tells_needs_no_key(module: Module, problems: Problems) -> None:
    @module.process_manager(key="id", starts_with=Start)
    @dataclass(frozen=True)
    class Reminded:
        def react(self, event: Start | Overdue) -> Message | Sequence[Message] | None:
            match event:
                case Start():
                    return [Remind("pay", Overdue(2), after=60)]
                case Overdue():
                    return [Forget("pay"), End()]

    assert problems(module) == []
    topology = App("app", module).topology()
    assert Overdue not in topology.takers
    assert Overdue in topology.codecs.by_class


def test_what_a_reminder_tells_is_taken(module: Module, problems: Problems) -> None:
    @module.process_manager(key="id", starts_with=Start)
    @dataclass(frozen=True)
    class Reminded:
        def react(self, event: Start) -> Message | Sequence[Message] | None:
            return Remind(name="pay", message=NotTaken(), after=60)

    [problem] = problems(module)
    assert problem.endswith(
        "Remind tells it NotTaken, which neither react nor evolve takes: "
        "add it to the annotation of react, and a case for it"
    )


def test_reminders_are_for_process_managers_alone(module: Module, problems: Problems) -> None:
    @module.on
    def listen(event: Paid) -> Remind:
        return Remind("pay", Overdue(), after=3)

    assert any("Remind is for process managers alone" in problem for problem in problems(module))


@pytest.mark.parametrize("early_for", [-1, float("nan"), float("inf")])
def test_events_that_wait_for_a_start_for_no_time(early_for: float, problems: Problems) -> None:
    module = Module("m")

    @module.process_manager(key="id", starts_with=Start, early_for=early_for)
    @dataclass(frozen=True)
    class Manager:
        def react(self, event: Start) -> None: ...

    [problem] = problems(module)
    assert problem.endswith(f"early_for={early_for!r}: give seconds, or a timedelta, of 0 or more")
