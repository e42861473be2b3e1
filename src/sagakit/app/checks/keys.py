"""Keys: every message that is found by a field path has these fields."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sagakit.app.compile import takes_by_key
from sagakit.app.reading.keys import missing, unsteady
from sagakit.app.reading.parts import Part, Parts
from sagakit.app.reading.roles import Roles
from sagakit.core.decider import One


def without_key(parts: Parts, roles: Roles) -> Iterator[str]:
    """Messages that lack the field by which their consumer finds them."""
    for service in parts.services:
        if service.key is not None:
            yield from _lacking(parts, service, service.key, service.takes)
    for aggregate in parts.aggregates:
        yield from _lacking(parts, aggregate, aggregate.declared.key, aggregate.takes)
    for process in parts.processes:
        by_key = [cls for cls in process.takes if takes_by_key(parts, roles, cls, process)]
        yield from _lacking(parts, process, process.key, by_key)


def attributes_of_nothing(parts: Parts, roles: Roles) -> Iterator[str]:
    """Attributes that no message has which their process takes."""
    for process in parts.processes:
        names = parts.names_of(process.module)
        if process.made.unseen:
            answers = frozenset[type]().union(*roles.outcomes.values())
        else:
            answers = roles.answers_to(process.commands)
        for name in process.declared.attributes:
            if not name.isidentifier():
                yield f"{process.where}: attributes={name!r}: an attribute is the name of a field"
            elif all(missing(cls, name, names) for cls in (*process.takes, *answers)):
                yield f"{process.where}: attributes={name!r}: nothing that it takes has a field of that name"


def _lacking(parts: Parts, part: Part, key: str | One, classes: Iterable[type]) -> Iterator[str]:
    names = parts.names_of(part.module)
    for cls in classes:
        lacks = missing(cls, key, names)
        if lacks is not None:
            yield f"{part.where}: key={key!r}: {lacks}: name a field, or a path like 'order.id', that all of them have"
            continue
        unfit = unsteady(cls, key, names)
        if unfit is not None:
            yield f"{part.where}: key={key!r}: {unfit}, whose text is not the same in every process: name a plain value"
