"""Limits: numbers and times that let something through, and fields that the messages have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sagakit.app.reading.keys import missing
from sagakit.app.reading.parts import Parts, Service
from sagakit.core.limiting.limits import AtOnce, Rate
from sagakit.core.messages import microseconds


def that_let_nothing_through(parts: Parts) -> Iterator[str]:
    """Limits that are none, or under which nothing could ever run as it is meant."""
    for service in parts.services:
        counted: set[tuple[type, str | None]] = set()
        for limit in service.declared.limits:
            yield from (f"{service.where}: {problem}" for problem in _problems(parts, service, limit))
            place = (type(limit), getattr(limit, "key", None))
            if place in counted and isinstance(limit, AtOnce):
                yield f"{service.where}: {_word(limit)}: there is another one {_of(limit)}: keep the smaller of the two"
            counted.add(place)


def _problems(parts: Parts, service: Service, limit: Any) -> Iterator[str]:
    if not isinstance(limit, AtOnce | Rate):
        yield f"rate={limit!r}: say in which time: Rate(100, per=1)"
        return
    what = _word(limit)
    if not _counts(limit.most):
        yield f"{what}: give a whole number of 1 or more; to let nothing run for a while, pause the module"
    if isinstance(limit, Rate):
        if not _counts(limit.burst):
            yield f"{what}, burst={limit.burst!r}: give a whole number of 1 or more"
        yield from _per(limit.per, what)
    yield from _key(parts, service, limit, what)


def _key(parts: Parts, service: Service, limit: AtOnce | Rate, what: str) -> Iterator[str]:
    key: Any = limit.key
    if key is None:
        return
    if not isinstance(key, str) or not all(name.isidentifier() for name in key.split(".")):
        yield f"{what}, key={key!r}: name a field, or a path like 'order.id'"
        return
    if isinstance(limit, AtOnce) and key == service.key:
        yield f"{what}: the handler's own key={key!r} lets those of one value run one at a time already: leave it out"
    names = parts.names_of(service.module)
    for cls in service.takes:
        lacks = missing(cls, key, names)
        if lacks is not None:
            yield f"{what}: {lacks}: name a field, or a path like 'order.id', that all that it takes have"


def _per(per: Any, what: str) -> Iterator[str]:
    try:
        passes = microseconds(per, "per=")
    except (TypeError, ValueError):
        passes = 0
    if not passes:
        yield f"{what}, per={per!r}: give seconds, or a timedelta, above 0 and of ten thousand years at most"


def _counts(number: Any) -> bool:
    return type(number) is int and number >= 1


def _word(limit: AtOnce | Rate) -> str:
    key = "" if limit.key is None else f", key={limit.key!r}"
    if isinstance(limit, AtOnce):
        return f"at_once={limit.most!r}" if limit.key is None else f"at_once=AtOnce({limit.most!r}{key})"
    return f"rate=Rate({limit.most!r}, per={limit.per!r}{key})"


def _of(limit: AtOnce) -> str:
    return "for all messages" if limit.key is None else f"for each {limit.key}"
