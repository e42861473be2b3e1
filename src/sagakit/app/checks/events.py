"""Events: they stay in their module unless they are published, and aggregates know their own."""

from __future__ import annotations

from collections.abc import Iterator

from sagakit.app.reading.parts import Part, Parts, Process
from sagakit.app.reading.processes import CONTROL
from sagakit.app.reading.roles import Roles
from sagakit.core.lifecycle import TOLD


def internal_to_another_module(parts: Parts, roles: Roles) -> Iterator[str]:
    """Listeners, forwarders and processes that take what another module keeps to itself."""
    for part in parts.all():
        for cls in part.takes if _takes_events(part) else ():
            if not roles.is_internal_to_another(cls, part) or _is_answer(cls, part, roles):
                continue
            owner = roles.emitted[cls][0].module
            yield (
                f"{part.where}: {cls.__qualname__} is internal to the module {owner}: "
                f"let {owner} publish an event of its own from it (@{owner}.publishes), and take that one"
            )


def _takes_events(part: Part) -> bool:
    return isinstance(part, Process) or getattr(part, "role", "") in ("listener", "forwarder")


def _is_answer(cls: type, part: Part, roles: Roles) -> bool:
    return isinstance(part, Process) and cls not in part.starts and roles.is_answer(cls, part)


def of_process_managers_alone(parts: Parts) -> Iterator[str]:
    """What only process managers are told, or answer with, used elsewhere."""
    for part in parts.all():
        used = {*part.takes, *part.emits, *part.commands, *getattr(part, "starts", ())} & CONTROL
        for cls in sorted(used, key=lambda one: one.__qualname__):
            yield f"{part.where}: {cls.__qualname__} is for process managers alone"


def of_the_engine_alone(parts: Parts) -> Iterator[str]:
    """What the engine tells of itself, brought about or sent by somebody else."""
    for part in parts.all():
        for cls in sorted((part.emits | part.commands) & TOLD, key=lambda one: one.__qualname__):
            yield f"{part.where}: {cls.__qualname__} is told by the engine alone: make an event of your own"


def taken_by_nobody(parts: Parts, roles: Roles) -> Iterator[str]:
    """Events that change nothing anywhere. The outcome of a command is told to whoever sent it."""
    of_aggregates = frozenset[type]().union(*(aggregate.emits for aggregate in parts.aggregates))
    answers = frozenset[type]().union(*roles.outcomes.values())
    for cls, emitters in roles.emitted.items():
        if cls not in roles.taken and cls not in of_aggregates and cls not in answers:
            places = ", ".join(dict.fromkeys(part.where for part in emitters))
            yield f"{places}: nobody takes the event {cls.__qualname__}"


def not_evolved(parts: Parts) -> Iterator[str]:
    """Aggregates whose `evolve` does not know all that `decide` may answer."""
    for aggregate in parts.aggregates:
        if not aggregate.evolves:
            continue  # it takes any message, or its annotation is a problem of its own
        for cls in sorted(aggregate.emits - aggregate.evolves, key=lambda one: one.__qualname__):
            yield (
                f"{aggregate.where}: decide may return {cls.__qualname__}, which evolve does not take: "
                "add it to the annotation of evolve, and a case for it"
            )


def starts_with_nothing(parts: Parts) -> Iterator[str]:
    """Process managers that are started by an event that they do not take."""
    for process in parts.processes:
        taken = process.reacts | process.evolves
        for cls in process.starts if taken else ():
            if cls not in taken:
                yield f"{process.where}: starts with {cls.__qualname__}, which neither react nor evolve takes"
