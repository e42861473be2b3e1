"""Keys: the field paths by which messages find their lane, stream or instance."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Set
from operator import attrgetter
from typing import Annotated, Any, Union, get_args, get_origin

from sagakit.app.reading.resolve import Unresolved, annotations_of, named
from sagakit.core.decider import One
from sagakit.core.messages import is_message_type
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
    return _walked(cls, path, names)[0]


def unsteady(cls: type, path: str | One, names: Mapping[str, Any]) -> str | None:
    """What a key would be made of, if its text is not the same in every process, or for newer code; else None."""
    for where, hint in _walked(cls, path, names)[1]:
        for part in _parts(hint):
            plain = get_origin(part) or part
            if isinstance(plain, type) and _has_no_text(plain):
                return f"{where} is a {plain.__qualname__}"
    return None


def _walked(cls: type, path: str | One, names: Mapping[str, Any]) -> tuple[str | None, list[tuple[str, Any]]]:
    """What the path lacks; and the annotations that it ends at, each with its place, as far as types tell."""
    classes: tuple[type, ...] = (cls,)
    ends: list[tuple[str, Any]] = []
    rest = [] if isinstance(path, One) else path.split(".")
    while rest:
        name = rest.pop(0)
        found: list[type] = []
        ends = []
        for one in classes:
            hint = annotations_of(one, names).get(name)
            if hint is None and not hasattr(one, name):
                return f"{one.__qualname__} has no field {name!r}", []
            if hint is None or isinstance(hint, Unresolved):
                return None, []
            ends.append((f"{one.__qualname__}.{name}", hint))
            found += named(hint).messages
        classes = tuple(found)
        if not classes:
            # a value of any other kind: the rest of the path cannot be told from its type
            return None, [] if rest else ends
    return None, ends


def _parts(hint: Any) -> Iterator[Any]:
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) in (Union, types.UnionType):
        for part in get_args(hint):
            yield from _parts(part)
    else:
        yield hint


def _has_no_text(cls: type[Any]) -> bool:
    """Whether the text of its values hangs on the order of a set or a dict, or on the fields that its code knows."""
    if issubclass(cls, Set | Mapping):
        return True
    own = next(one for one in cls.__mro__ if "__str__" in vars(one))
    return is_message_type(cls) and own.__module__.partition(".")[0] in ("builtins", "pydantic", "msgspec")
