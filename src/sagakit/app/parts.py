"""What modules declare, with its annotations resolved: what the checks look at and the topology is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sagakit.app.source import NOTHING, Made
from sagakit.core.saga.code_saga import CodeSaga
from sagakit.core.saga.step_saga import StepSaga
from sagakit.declare import (
    AggregateDeclaration,
    ForwarderDeclaration,
    HandlerDeclaration,
    ListenerDeclaration,
    ManagerDeclaration,
    Module,
)


@dataclass(frozen=True, kw_only=True)
class Part:
    """One declaration of a module."""

    module: str
    name: str
    """Module and own name: the name of its consumer."""
    where: str
    """Its name, and the file and line of its code."""
    takes: tuple[type, ...]
    emits: frozenset[type] = frozenset()
    """The events that it brings about, as far as it says."""
    commands: frozenset[type] = frozenset()
    """The commands that it sends, as far as it says."""


@dataclass(frozen=True, kw_only=True)
class Service(Part):
    """A function that handles messages."""

    role: Literal["handler", "listener", "forwarder"]
    declared: HandlerDeclaration | ListenerDeclaration | ForwarderDeclaration
    first: str
    asks: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Aggregate(Part):
    """An aggregate class: `takes` are its commands."""

    declared: AggregateDeclaration
    evolves: frozenset[type] | None
    """None: `evolve` takes any event."""


@dataclass(frozen=True, kw_only=True)
class Process(Part):
    """One version of a process: `takes` is what starts it and what it takes by key."""

    declared: CodeSaga[Any] | StepSaga[Any] | ManagerDeclaration
    key: str
    version: int
    starts: tuple[type, ...]
    evolves: frozenset[type] = frozenset()
    reacts: frozenset[type] = frozenset()
    made: Made = NOTHING
    """What its source sends."""


@dataclass(frozen=True)
class ProviderPart:
    """A provider, what it gives and what it asks for."""

    module: str
    where: str
    provides: Any
    function: Any
    asks: Mapping[str, Any]


@dataclass
class Parts:
    """All declarations of an app, and what is wrong with them."""

    app: str
    modules: Sequence[Module]
    services: list[Service] = field(default_factory=list[Service])
    aggregates: list[Aggregate] = field(default_factory=list[Aggregate])
    processes: list[Process] = field(default_factory=list[Process])
    providers: list[ProviderPart] = field(default_factory=list[ProviderPart])
    problems: list[str] = field(default_factory=list[str])

    def all(self) -> Sequence[Part]:
        """Services, aggregates and processes."""
        return (*self.services, *self.aggregates, *self.processes)

    def handlers(self) -> Mapping[type, list[Part]]:
        """The commands that somebody handles, and who does; a process that starts with a command is its handler."""
        found: dict[type, list[Part]] = {}
        for part in (*(one for one in self.services if one.role == "handler"), *self.aggregates):
            for command in part.takes:
                found.setdefault(command, []).append(part)
        return found
