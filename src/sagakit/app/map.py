"""The map of an app: which module handles, sends, publishes and takes what, and what leads nowhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from sagakit.app.app import App
from sagakit.app.reading.parts import Aggregate, Part, Parts, Process, Service
from sagakit.app.reading.read import read_parts
from sagakit.app.reading.roles import Roles, roles_of
from sagakit.core.saga.code_saga import CodeSaga
from sagakit.core.saga.step_saga import StepSaga


class Handled(Struct, frozen=True):
    """A command, who handles it, and the events that it may lead to."""

    command: str
    by: str
    outcomes: list[str]


class Sent(Struct, frozen=True):
    """A command, who sends it, and who handles it (null: nobody)."""

    command: str
    by: str
    to: str | None


class Published(Struct, frozen=True):
    """An event for other modules, and the forwarder that makes it."""

    event: str
    by: str


class Taken(Struct, frozen=True):
    """An event, who takes it unasked, and who brings it about."""

    event: str
    by: str
    of: list[str]


class ModuleMap(Struct, frozen=True):
    """One module of an app."""

    name: str
    handles: list[Handled]
    sends: list[Sent]
    publishes: list[Published]
    takes: list[Taken]


class Orphan(Struct, frozen=True):
    """A message that leads nowhere: whose it is, and why, in words."""

    message: str
    of: list[str]
    why: str


class AppMap(Struct, frozen=True):
    """A whole app."""

    app: str
    modules: list[ModuleMap]
    unheard_events: list[Orphan]
    """Events that nobody takes, and that are no answer to anybody."""
    untreated_refusals: list[Orphan]
    """Outcomes of a command that whoever sent it does not look at."""
    unseen: list[str]
    """Processes that may send more than their source shows."""


def map_of(app: App) -> AppMap:
    """The map of an app. Raises DeclarationError where it has problems."""
    app.check()
    parts = read_parts(app.name, app.modules)
    roles = roles_of(parts)
    modules = (_module(module.name, parts, roles) for module in parts.modules)
    return AppMap(
        parts.app,
        [module for module in modules if any((module.handles, module.sends, module.publishes, module.takes))],
        list(_unheard(parts, roles)),
        list(_untreated(parts, roles)),
        list(dict.fromkeys(process.name for process in parts.processes if process.made.unseen)),
    )


def kind_of(part: Part) -> str:
    """What a part of an app is, in the words of the documentation."""
    if isinstance(part, Aggregate):
        return "aggregate"
    if isinstance(part, Service):
        return "service handler" if part.role == "handler" else part.role
    declared = part.declared if isinstance(part, Process) else None
    if isinstance(declared, CodeSaga):
        return "code saga"
    return "step saga" if isinstance(declared, StepSaga) else "process manager"


def _module(name: str, parts: Parts, roles: Roles) -> ModuleMap:
    own = [part for part in parts.all() if part.module == name]
    return ModuleMap(
        name,
        [
            Handled(_wire(roles, command), part.name, _names(roles, roles.outcomes[command]))
            for command, handlers in roles.handled.items()
            for part in _once(handlers)
            if part in own
        ],
        [
            Sent(_wire(roles, command), part.name, _handler(roles, command))
            for command, senders in roles.sent.items()
            for part in _once(senders)
            if part in own
        ],
        [
            Published(_wire(roles, event), part.name)
            for event, forwarders in roles.published.items()
            for part in _once(forwarders)
            if part in own
        ],
        [
            Taken(_wire(roles, event), part.name, _parts(roles.emitted.get(event, ())))
            for event, takers in roles.taken.items()
            for part in _once(takers)
            if part in own and event not in roles.handled
        ],
    )


# ---------------------------------------------------------------------- what leads nowhere


def _unheard(parts: Parts, roles: Roles) -> Iterator[Orphan]:
    """Events that nobody takes. An aggregate's own state is made of its events: those that it evolves by are heard."""
    answers = frozenset[type]().union(*roles.outcomes.values())
    evolved = frozenset[type]().union(*(one.evolves or one.emits for one in parts.aggregates))
    for event, emitters in roles.emitted.items():
        if event not in roles.taken and event not in answers and event not in evolved:
            yield Orphan(_wire(roles, event), _parts(emitters), "nobody takes it")


def _untreated(parts: Parts, roles: Roles) -> Iterator[Orphan]:
    for sender in parts.all():
        for command in _unwatched(sender):
            outcomes = roles.outcomes.get(command, frozenset())
            if len(outcomes) < 2:  # of several outcomes one may be a refusal; a single one is none
                continue
            for event in sorted(outcomes - _looked_at(sender, roles), key=lambda one: one.__qualname__):
                name = _wire(roles, event)
                why = f"{sender.name} sends {_wire(roles, command)} and does not look at {name}"
                yield Orphan(name, [sender.name], why)


def _unwatched(sender: Part) -> Iterable[type]:
    """The commands whose outcomes a part is not told, or may overlook. A saga's steps are always looked at."""
    if isinstance(sender, Process) and isinstance(sender.declared, StepSaga):
        return ()
    if isinstance(sender, Process) and isinstance(sender.declared, CodeSaga):
        return sorted(sender.made.sent, key=lambda one: one.__qualname__)
    undos = sender.made.undos if isinstance(sender, Process) else frozenset[type]()  # an undo knows no refusal
    return sorted(sender.commands - undos, key=lambda one: one.__qualname__)


def _looked_at(sender: Part, roles: Roles) -> frozenset[type]:
    """The events that somebody looks at: a process manager itself, for all others anybody."""
    if isinstance(sender, Process) and not isinstance(sender.declared, CodeSaga):
        return frozenset((*sender.evolves, *sender.reacts))
    return frozenset(roles.taken)


# ---------------------------------------------------------------------- names


def _wire(roles: Roles, cls: type) -> str:
    return roles.wire(cls)[0]


def _names(roles: Roles, classes: Iterable[type]) -> list[str]:
    return sorted(_wire(roles, cls) for cls in classes)


def _handler(roles: Roles, command: type) -> str | None:
    return next((part.name for part in roles.handled.get(command, ())), None)


def _parts(parts: Sequence[Part]) -> list[str]:
    return [part.name for part in _once(parts)]


def _once(parts: Sequence[Part]) -> list[Part]:
    """Each once: versions of a process are one."""
    return list({part.name: part for part in parts}.values())
