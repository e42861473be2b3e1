"""Which messages of an app are commands and which are events, who brings them about, and which module owns them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from sagakit.app.parts import Part, Parts, Process
from sagakit.core.messages import pinned, wire_name
from sagakit.declare import ManagerDeclaration


@dataclass
class Roles:
    """What every message class is to the parts of an app."""

    handled: dict[type, list[Part]] = field(default_factory=dict[type, list[Part]])
    """Commands, by those that handle them: service handlers, aggregates, processes that a command starts."""
    sent: dict[type, list[Part]] = field(default_factory=dict[type, list[Part]])
    """Commands, by those that send them."""
    emitted: dict[type, list[Part]] = field(default_factory=dict[type, list[Part]])
    """Events, by those that bring them about."""
    published: dict[type, list[Part]] = field(default_factory=dict[type, list[Part]])
    """External events, by the forwarders that make them."""
    taken: dict[type, list[Part]] = field(default_factory=dict[type, list[Part]])
    """Messages, by the listeners, forwarders and processes that take them."""
    starts: dict[type, list[Process]] = field(default_factory=dict[type, list[Process]])
    outcomes: dict[type, frozenset[type]] = field(default_factory=dict[type, frozenset[type]])
    """The declared outcomes of each command."""

    def classes(self) -> list[type]:
        """Every message class, in the order in which they were met."""
        return list(dict.fromkeys((*self.handled, *self.sent, *self.emitted, *self.taken)))

    def is_event(self, cls: type) -> bool:
        """Whether somebody emits it, or takes it without handling it as a command."""
        return cls in self.emitted or (cls in self.taken and cls not in self.handled)

    def owners(self, cls: type) -> list[str]:
        """The modules that own a class; more than one: it has to be pinned."""
        for found in (self.handled, self.emitted, self.taken, self.sent):
            if cls in found:
                return list(dict.fromkeys(part.module for part in found[cls]))
        return []

    def wire(self, cls: type) -> tuple[str, int]:
        """Name and version on the wire."""
        owners = self.owners(cls)
        return pinned(cls) or (wire_name(owners[0] if owners else cls.__module__, cls), 1)

    def answers_to(self, commands: Iterable[type]) -> frozenset[type]:
        """The declared outcomes of these commands."""
        return frozenset[type]().union(*(self.outcomes.get(command, frozenset()) for command in commands))


def roles_of(parts: Parts) -> Roles:
    """What every message class is; a process manager's answers are sorted into commands and events on the way."""
    roles = Roles()
    for service in parts.services:
        if service.role == "handler":
            _add(roles.handled, service.takes, service)
        else:
            _add(roles.taken, service.takes, service)
        if service.role == "forwarder":
            _add(roles.published, service.emits, service)
    for aggregate in parts.aggregates:
        _add(roles.handled, aggregate.takes, aggregate)
    for process in parts.processes:
        _add(roles.taken, process.takes, process)
        for cls in process.starts:
            roles.starts.setdefault(cls, []).append(process)
    sorting = [process for process in parts.processes if isinstance(process.declared, ManagerDeclaration)]
    for part in parts.all():
        if part not in sorting:
            _add(roles.emitted, part.emits, part)
            _add(roles.sent, part.commands, part)
    _sort_answers(parts, roles, sorting)
    _started_by_commands(roles)
    for cls, handlers in roles.handled.items():
        roles.outcomes[cls] = frozenset[type]().union(*(part.emits for part in handlers))
    return roles


def _sort_answers(parts: Parts, roles: Roles, managers: list[Process]) -> None:
    for manager in managers:
        commands = frozenset(cls for cls in manager.emits if _is_command(cls, roles))
        sorted_ = replace(manager, commands=commands, emits=manager.emits - commands)
        parts.processes[parts.processes.index(manager)] = sorted_
        for found in (roles.taken, roles.starts):
            for takers in found.values():
                takers[:] = [sorted_ if taker is manager else taker for taker in takers]
        _add(roles.emitted, sorted_.emits, sorted_)
        _add(roles.sent, sorted_.commands, sorted_)


def _is_command(cls: type, roles: Roles) -> bool:
    if cls in roles.handled or cls in roles.sent:
        return True
    return any(process.emits for process in roles.starts.get(cls, ())) and cls not in roles.emitted


def _started_by_commands(roles: Roles) -> None:
    """A process that starts with a command is its handler, unless another one is declared."""
    for cls, processes in roles.starts.items():
        if cls not in roles.emitted and cls not in roles.handled:
            _add(roles.handled, (cls,), processes[0])


def _add(found: dict[type, list[Part]], classes: Iterable[type], part: Part) -> None:
    for cls in classes:
        found.setdefault(cls, []).append(part)


def by_name(parts: Iterable[Process]) -> Mapping[str, list[Process]]:
    """The versions of each process, oldest first."""
    found: dict[str, list[Process]] = {}
    for part in sorted(parts, key=lambda one: one.version):
        found.setdefault(part.name, []).append(part)
    return found
