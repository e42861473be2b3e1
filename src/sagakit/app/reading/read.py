"""Reads the declarations of an app: resolves their annotations, and looks at what the code of its processes sends."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sagakit.app.reading.parts import Aggregate, Parts, ProviderPart, Role, Service
from sagakit.app.reading.processes import ProcessReader
from sagakit.app.reading.resolve import Named, Signature, annotations_of, asked, provided_type, read, text
from sagakit.app.reading.signatures import evolved, named_place, taken
from sagakit.app.reading.source import read_answers
from sagakit.declare import (
    AggregateDeclaration,
    ForwarderDeclaration,
    HandlerDeclaration,
    ListenerDeclaration,
    Module,
)


def read_parts(app: str, modules: Sequence[Module]) -> Parts:
    """All declarations of these modules, and what is wrong with their annotations."""
    parts = Parts(app, modules)
    for module in modules:
        _ModuleReader(module, parts).read()
        ProcessReader(module, parts).read()
    return parts


class _ModuleReader:
    """Handlers, listeners, forwarders, aggregates and providers."""

    def __init__(self, module: Module, parts: Parts) -> None:
        self._module = module.name
        self._declared = module.declared
        self._names: Mapping[str, Any] = parts.names_of(module.name)
        self._parts = parts

    def read(self) -> None:
        for handler in self._declared.handlers:
            self._service(handler, "handler")
        for listener in self._declared.listeners:
            self._service(listener, "listener")
        for forwarder in self._declared.forwarders:
            self._service(forwarder, "forwarder")
        for aggregate in self._declared.aggregates:
            self._aggregate(aggregate)
        for provider in self._declared.providers:
            self._provider(provider)

    def _problem(self, where: str, *problems: str) -> None:
        self._parts.problems += [f"{where}: {problem}" for problem in problems]

    # ------------------------------------------------------------------ functions

    def _service(self, declared: HandlerDeclaration | ListenerDeclaration | ForwarderDeclaration, role: Role) -> None:
        function = declared.function
        where = named_place(self._module, declared.name, function)
        signature = read(function, self._names)
        self._problem(where, *signature.problems)
        takes = taken(signature, f"{'command' if role == 'handler' else 'event'} that it takes")
        if isinstance(takes, str):
            self._problem(where, takes)
            takes = signature.takes.messages
        answers = self._answers(where, function, signature, role)
        self._parts.services.append(
            Service(
                module=self._module,
                name=f"{self._module}.{declared.name}",
                where=where,
                takes=takes,
                emits=frozenset() if role == "listener" else answers,
                commands=answers if role == "listener" else frozenset(),
                role=role,
                declared=declared,
                first=signature.first,
                open=self._open(function, signature),
                asks=signature.asks,
                optional=signature.optional,
            )
        )

    def _answers(self, where: str, function: Callable[..., Any], signature: Signature, role: Role) -> frozenset[type]:
        if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
            self._problem(where, "is a generator: return what it leads to, do not yield it")
            return frozenset()
        returns = signature.returns
        if returns is None:
            if role == "handler" or not inspect.iscoroutinefunction(function):
                what = "commands that it sends" if role == "listener" else "events that it leads to"
                self._problem(where, f"has no return annotation: name the {what}")
            return frozenset()
        messages = frozenset(returns.messages)
        if returns.anything:
            messages |= read_answers(function, self._names).returned
        if not signature.problems:
            self._problem(where, *_odd_answers(returns, messages, role))
        return messages

    def _open(self, function: Callable[..., Any], signature: Signature) -> bool:
        says_all = signature.returns is not None and not signature.returns.anything
        return not says_all and read_answers(function, self._names).unseen

    def _provider(self, provider: Callable[..., Any]) -> None:
        where = named_place(self._module, provider.__name__, provider)
        made_by: Any = provider.__init__ if isinstance(provider, type) else provider
        problems: list[str] = []
        parameters = list(inspect.signature(provider).parameters.values())
        asks, optional = asked(parameters, annotations_of(made_by, self._names), problems)
        provides = provided_type(provider, self._names)
        if provides is None or provides is type(None):
            problems.append("has no return annotation: name the type that is asked for")
        self._problem(where, *problems)
        if not problems:
            self._parts.providers.append(
                ProviderPart(where=where, provides=provides, function=provider, asks=asks, optional=optional)
            )

    # ------------------------------------------------------------------ aggregates

    def _aggregate(self, declared: AggregateDeclaration) -> None:
        cls = declared.cls
        where = named_place(self._module, declared.name, cls)
        names = {**self._names, cls.__name__: cls}
        decide = read(cls.decide, names, method=True)
        self._problem(f"{where}, decide", *decide.problems)
        takes = taken(decide, "command that it takes")
        if isinstance(takes, str):
            self._problem(f"{where}, decide", takes)
            takes = decide.takes.messages
        events = self._decided(where, cls, decide)
        evolves, problems = evolved(cls, names)
        self._problem(f"{where}, evolve", *problems)
        self._parts.aggregates.append(
            Aggregate(
                module=self._module,
                name=f"{self._module}.{declared.name}",
                where=where,
                takes=takes,
                emits=events,
                declared=declared,
                evolves=evolves,
            )
        )

    def _decided(self, where: str, cls: type[Any], decide: Signature) -> frozenset[type]:
        if inspect.iscoroutinefunction(cls.decide):
            self._problem(f"{where}, decide", "is async: deciding is pure; a service handler does what takes time")
        returns = decide.returns or Named()
        if (not returns.messages or returns.others or returns.anything) and not decide.problems:
            self._problem(f"{where}, decide", "its return annotation must name the events that it may lead to")
        return frozenset(returns.messages)


def _odd_answers(returns: Named, messages: frozenset[type], role: Role) -> list[str]:
    what = "commands that it sends" if role == "listener" else "events that it leads to"
    if returns.later and role != "handler":
        return ["may return Later: only who handles a command can hand it over"]
    if returns.others:
        return [f"returns {', '.join(text(hint) for hint in returns.others)}: name the {what}"]
    if role == "handler" and not messages:
        return [f"returns {'None' if returns.none else 'any message'}: name the {what}"]
    if role == "handler" and returns.none:
        return ["may return None: let an event say what happened then"]
    return []
