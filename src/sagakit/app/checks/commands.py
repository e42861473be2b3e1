"""Commands: each has one handler, and what a process waits for can come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sagakit.app.reading.parts import Parts, Process
from sagakit.app.reading.processes import at_deadline, builds, built
from sagakit.app.reading.roles import Roles
from sagakit.core.saga.code_saga import CodeSaga
from sagakit.core.saga.step_saga import StepSaga


@dataclass(frozen=True)
class Sending:
    """One place where a command is sent, and the events that count as its success."""

    where: str
    commands: frozenset[type]
    then: frozenset[type] | None = None


def sendings(parts: Parts) -> Iterator[Sending]:
    """Every place that sends commands, as far as can be seen."""
    for service in parts.services:
        if service.commands:
            yield Sending(service.where, service.commands)
    for process in parts.processes:
        if isinstance(process.declared, StepSaga):
            yield from _of_steps(parts, process)
        else:
            yield from _of_source(process)
        if isinstance(process.declared, CodeSaga | StepSaga):
            late = at_deadline(process.declared, parts.names_of(process.module))
            yield Sending(f"{process.where}, deadline", late)


def _of_steps(parts: Parts, process: Process) -> Iterator[Sending]:
    saga = process.declared
    assert isinstance(saga, StepSaga)
    names = parts.names_of(process.module)
    success = {id(step.command): frozenset(step.then) for step in saga.steps}
    for label, build in builds(saga):
        then = None if label.endswith("undo") else success.get(id(build))
        yield Sending(f"{process.where}, {label}", frozenset(built(build, names)), then)


def _of_source(process: Process) -> Iterator[Sending]:
    for step in process.made.steps:
        yield Sending(f"{process.where}, line {step.line}", step.commands, step.then)
        yield Sending(f"{process.where}, line {step.line}, undo", step.undos)
    yield Sending(process.where, process.made.sent)
    yield Sending(f"{process.where}, undo", process.made.undos)


def two_handlers(roles: Roles) -> Iterator[str]:
    """Commands that several handle."""
    for cls, handlers in roles.handled.items():
        places = list(dict.fromkeys(part.where for part in handlers))
        if len({part.name for part in handlers}) > 1:
            yield f"{cls.__qualname__} is handled by {' and by '.join(places)}: a command has one handler"


def unhandled(parts: Parts, roles: Roles) -> Iterator[str]:
    """Commands and undos that nobody handles."""
    for sending in sendings(parts):
        for cls in sorted(sending.commands, key=_name):
            if cls in roles.handled:
                continue
            if cls in roles.emitted:
                emitters = ", ".join(dict.fromkeys(part.name for part in roles.emitted[cls]))
                yield f"{sending.where}: {cls.__qualname__} is an event (of {emitters}), and only a command can be sent"
            else:
                yield f"{sending.where}: nobody handles {cls.__qualname__}: declare a handler or an aggregate that does"


def impossible_outcomes(parts: Parts, roles: Roles) -> Iterator[str]:
    """Steps whose success event is none that their command may lead to."""
    for sending in sendings(parts):
        known = [roles.outcomes[cls] for cls in sending.commands if cls in roles.outcomes]
        if sending.then is None or len(known) != 1:
            continue
        for event in sorted(sending.then - known[0], key=_name):
            command = next(iter(sending.commands)).__qualname__
            may = ", ".join(sorted(map(_name, known[0]))) or "none"
            yield f"{sending.where}: then={event.__qualname__} cannot come: the handler of {command} declares {may}"


def commands_taken_as_events(roles: Roles) -> Iterator[str]:
    """Classes that are a command to some, and an event to others."""
    for cls, handlers in roles.handled.items():
        hearing = [part for part in roles.taken.get(cls, ()) if not isinstance(part, Process) or cls not in part.starts]
        others = list(dict.fromkeys(part.where for part in (*roles.emitted.get(cls, ()), *hearing)))
        if others:
            yield (
                f"{cls.__qualname__} is a command (handled by {handlers[0].where}) and an event "
                f"(of {', '.join(others)}): let them be two classes"
            )


def _name(cls: type) -> str:
    return cls.__qualname__
