"""What modules declare, with its annotations resolved: what the checks look at and the topology is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from sagakit.app.reading.source import NOTHING, Made
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

Role: TypeAlias = Literal["handler", "listener", "forwarder"]


@dataclass(frozen=True, kw_only=True, eq=False)
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


@dataclass(frozen=True, kw_only=True, eq=False)
class Asking:
    """What a function asks for by type."""

    where: str
    asks: Mapping[str, Any]
    optional: frozenset[str] = frozenset()
    """Parameters that have a default."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Service(Part, Asking):
    """A function that handles messages."""

    role: Role
    declared: HandlerDeclaration | ListenerDeclaration | ForwarderDeclaration
    first: str
    open: bool = False
    """It may answer more than its annotation and its source show."""

    @property
    def key(self) -> str | None:
        """The field path that orders what it handles."""
        return None if isinstance(self.declared, ForwarderDeclaration) else self.declared.key


@dataclass(frozen=True, kw_only=True, eq=False)
class Aggregate(Part):
    """An aggregate class: `takes` are its commands."""

    declared: AggregateDeclaration
    evolves: frozenset[type] | None
    """None: `evolve` takes any event."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Process(Part):
    """One version of a process: `takes` is what starts it and what it takes by key."""

    declared: CodeSaga[Any] | StepSaga[Any] | ManagerDeclaration
    starts: tuple[type, ...]
    answers: frozenset[type] = frozenset()
    """The outcomes of a command that starts it."""
    evolves: frozenset[type] = frozenset()
    reacts: frozenset[type] = frozenset()
    made: Made = NOTHING
    """What its source sends."""

    @property
    def key(self) -> str:
        """The field path that finds its instances."""
        return self.declared.key

    @property
    def version(self) -> int:
        """The version that new instances record."""
        return self.declared.version

    @property
    def subject(self) -> Any:
        """What the user holds in hand: the saga, or the process manager's class."""
        return self.declared.cls if isinstance(self.declared, ManagerDeclaration) else self.declared


@dataclass(frozen=True, kw_only=True, eq=False)
class ProviderPart(Asking):
    """A provider, and the type of what it gives."""

    provides: Any
    function: Any


@dataclass(eq=False)
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

    def names_of(self, module: str) -> Mapping[str, Any]:
        """The names around a module's declarations that no module has."""
        found: dict[str, Any] = {}
        for one in self.modules:
            if one.name == module:
                found |= one.declared.local_names
        return found
