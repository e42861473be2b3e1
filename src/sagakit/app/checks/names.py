"""Names: of consumers, which deliveries refer to, and of messages on the wire."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from sagakit.app.reading.parts import Parts, Process
from sagakit.app.reading.roles import Roles, by_name
from sagakit.core.lifecycle import TOLD
from sagakit.core.messages import pinned


def two_of_one_name(parts: Parts) -> Iterator[str]:
    """Declarations of one name, unless they are versions of one process."""
    named: dict[str, list[str]] = {}
    for part in parts.all():
        if not isinstance(part, Process):
            named.setdefault(part.name, []).append(part.where)
    for name, versions in by_name(parts.processes).items():
        named.setdefault(name, []).append(versions[0].where)
        yield from _versions(name, versions)
    for name, places in named.items():
        if len(places) > 1:
            yield f"{' and '.join(places)} are both named {name!r}: rename one of them"


def _versions(name: str, versions: list[Process]) -> Iterator[str]:
    for older, newer in pairwise(versions):
        if older.version == newer.version:
            yield (
                f"{older.where} and {newer.where}: {name!r} has version {newer.version} twice: "
                "give the newer one the next version, or one of them another name"
            )
        if older.key != newer.key:
            yield (
                f"{name!r}: version {older.version} has key={older.key!r}, version {newer.version} key={newer.key!r}: "
                "all versions of a process find their instances by the same key"
            )


def owned_by_two(roles: Roles) -> Iterator[str]:
    """Events whose wire name could be that of either module."""
    for cls in roles.classes():
        owners = roles.owners(cls)
        if len(owners) > 1 and pinned(cls) is None and cls not in roles.handled:
            verb = "emitted" if cls in roles.emitted else "taken"
            yield (
                f"{cls.__qualname__} is {verb} by the modules {' and '.join(owners)}: pin its name on the wire, "
                f'with @wire("{owners[0]}.{cls.__qualname__}")'
            )


def two_of_one_wire_name(roles: Roles) -> Iterator[str]:
    """Classes that the wire could not tell apart, or that take a name of the engine's own."""
    named: dict[str, list[type]] = {}
    for cls in roles.classes():
        named.setdefault(roles.wire(cls)[0], []).append(cls)
    for name, classes in named.items():
        places = " and ".join(f"{cls.__module__}.{cls.__qualname__}" for cls in classes)
        if len(classes) > 1:
            yield f"{places} are both named {name!r} on the wire: pin one of them to another name with @wire(...)"
        if name.startswith("sagakit.") and not TOLD.issuperset(classes):
            yield f"{places} is named {name!r} on the wire: names that begin with 'sagakit.' are the engine's own"


def bad_upcasters(parts: Parts, roles: Roles) -> Iterator[str]:
    """Upcasters of no message, or that do not lead from version to version up to the current one."""
    known = set(roles.classes())
    for module in parts.modules:
        for cls, upcasters in module.declared.upcasters.items():
            if cls not in known:
                yield f"{module.name}: the upcasters of {cls.__qualname__} lift no message of this app"
                continue
            name, current = roles.wire(cls)
            for version in sorted(upcasters):
                if not 1 <= version < current:
                    yield (
                        f"{module.name}: an upcaster lifts {cls.__qualname__} from version {version}, but its version "
                        f'is {current}: pin the new one with @wire("{name}", version={max(version, current) + 1})'
                    )
            for version in range(min(upcasters), current):
                if version not in upcasters:
                    yield f"{module.name}: no upcaster lifts {cls.__qualname__} from version {version} to {version + 1}"
