"""Which messages of an app are commands and which are events, who brings them about, and which module owns them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from sagakit.app.reading.parts import Part, Parts, Process
from sagakit.core.lifecycle import TOLD
from sagakit.core.messages import pinned, wire_name
from sagakit.declare import ManagerDeclaration


@dataclass(eq=False)
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
    """Messages, by the processes that they start."""
    outcomes: dict[type, frozenset[type]] = field(default_factory=dict[type, frozenset[type]])
    """The declared outcomes of each command."""

    def classes(self) -> list[type]:
        """Every message class, in the order in which they were met."""
        return list(dict.fromkeys((*self.handled, *self.sent, *self.emitted, *self.taken)))

    def heard(self, cls: type) -> bool:
        """Whether somebody takes it for an event, whatever else it is."""
        return (
            cls in TOLD
            or cls in self.emitted
            or any(not isinstance(part, Process) or cls not in part.starts for part in self.taken.get(cls, ()))
        )

    def owners(self, cls: type) -> list[str]:
        """The modules that own a class; more than one: its wire name has to be pinned."""
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

    def is_answer(self, cls: type, process: Process) -> bool:
        """Whether a process may be told this event as the outcome of one of its commands."""
        if process.made.unseen:
            return any(cls in events for events in self.outcomes.values())
        return cls in self.answers_to(process.commands)

    def is_internal_to_another(self, cls: type, part: Part) -> bool:
        """Whether an event belongs to another module, which does not publish it."""
        modules = {emitter.module for emitter in self.emitted.get(cls, ())}
        return bool(modules) and part.module not in modules and cls not in self.published


def roles_of(parts: Parts) -> Roles:
    """What every message class is; a process manager's answers are sorted into commands and events on the way."""
    roles = Roles()
    for part in (*parts.services, *parts.aggregates):
        _add(roles.handled if _handles(part) else roles.taken, part.takes, part)
    for service in parts.services:
        if service.role == "forwarder":
            _add(roles.published, service.emits, service)
    for process in parts.processes:
        for cls in process.starts:
            roles.starts.setdefault(cls, []).append(process)
    for part in parts.all():
        if not _unsorted(part):
            _add(roles.emitted, part.emits, part)
            _add(roles.sent, part.commands, part)
    _sort_answers(parts, roles)
    for process in parts.processes:
        _add(roles.taken, process.takes, process)
    _handled_by_processes(roles)
    for cls, handlers in roles.handled.items():
        roles.outcomes[cls] = frozenset[type]().union(*map(_answers, handlers))
    return roles


def _handles(part: Part) -> bool:
    return getattr(part, "role", "handler") == "handler"


def _answers(part: Part) -> frozenset[type]:
    return part.answers if isinstance(part, Process) and not _unsorted(part) else part.emits


def _unsorted(part: Part) -> bool:
    return isinstance(part, Process) and isinstance(part.declared, ManagerDeclaration)


def _sort_answers(parts: Parts, roles: Roles) -> None:
    for index, process in enumerate(parts.processes):
        if _unsorted(process):
            commands = process.made.undos.union(cls for cls in process.emits if _is_command(cls, process, roles))
            manager = replace(process, commands=commands, emits=process.emits - commands)
            parts.processes[index] = manager
            _add(roles.emitted, manager.emits, manager)
            _add(roles.sent, manager.commands, manager)
    for cls, processes in roles.starts.items():
        roles.starts[cls] = [one for one in parts.processes if any(one.declared is old.declared for old in processes)]


def _is_command(cls: type, manager: Process, roles: Roles) -> bool:
    """Whether what a process manager answers with is a command."""
    if cls in roles.handled or cls in roles.sent:
        return True
    return cls not in roles.emitted and any(_awaits(manager, started) for started in roles.starts.get(cls, ()))


def _awaits(manager: Process, started: Process) -> bool:
    """Whether a process manager that starts a process is told what that one ends with."""
    if not _unsorted(started):
        return bool(started.answers)  # what a saga returns is an outcome
    return not frozenset(manager.takes).difference(manager.starts).isdisjoint(started.answers)


def _handled_by_processes(roles: Roles) -> None:
    """A process that starts with a command is its handler."""
    for cls, processes in roles.starts.items():
        alone = len({process.name for process in processes}) == 1
        if cls in roles.sent or cls in roles.handled or (alone and not roles.heard(cls)):
            _add(roles.handled, (cls,), *processes)


def _add(found: dict[type, list[Part]], classes: Collection[type], *parts: Part) -> None:
    # a set has no order of its own: what is told of it should have one
    for cls in sorted(classes, key=lambda one: one.__qualname__) if isinstance(classes, frozenset) else classes:
        found.setdefault(cls, []).extend(parts)


def by_name(processes: Iterable[Process]) -> Mapping[str, list[Process]]:
    """The versions of each process, oldest first."""
    found: dict[str, list[Process]] = {}
    for process in sorted(processes, key=lambda one: one.version):
        found.setdefault(process.name, []).append(process)
    return found
