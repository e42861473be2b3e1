"""Makes the topology of an app whose declarations were read and found in order."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import structlog

from sagakit.app.reading.keys import key_of, missing, path_of
from sagakit.app.reading.parts import Aggregate, Parts, Process, Service
from sagakit.app.reading.resolve import annotations_of
from sagakit.app.reading.roles import Roles, by_name
from sagakit.app.reading.stored import code_of, shape_of
from sagakit.core.codec import Codec, Codecs
from sagakit.core.lifecycle import add_lifecycle
from sagakit.core.limiting.limits import Limiting
from sagakit.core.process import Definition, Log, Surroundings
from sagakit.core.process_manager.live import ManagerDefinition
from sagakit.core.saga.code_saga import CodeSaga, SagaDefinition
from sagakit.core.saga.step_saga import StepSaga, compile_steps
from sagakit.core.streams import instance_id, lane_name
from sagakit.declare import HandlerDeclaration
from sagakit.engine.topology import (
    AggregateConsumer,
    Consumer,
    KeyOf,
    ProcessConsumer,
    ProviderEntry,
    ServiceConsumer,
    Topology,
)


def compile_topology(parts: Parts, roles: Roles, warnings: Sequence[str] = ()) -> Topology:
    """Everything that the engine needs to know of an app without problems."""
    codecs = _codecs(parts, roles)
    around = Surroundings(codecs, roles.outcomes, logger_of, children=_children(parts, roles))
    services = {part.name: _service(part) for part in parts.services}
    aggregates = {part.name: _aggregate(part) for part in parts.aggregates}
    processes = {name: _process(parts, roles, versions, around) for name, versions in by_name(parts.processes).items()}
    consumers: dict[str, Consumer] = {**services, **aggregates, **processes, **_repliers(parts)}
    return Topology(
        app=parts.app,
        codecs=codecs,
        handlers=_handlers(parts, services, aggregates),
        takers=_takers(parts, roles, services, processes),
        starters=_starters(parts, processes),
        consumers=consumers,
        aggregates={one.cls: one for one in aggregates.values()},
        processes=processes | {part.subject: processes[part.name] for part in parts.processes},
        providers=_providers(parts),
        commands=frozenset(roles.outcomes),
        around=around,
        links=tuple(link for module in parts.modules for link in module.declared.links),
        warnings=tuple(warnings),
    )


def _codecs(parts: Parts, roles: Roles) -> Codecs:
    codecs = Codecs()
    add_lifecycle(codecs)
    upcasters = {cls: lifts for module in parts.modules for cls, lifts in module.declared.upcasters.items()}
    for cls in roles.classes():
        if cls in codecs.by_class:
            continue  # one of the engine's own
        name, version = roles.wire(cls)
        codecs.add(Codec(cls, name, version, upcasters.get(cls)))
    return codecs


def _providers(parts: Parts) -> tuple[ProviderEntry, ...]:
    """The providers; what one could do without, and no other gives, it is not given."""
    provided = {one.provides for one in parts.providers}
    return tuple(
        ProviderEntry(
            one.provides,
            one.function,
            {name: wanted for name, wanted in one.asks.items() if name not in one.optional or wanted in provided},
        )
        for one in parts.providers
    )


# ---------------------------------------------------------------------- consumers


def _service(part: Service) -> ServiceConsumer:
    declared = part.declared
    plain, home = not inspect.iscoroutinefunction(inspect.unwrap(declared.function)), _home(part)
    return ServiceConsumer(
        name=part.name,
        role=part.role,
        function=declared.function,
        first=part.first,
        asks=part.asks,
        key=None if part.key is None else key_of(part.key),
        retries=declared.retries,
        timeout=declared.timeout if isinstance(declared, HandlerDeclaration) else None,
        threaded=plain and part.role == "handler",
        outcomes=part.emits | part.commands,
        open=part.open,
        key_path="" if part.key is None else path_of(part.key),
        limits=_limits(part),
        home=None if home is None or part.key is not None else key_of(home),
    )


def _home(part: Service) -> str | None:
    """The field whose value says which of several workers has a message: what orders them, else the first limit's."""
    return part.key or next((one.key for one in part.declared.limits if one.key is not None), None)


def _limits(part: Service) -> tuple[Limiting, ...]:
    home = _home(part)
    return tuple(
        Limiting(one, None if one.key is None else key_of(one.key), one.key is not None and one.key == home)
        for one in part.declared.limits
    )


def _repliers(parts: Parts) -> dict[str, ServiceConsumer]:
    """Those that bring outcomes back to other services: they take what is addressed to them, and nothing else."""
    found: dict[str, ServiceConsumer] = {}
    for module in parts.modules:
        for declared in module.declared.repliers:
            asks = annotations_of(declared.function, module.declared.local_names)
            first = next(iter(inspect.signature(declared.function).parameters))
            name = f"{module.name}.{declared.name}"
            found[name] = ServiceConsumer(
                name=name,
                role="listener",
                function=declared.function,
                first=first,
                asks={name: wanted for name, wanted in asks.items() if name not in (first, "return")},
                key=None,
                retries=declared.retries,
                timeout=None,
                threaded=False,
                outcomes=frozenset(),
            )
    return found


