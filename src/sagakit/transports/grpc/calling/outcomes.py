"""Which events a call may lead to, read from what makes them."""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Union


def outcomes_of(call: str, named: tuple[type, ...], *mappers: Callable[..., Any] | None) -> Any:
    """The return annotation of a handler whose answers these functions make. TypeError where it stays open."""
    if named:
        return _union(named)
    found: list[Any] = []
    for mapper in mappers:
        if mapper is not None:
            found += _parts(_returned(call, mapper))
    return _union(tuple(part for part in dict.fromkeys(found) if part is not type(None)))


def _returned(call: str, mapper: Callable[..., Any]) -> Any:
    written = _written(mapper).get("return")
    if written is None:
        raise TypeError(f"{call}: {_name(mapper)} does not say what it returns: annotate it, or give outcomes=")
    holder: Any = types.SimpleNamespace(__annotations__={"return": written})
    closed: Mapping[str, Any] = inspect.getclosurevars(mapper).nonlocals if inspect.isfunction(mapper) else {}
    try:
        return typing.get_type_hints(holder, getattr(mapper, "__globals__", {}), dict(closed))["return"]
    except NameError as error:
        raise TypeError(f"{call}: {_name(mapper)} returns {written}, and {error}: give outcomes=") from None


def _written(mapper: Callable[..., Any]) -> dict[str, Any]:
    if sys.version_info < (3, 14):
        return inspect.get_annotations(mapper)
    import annotationlib

    return annotationlib.get_annotations(mapper, format=annotationlib.Format.FORWARDREF)


def _parts(hint: Any) -> tuple[Any, ...]:
    while hasattr(hint, "__value__"):  # type X = ...
        hint = hint.__value__
    if typing.get_origin(hint) in (Union, types.UnionType):
        return tuple(part for one in typing.get_args(hint) for part in _parts(one))
    return (hint,)


def _union(parts: tuple[Any, ...]) -> Any:
    return Union[parts]  # noqa: UP007 (made of what is known only now)


def _name(mapper: Callable[..., Any]) -> str:
    name = getattr(mapper, "__name__", type(mapper).__name__)
    return "a lambda" if name == "<lambda>" else name
