"""Reads the declarations of an app: resolves their annotations, and looks at what the code of its processes sends."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from sagakit.app.parts import Aggregate, Parts, Process, ProviderPart, Service
from sagakit.app.resolve import Named, Signature, annotations, named, place, provided_type, read, text
from sagakit.app.source import NOTHING, Made, read_answers, read_saga
from sagakit.core.lifecycle import Cancelled, Failed
from sagakit.core.process_manager import End, Undoing
from sagakit.core.saga.code_saga import CodeSaga
from sagakit.core.saga.compensation import Undo
from sagakit.core.saga.operations import Saga
from sagakit.core.saga.step_saga import Step, StepSaga
from sagakit.declare import (
    AggregateDeclaration,
    ForwarderDeclaration,
    HandlerDeclaration,
    ListenerDeclaration,
    ManagerDeclaration,
    Module,
)

CONTROL: tuple[type, ...] = (End, Undoing, Failed, Cancelled)
"""What a process manager is told or answers besides messages."""


def read_parts(app: str, modules: Sequence[Module]) -> Parts:
    """All declarations of these modules, and what is wrong with their annotations."""
    parts = Parts(app, modules)
    for module in modules:
        reader = _Reader(module, parts)
        reader.services()
        reader.aggregates()
        reader.processes()
        reader.providers()
    return parts


class _Reader:
    def __init__(self, module: Module, parts: Parts) -> None:
        self.module = module.name
        self.declared = module.declared
        self.names: Mapping[str, Any] = module.declared.local_names
        self.parts = parts

    def _where(self, name: str, code: Any) -> str:
        found = place(code)
        return f"{self.module}.{name} ({found})" if found else f"{self.module}.{name}"

    def _problem(self, where: str, *problems: str) -> None:
        self.parts.problems += [f"{where}: {problem}" for problem in problems]

    # ------------------------------------------------------------------ functions

    def services(self) -> None:
        for handler in self.declared.handlers:
            self._service(handler, "handler")
        for listener in self.declared.listeners:
            self._service(listener, "listener")
        for forwarder in self.declared.forwarders:
            self._service(forwarder, "forwarder")

    def _service(
        self,
        declared: HandlerDeclaration | ListenerDeclaration | ForwarderDeclaration,
        role: Literal["handler", "listener", "forwarder"],
    ) -> None:
        where = self._where(declared.name, declared.function)
        signature = read(declared.function, self.names)
        takes = self._taken(where, signature, "command" if role == "handler" else "event")
        answers = self._answers(where, declared.function, signature, role)
        self.parts.services.append(
            Service(
                module=self.module,
                name=f"{self.module}.{declared.name}",
                where=where,
                takes=takes,
                emits=frozenset() if role == "listener" else answers,
                commands=answers if role == "listener" else frozenset(),
                role=role,
                declared=declared,
                first=signature.first,
                asks=self._asks(signature),
            )
        )

    def _taken(self, where: str, signature: Signature, what: str) -> tuple[type, ...]:
        self._problem(where, *signature.problems)
        unclear = [hint for hint in signature.takes.others if hint is not None]
        if signature.problems and not signature.takes.messages:
            return ()
        if not signature.takes.messages or unclear or signature.takes.none:
            found = ", ".join(text(hint) for hint in unclear) or "nothing"
            self._problem(
                where,
                f"the first parameter names {found}: it must name the {what} that it takes (a dataclass, a msgspec "
                "Struct or a pydantic model, or a union of them)",
            )
        return signature.takes.messages

    def _answers(self, where: str, function: Callable[..., Any], signature: Signature, role: str) -> frozenset[type]:
        if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
            self._problem(where, "is a generator: return what it leads to, do not yield it")
        returns = signature.returns
        what = "commands that it sends" if role == "listener" else "events that it leads to"
        if returns is None:
            if role == "listener" and inspect.iscoroutinefunction(function):
                return frozenset()
            self._problem(where, f"has no return annotation: name the {what}")
            return frozenset()
        messages = frozenset(returns.messages)
        if returns.anything:
            messages |= read_answers(function, self.names).returned
        odd = [text(hint) for hint in returns.others if text(hint) != "NoReturn"]
        if odd and not signature.problems:
            self._problem(where, f"returns {', '.join(odd)}: name the {what}")
        elif role == "handler" and not messages and not signature.problems:
            self._problem(where, f"returns no event: name the {what}")
        elif role == "handler" and returns.none:
            self._problem(where, "may return None: name the event that says so, or leave out `None`")
        return messages

    def _asks(self, signature: Signature) -> dict[str, Any]:
        return dict(signature.asks)

    def providers(self) -> None:
        for provider in self.declared.providers:
            where = self._where(provider.__name__, provider)
            hints = annotations(provider.__init__ if isinstance(provider, type) else provider, self.names)
            asks = {name: hint for name, hint in hints.items() if name != "return"}
            provides = provided_type(provider, self.names)
            if provides is None or provides is type(None):
                self._problem(where, "has no return annotation: it names the type that is asked for")
                continue
            self.parts.providers.append(ProviderPart(self.module, where, provides, provider, asks))

    # ------------------------------------------------------------------ aggregates

    def aggregates(self) -> None:
        for declared in self.declared.aggregates:
            self._aggregate(declared)

    def _aggregate(self, declared: AggregateDeclaration) -> None:
        cls = declared.cls
        where = self._where(declared.name, cls)
        names = {**self.names, cls.__name__: cls}
        decide = read(cls.decide, names, method=True)
        takes = self._taken(f"{where}: decide", decide, "command")
        events = frozenset(decide.returns.messages) if decide.returns else frozenset[type]()
        if decide.returns is None or decide.returns.others or decide.returns.anything:
            self._problem(where, "decide: its return annotation must name the events that it may lead to")
        evolve = self._evolved(where, cls, names)
        self.parts.aggregates.append(
            Aggregate(
                module=self.module,
                name=f"{self.module}.{declared.name}",
                where=where,
                takes=takes,
                emits=events,
                declared=declared,
                evolves=evolve,
            )
        )

    def _evolved(self, where: str, cls: type[Any], names: Mapping[str, Any]) -> frozenset[type] | None:
        signature = read(cls.evolve, names, method=True)
        problems = [one for one in signature.problems if "return annotation" not in one]
        self._problem(where, *(f"evolve: {problem}" for problem in problems))
        if signature.takes.anything:
            return None
        if not signature.takes.messages and not problems:
            self._problem(where, "evolve: its parameter must be annotated with the events that it takes")
        return frozenset(signature.takes.messages)

    # ------------------------------------------------------------------ processes

    def processes(self) -> None:
        for saga in self.declared.code_sagas:
            self._code_saga(saga)
        for steps in self.declared.step_sagas:
            self._step_saga(steps)
        for manager in self.declared.managers:
            self._manager(manager)

    def _code_saga(self, saga: CodeSaga[Any]) -> None:
        where = self._where(saga.name, saga.code)
        if not inspect.iscoroutinefunction(saga.code):
            self._problem(where, "is a plain function: a saga is an `async def`")
        signature = read(saga.code, self.names)
        starts = self._taken(where, signature, "event or command that starts it")
        if list(signature.asks.values()) != [Saga]:
            self._problem(where, "takes a message and a Saga, nothing else: what else it needs, its handlers ask for")
        returns = signature.returns or Named(none=True)
        if returns.others and not signature.problems:
            found = ", ".join(text(hint) for hint in returns.others)
            self._problem(where, f"returns {found}: name the events that it ends with, or None")
        made = read_saga(saga.code, self.names)
        self.parts.processes.append(
            self._process(
                saga.name,
                where,
                declared=saga,
                key=saga.key,
                version=saga.version,
                starts=starts,
                takes=tuple(dict.fromkeys((*starts, *saga.receives))),
                emits=frozenset(returns.messages) | made.published | made.returned,
                commands=made.commands,
                made=made,
            )
        )

    def _step_saga(self, saga: StepSaga[Any]) -> None:
        where = self._where(saga.name, None)
        commands: set[type] = set()
        for index, step in enumerate(saga.steps, 1):
            at = f"{where}, step {index} ({step.name})"
            commands.update(self._built(at, step.command))
            if step.undo is not None:
                commands.update(self._built(f"{at}, undo", step.undo))
        if saga.undo is not None:
            commands.update(self._built(f"{where}, undo", saga.undo))
        self.parts.processes.append(
            self._process(
                saga.name,
                where,
                declared=saga,
                key=saga.key,
                version=saga.version,
                starts=(saga.starts_with,),
                takes=(saga.starts_with,),
                commands=frozenset(commands),
            )
        )

    def _built(self, where: str, build: Callable[..., Any]) -> tuple[type, ...]:
        found = built(build, self.names)
        if not found:
            self._problem(where, "must be a command class, or a function whose return annotation names one")
        return found

    def _manager(self, declared: ManagerDeclaration) -> None:
        cls = declared.cls
        where = self._where(declared.name, cls)
        names = {**self.names, cls.__name__: cls}
        react = read(cls.react, names, method=True)
        reacts = self._taken(f"{where}: react", react, "event")
        evolves = self._evolved(where, cls, names) if hasattr(cls, "evolve") else frozenset[type]()
        made = read_answers(cls.react, names, cls)
        returns = react.returns or Named(anything=True)
        answers = (made.returned | frozenset(returns.messages)) - frozenset(CONTROL)
        takes = [one for one in dict.fromkeys((*declared.starts_with, *reacts, *(evolves or ()))) if one not in CONTROL]
        self.parts.processes.append(
            self._process(
                declared.name,
                where,
                declared=declared,
                key=declared.key,
                version=declared.version,
                starts=declared.starts_with,
                takes=tuple(takes),
                emits=answers,
                commands=answers,
                evolves=evolves or frozenset(),
                reacts=frozenset(reacts),
                made=made,
            )
        )

    def _process(
        self,
        name: str,
        where: str,
        *,
        declared: CodeSaga[Any] | StepSaga[Any] | ManagerDeclaration,
        key: str,
        version: int,
        starts: tuple[type, ...],
        takes: tuple[type, ...],
        emits: frozenset[type] = frozenset(),
        commands: frozenset[type] = frozenset(),
        evolves: frozenset[type] = frozenset(),
        reacts: frozenset[type] = frozenset(),
        made: Made = NOTHING,
    ) -> Process:
        return Process(
            module=self.module,
            name=f"{self.module}.{name}",
            where=where,
            takes=takes,
            emits=emits,
            commands=commands,
            declared=declared,
            key=key,
            version=version,
            starts=starts,
            evolves=evolves,
            reacts=reacts,
            made=made,
        )


def built(build: Callable[..., Any], names: Mapping[str, Any]) -> tuple[type, ...]:
    """The command classes that the command or undo of a step may be."""
    if isinstance(build, type):
        return named(build).messages
    says = annotations(build, names).get("return")
    found = named(says) if says is not None else Named(anything=True)
    return tuple(read_answers(build, names).returned) if found.anything else found.messages


def asked_of_steps(build: Callable[..., Any], names: Mapping[str, Any]) -> dict[str, Any]:
    """The annotations of a command or undo of a step, as `compile_steps` wants them."""
    return annotations(build, names)


__all__ = ["Step", "Undo", "built"]