def _aggregate(part: Aggregate) -> AggregateConsumer:
    declared = part.declared
    return AggregateConsumer(
        name=part.name,
        cls=declared.cls,
        key=key_of(declared.key),
        commands=frozenset(part.takes),
        outcomes=part.emits,
        snapshot_every=declared.snapshot_every,
        code=_digest(declared.cls),
        key_path=path_of(declared.key),
    )


def _digest(cls: type) -> str:
    """Of the fields of a class, of those in them, and of its functions: what its snapshots are made of, and by."""
    return blake2b(f"{shape_of(cls)} {code_of(cls)}".encode(), digest_size=8).hexdigest()


def _process(parts: Parts, roles: Roles, versions: Sequence[Process], around: Surroundings) -> ProcessConsumer:
    newest = versions[-1]
    definitions = {one.version: _definition(one, around, parts.names_of(one.module)) for one in versions}
    return ProcessConsumer(
        name=newest.name,
        key=key_of(newest.key),
        definitions=definitions,
        current=definitions[newest.version],
        declared=newest.subject,
        stuck_after=int(newest.declared.stuck_after * 1_000_000),
        early_for=int(newest.declared.early_for * 1_000_000),
        attributes=newest.declared.attributes,
        key_path=path_of(newest.key),
        answers=any(cls in roles.handled for one in versions for cls in one.starts),
        leads_to=None
        if any(one.made.unseen for one in versions)
        else frozenset[type]().union(*(one.emits | one.commands for one in versions)),
    )


def _definition(part: Process, around: Surroundings, names: Mapping[str, Any]) -> Definition:
    declared = part.declared
    if isinstance(declared, CodeSaga | StepSaga):
        return SagaDefinition(
            part.name,
            declared.code
            if isinstance(declared, CodeSaga)
            else compile_steps(declared, lambda build: annotations_of(build, names)),
            around,
            starts_with=part.starts,
            receives=tuple(cls for cls in part.takes if cls not in part.starts),
            deadline=declared.deadline,
            version=part.version,
        )
    return ManagerDefinition(
        part.name,
        declared.cls,
        around,
        starts_with=part.starts,
        evolves=part.evolves,
        reacts=part.reacts,
        version=part.version,
    )


# ---------------------------------------------------------------------- who takes what


def _handlers(
    parts: Parts, services: Mapping[str, ServiceConsumer], aggregates: Mapping[str, AggregateConsumer]
) -> dict[type, ServiceConsumer | AggregateConsumer]:
    found: dict[type, ServiceConsumer | AggregateConsumer] = {}
    for service in parts.services:
        if service.role == "handler":
            found |= dict.fromkeys(service.takes, services[service.name])
    for aggregate in parts.aggregates:
        found |= dict.fromkeys(aggregate.takes, aggregates[aggregate.name])
    return found


def _takers(
    parts: Parts, roles: Roles, services: Mapping[str, ServiceConsumer], processes: Mapping[str, ProcessConsumer]
) -> dict[type, tuple[ServiceConsumer | ProcessConsumer, ...]]:
    found: dict[type, dict[str, ServiceConsumer | ProcessConsumer]] = {}
    for cls, takers in roles.taken.items():
        for part in takers:
            if not isinstance(part, Process):
                found.setdefault(cls, {})[part.name] = services[part.name]
            elif takes_by_key(parts, roles, cls, part):
                found.setdefault(cls, {})[part.name] = processes[part.name]
    return {cls: tuple(taking.values()) for cls, taking in found.items()}


def takes_by_key(parts: Parts, roles: Roles, cls: type, process: Process) -> bool:
    """Whether a process takes an event by its key too, and not only as the outcome of a command of its own."""
    if cls in process.made.reminded and cls not in roles.emitted and cls not in process.starts:
        return False  # its reminders tell it that, and nobody else
    if cls in process.starts or not roles.is_answer(cls, process):
        return True
    if roles.is_internal_to_another(cls, process):
        return False
    return missing(cls, process.key, parts.names_of(process.module)) is None


def _children(parts: Parts, roles: Roles) -> dict[type, Callable[[Any], str | None]]:
    """The commands that start a process, with the lane of the instance that each of them starts."""
    found: dict[type, Callable[[Any], str | None]] = {}
    for name, versions in by_name(parts.processes).items():
        lane = _lane_of(name, key_of(versions[-1].key))
        found |= {cls: lane for cls in versions[-1].starts if cls in roles.handled}
    return found


def _lane_of(process: str, key_of: KeyOf) -> Callable[[Any], str | None]:
    def lane(command: Any) -> str | None:
        key = key_of(command)
        return None if key is None else lane_name(process, instance_id(process, key))

    return lane


def _starters(parts: Parts, processes: Mapping[str, ProcessConsumer]) -> dict[type, tuple[ProcessConsumer, ...]]:
    found: dict[type, list[ProcessConsumer]] = {}
    for name, versions in by_name(parts.processes).items():
        for cls in versions[-1].starts:
            found.setdefault(cls, []).append(processes[name])
    return {cls: tuple(started) for cls, started in found.items()}


# ---------------------------------------------------------------------- logging


def _drop(*_: Any) -> Any:
    raise structlog.DropEvent


_silent: Log = structlog.wrap_logger(None, processors=[_drop], wrapper_class=structlog.make_filtering_bound_logger(50))


def logger_of(process: str, key: str) -> Log:
    """The logger of an instance; that of the process "" says nothing."""
    return structlog.get_logger("sagakit.process", process=process, key=key) if process else _silent
