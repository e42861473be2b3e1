"""Makes the topology of an app whose declarations have been read and checked."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from operator import attrgetter
from typing import Any

import structlog
from structlog.typing import FilteringBoundLogger

from sagakit.app.parts import Aggregate, Parts, Process, Service
from sagakit.app.resolve import annotations
from sagakit.app.roles import Roles, by_name
from sagakit.core.codec import Codec, Codecs
from sagakit.core.decider import One
from sagakit.core.lifecycle import add_lifecycle
from sagakit.core.process import Definition
from sagakit.core.process_manager import ManagerDefinition
from sagakit.core.saga.code_saga import CodeSaga, SagaDefinition
from sagakit.core.saga.live import Surroundings
from sagakit.core.saga.step_saga import StepSaga, compile_steps
from sagakit.declare import ForwarderDeclaration, HandlerDeclaration
from sagakit.engine.topology import (
    AggregateConsumer,
    Consumer,
    KeyOf,
    ProcessConsumer,
    ProviderEntry,
    ServiceConsumer,
    Topology,
)

ONE_KEY = "one"


def compile_topology(parts: Parts, roles: Roles, warnings: Sequence[str]) -> Topology:
    """Everything that the engine needs to know of an app without problems."""
    codecs = _codecs(parts, roles)
    around = Surroundings(codecs, roles.outcomes, logger_of)
    services = [_service(part) for part in parts.services]
    aggregates = [_aggregate(part) for part in parts.aggregates]
    processes = _processes(parts, around)
    consumers: dict[str, Consumer] = {one.name: one for one in (*services, *aggregates, *processes)}
    return Topology(
        app=parts.app,
        codecs=codecs,
        handlers={
            cls: consumer
            for part in (*parts.services, *parts.aggregates)
            if not isinstance(part, Service) or part.role == "handler"
            for cls in part.takes
            if isinstance(consumer := consumers[part.name], ServiceConsumer | AggregateConsumer)
        },
        takers=_takers(roles, consumers),
        starters=_starters(parts, consumers),
        consumers=consumers,
        aggregates={one.cls: one for one in aggregates},
        processes=_process_names(parts, consumers),
        providers=tuple(ProviderEntry(one.provides, one.function, one.asks) for one in parts.providers),
        around=around,
        warnings=tuple(warnings),
    )


def _codecs(parts: Parts, roles: Roles) -> Codecs:
    codecs = Codecs()
    add_lifecycle(codecs)
    upcasters = {cls: lifts for module in parts.modules for cls, lifts in module.declared.upcasters.items()}
    for cls in roles.classes():
        name, version = roles.wire(cls)
        codecs.add(Codec(cls, name, version, upcasters.get(cls)))
    return codecs


def key_of(path: str) -> KeyOf:
    """The key of a message by a field path like `order.id`; None stays None."""
    get = attrgetter(path)

    def key(message: Any) -> str | None:
        value = get(message)
        return value if value is None or value.__class__ is str else str(value)

    return key


def _one_key(message: Any) -> str | None:
    return ONE_KEY


def _service(part: Service) -> ServiceConsumer:
    declared = part.declared
    keyed = None if isinstance(declared, ForwarderDeclaration) else declared.key
    plain = not inspect.iscoroutinefunction(inspect.unwrap(declared.function))
    return ServiceConsumer(
        name=part.name,
        role=part.role,
        function=declared.function,
        first=part.first,
        asks=part.asks,
        key=None if keyed is None else key_of(keyed),
        retries=declared.retries,
        timeout=declared.timeout if isinstance(declared, HandlerDeclaration) else None,
        threaded=plain and part.role == "handler",
        outcomes=part.emits | part.commands,
    )


def _aggregate(part: Aggregate) -> AggregateConsumer:
    declared = part.declared
    return AggregateConsumer(
        name=part.name,
        cls=declared.cls,
        key=_one_key if isinstance(declared.key, One) else key_of(declared.key),
        commands=frozenset(part.takes),
        outcomes=part.emits,
        snapshot_every=declared.snapshot_every,
        code=_digest(declared.cls),
    )


def _digest(cls: type) -> str:
    """Of the names and types of a class's fields: what its snapshots are made of."""
    fields = [f"{name}:{hint}" for name, hint in annotations(cls, {}).items()]
    return blake2b("|".join((cls.__qualname__, *fields)).encode(), digest_size=8).hexdigest()


