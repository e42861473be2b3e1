"""Reads the processes that a module declares: code sagas, step sagas and process managers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from sagakit.app.reading.parts import Parts, Process
from sagakit.app.reading.resolve import Named, annotations_of, named, read, text
from sagakit.app.reading.signatures import evolved, named_place, taken
from sagakit.app.reading.source import read_answers, read_saga
from sagakit.core.lifecycle import Cancelled, Failed
from sagakit.core.process_manager.answers import End, Forget, Remind, Undoing
from sagakit.core.saga.code_saga import CodeSaga
from sagakit.core.saga.operations import Saga
from sagakit.core.saga.step_saga import StepSaga
from sagakit.declare import ManagerDeclaration, Module

CONTROL: frozenset[type] = frozenset({End, Undoing, Remind, Forget, Failed, Cancelled})
"""What a process manager is told or answers besides messages."""


class ProcessReader:
    """The processes of one module."""

    def __init__(self, module: Module, parts: Parts) -> None:
        self._module = module.name
        self._declared = module.declared
        self._names = parts.names_of(module.name)
        self._parts = parts

    def read(self) -> None:
        for saga in self._declared.code_sagas:
            self._code_saga(saga)
        for steps in self._declared.step_sagas:
            self._step_saga(steps)
        for manager in self._declared.managers:
            self._manager(manager)

    def _problem(self, where: str, *problems: str) -> None:
        self._parts.problems += [f"{where}: {problem}" for problem in problems]

    def _add(self, **part: Any) -> None:
        name = part["declared"].name
        self._parts.processes.append(Process(module=self._module, name=f"{self._module}.{name}", **part))

    # ------------------------------------------------------------------ code sagas

    def _code_saga(self, saga: CodeSaga[Any]) -> None:
        where = named_place(self._module, saga.name, saga.code)
        if not inspect.iscoroutinefunction(saga.code):
            self._problem(where, "is a plain function: a saga is an `async def`")
        signature = read(saga.code, self._names)
        self._problem(where, *signature.problems)
        starts = taken(signature, "event or command that starts it")
        if isinstance(starts, str):
            self._problem(where, starts)
            starts = signature.takes.messages
        if not signature.problems and list(signature.asks.values()) != [Saga]:
            self._problem(where, "takes a message and a Saga and nothing else: handlers do what needs more")
        returns = signature.returns or Named()
        if returns.others and not signature.problems:
            found = ", ".join(text(hint) for hint in returns.others)
            self._problem(where, f"returns {found}: name the events that it ends with, or None")
        made = read_saga(saga.code, self._names)
        self._add(
            where=where,
            declared=saga,
            starts=starts,
            takes=tuple(dict.fromkeys((*starts, *saga.receives))),
            answers=frozenset(returns.messages),
            emits=frozenset(returns.messages) | made.published,
            commands=made.commands | at_deadline(saga, self._names),
            made=made,
        )

    # ------------------------------------------------------------------ step sagas

    def _step_saga(self, saga: StepSaga[Any]) -> None:
        where = named_place(self._module, saga.name, None)
        commands: set[type] = set()
        for label, build in builds(saga):
            found = built(build, self._names)
            commands.update(found)
            if not found:
                at = f"{where}, {label}"
                self._problem(at, "must be a command class, or a function whose return annotation names one")
        ends = frozenset(built(saga.returns, self._names)) if saga.returns is not None else frozenset[type]()
        if saga.returns is not None and not ends:
            self._problem(
                f"{where}, returns", "must be an event class, or a function whose return annotation names one"
            )
        self._add(
            where=where,
            declared=saga,
            starts=(saga.starts_with,),
            takes=(saga.starts_with,),
            answers=ends,
            emits=ends,
            commands=frozenset(commands) | at_deadline(saga, self._names),
        )

    # ------------------------------------------------------------------ process managers

    def _manager(self, declared: ManagerDeclaration) -> None:
        cls = declared.cls
        where = named_place(self._module, declared.name, cls)
        names = {**self._names, cls.__name__: cls}
        react = read(cls.react, names, method=True)
        self._problem(f"{where}, react", *react.problems)
        reacts = taken(react, "events that it takes")
        if isinstance(reacts, str):
            self._problem(f"{where}, react", reacts)
            reacts = react.takes.messages
        evolves: frozenset[type] = frozenset()
        if hasattr(cls, "evolve"):
            found, problems = evolved(cls, names)
            evolves = found if found is not None else frozenset(reacts)
            self._problem(f"{where}, evolve", *problems)
        if inspect.iscoroutinefunction(cls.react):
            self._problem(f"{where}, react", "is async: reacting is pure; a handler does what takes time")
        also = sorted(evolves, key=lambda one: one.__qualname__)
        made = read_answers(cls.react, names, cls)
        returns = react.returns or Named(anything=True)
        if not returns.anything:
            made = replace(made, unseen=False)  # its annotation says it all
        answers = made.returned.union(returns.messages) - CONTROL
        self._add(
            where=where,
            declared=declared,
            starts=declared.starts_with,
            takes=tuple(one for one in dict.fromkeys((*declared.starts_with, *reacts, *also)) if one not in CONTROL),
            answers=answers,
            emits=answers,
            evolves=evolves,
            reacts=frozenset(reacts),
            made=made,
        )


def builds(saga: StepSaga[Any]) -> list[tuple[str, Callable[..., Any]]]:
    """What builds the commands and undos of a step saga, each with its place in words."""
    found: list[tuple[str, Callable[..., Any]]] = []
    for number, step in enumerate(saga.steps, 1):
        found.append((f"step {number} ({step.name})", step.command))
        if step.undo is not None:
            found.append((f"step {number} ({step.name}), undo", step.undo))
    if saga.undo is not None:
        found.append(("undo", saga.undo))
    return found


def at_deadline(saga: CodeSaga[Any] | StepSaga[Any], names: Mapping[str, Any]) -> frozenset[type]:
    """The commands that are sent when the deadline of a saga passes, as far as can be seen."""
    then = None if saga.deadline is None else saga.deadline.then
    return frozenset() if not callable(then) or isinstance(then, type) else frozenset(built(then, names))


def built(build: Callable[..., Any], names: Mapping[str, Any]) -> tuple[type, ...]:
    """The command classes that the command or undo of a step may be."""
    if isinstance(build, type):
        return named(build).messages
    if not callable(build):
        return ()
    says = annotations_of(build, names).get("return")
    found = named(says) if says is not None else Named(anything=True)
    return tuple(read_answers(build, names).returned) if found.anything else found.messages
