"""Keys: the field paths by which messages find their lane, stream or instance."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Any

from sagakit.app.reading.resolve import Unresolved, annotations_of, named
from sagakit.core.decider import One
from sagakit.core.streams import LONGEST, checked
from sagakit.engine.topology import ONE_KEY, KeyOf

THE_ONE = ""


def key_of(path: str | One) -> KeyOf:
    """The key of a message by a field path like `order.id`. None stays None; ONE is the same for all.

    It raises InvalidMessage for a key that is too long, or has a NUL character.
    """
    if isinstance(path, One):
        return lambda _: THE_ONE
    get = attrgetter(path)

    def key(message: Any) -> str | None:
        value = get(message)
        if value is None:
            return None
        text = value if value.__class__ is str else str(value)
        return text if len(text) <= LONGEST and "\0" not in text else checked(path, text)

    return key


def path_of(path: str | One) -> str:
    """A field path as workers with other code are told it."""
    return ONE_KEY if isinstance(path, One) else path


def missing(cls: type, path: str | One, names: Mapping[str, Any]) -> str | None:
    """The first name of a field path that a message class lacks; None: it has them all, as far as types tell."""
    classes: tuple[type, ...] = (cls,)
    for name in () if isinstance(path, One) else path.split("."):
        found: list[type] = []
        for one in classes:
            hint = annotations_of(one, names).get(name)
            if hint is None and not hasattr(one, name):
                return f"{one.__qualname__} has no field {name!r}"
            if hint is None or isinstance(hint, Unresolved):
                return None
            found += named(hint).messages
        classes = tuple(found)
        if not classes:
            # a value of any other kind: the rest of the path cannot be told from its type
            break
    return None