def _processes(parts: Parts, around: Surroundings) -> list[ProcessConsumer]:
    names = {module.name: module.declared.local_names for module in parts.modules}
    consumers: list[ProcessConsumer] = []
    for name, versions in by_name(parts.processes).items():
        definitions = {one.version: _definition(one, around, names[one.module]) for one in versions}
        newest = versions[-1]
        declared = newest.declared
        consumers.append(
            ProcessConsumer(
                name=name,
                key=key_of(newest.key),
                definitions=definitions,
                current=definitions[newest.version],
                declared=declared if isinstance(declared, CodeSaga | StepSaga) else declared.cls,
            )
        )
    return consumers


def _definition(part: Process, around: Surroundings, names: Mapping[str, Any]) -> Definition:
    declared = part.declared
    if isinstance(declared, CodeSaga):
        return _saga(part, declared.code, around)
    if isinstance(declared, StepSaga):

        def hints(build: Any) -> Mapping[str, Any]:
            return annotations(build, names)

        return _saga(part, compile_steps(declared, hints), around)
    return ManagerDefinition(
        part.name,
        declared.cls,
        around,
        starts_with=part.starts,
        evolves=part.evolves,
        reacts=part.reacts,
        version=part.version,
    )


def _saga(part: Process, code: Callable[..., Any], around: Surroundings) -> SagaDefinition:
    receives = tuple(cls for cls in part.takes if cls not in part.starts)
    return SagaDefinition(part.name, code, around, starts_with=part.starts, receives=receives, version=part.version)


def _takers(
    roles: Roles, consumers: Mapping[str, Consumer]
) -> dict[type, tuple[ServiceConsumer | ProcessConsumer, ...]]:
    found: dict[type, dict[str, ServiceConsumer | ProcessConsumer]] = {}
    for cls, parts in roles.taken.items():
        for part in parts:
            consumer = consumers[part.name]
            if isinstance(consumer, ServiceConsumer | ProcessConsumer) and by_key(cls, part, roles):
                found.setdefault(cls, {})[part.name] = consumer
    return {cls: tuple(takers.values()) for cls, takers in found.items()}


def by_key(cls: type, part: Any, roles: Roles) -> bool:
    return True


def _starters(parts: Parts, consumers: Mapping[str, Consumer]) -> dict[type, tuple[ProcessConsumer, ...]]:
    found: dict[type, list[ProcessConsumer]] = {}
    for name, versions in by_name(parts.processes).items():
        consumer = consumers[name]
        assert isinstance(consumer, ProcessConsumer)
        for cls in versions[-1].starts:
            found.setdefault(cls, []).append(consumer)
    return {cls: tuple(started) for cls, started in found.items()}


def _process_names(parts: Parts, consumers: Mapping[str, Consumer]) -> dict[Any, ProcessConsumer]:
    found: dict[Any, ProcessConsumer] = {}
    for part in parts.processes:
        consumer = consumers[part.name]
        assert isinstance(consumer, ProcessConsumer)
        declared = part.declared
        found[part.name] = consumer
        found[declared if isinstance(declared, CodeSaga | StepSaga) else declared.cls] = consumer
    return found


def _drop(logger: Any, method: str, event: Any) -> Any:
    raise structlog.DropEvent


_silent: FilteringBoundLogger = structlog.wrap_logger(
    None, processors=[_drop], wrapper_class=structlog.make_filtering_bound_logger(50)
)


def logger_of(process: str, key: str) -> FilteringBoundLogger:
    """The logger of an instance; for the process "" one that says nothing."""
    return structlog.get_logger("sagakit.process", process=process, key=key) if process else _silent
