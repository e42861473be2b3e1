"""What the annotations of a function name: the messages it takes, the ones it returns, and what else it asks for."""

from __future__ import annotations

import collections.abc
import inspect
import os
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sagakit.core.messages import Later, Message, is_message_type

_SEVERAL = (list, tuple, set, frozenset, collections.abc.Iterable, collections.abc.Collection, collections.abc.Sequence)
_UNIONS = (typing.Union, types.UnionType)
_LATER = (collections.abc.Awaitable, collections.abc.Coroutine)
_NEVER = (typing.NoReturn, typing.Never)
_ANY_MESSAGE = frozenset(typing.get_args(Message))


@dataclass(frozen=True)
class Unresolved:
    """An annotation that could not be understood, and why."""

    text: str
    why: str


@dataclass(frozen=True)
class Named:
    """What one annotation names."""

    messages: tuple[type, ...] = ()
    none: bool = False
    anything: bool = False
    """It says no more than "a message"."""
    others: tuple[Any, ...] = ()
    later: bool = False
    """A message may come later."""

    def __or__(self, other: Named) -> Named:
        messages = tuple(dict.fromkeys(self.messages + other.messages))
        anything, later = self.anything or other.anything, self.later or other.later
        return Named(messages, self.none or other.none, anything, self.others + other.others, later)


@dataclass(frozen=True)
class Signature:
    """A function as its annotations describe it."""

    first: str
    """The name of the parameter that takes the message; "" if there is none."""
    takes: Named
    returns: Named | None
    """None: the function does not say."""
    asks: Mapping[str, Any]
    """The other parameters, by name."""
    optional: frozenset[str]
    """Those of `asks` that have a default."""
    problems: tuple[str, ...]


def named(hint: Any) -> Named:
    """Take an annotation apart, down to the message classes in it."""
    if isinstance(hint, Unresolved):
        return Named(others=(hint,))
    while hasattr(hint, "__value__"):  # type X = ...
        hint = hint.__value__
    origin: Any = typing.get_origin(hint)
    parts: tuple[Any, ...] = typing.get_args(hint)
    if origin is typing.Annotated or origin in _LATER:
        return named(parts[0] if origin is typing.Annotated else parts[-1])
    if origin in _UNIONS or origin in _SEVERAL:
        return _all_of(part for part in parts if part is not ...)
    return _one(origin or hint, hint)


def _one(cls: Any, hint: Any) -> Named:
    if cls is None or cls is type(None):
        return Named(none=True)
    if cls in _NEVER:
        return Named()
    if cls is Later:
        return Named(later=True)
    if cls in _ANY_MESSAGE:
        return Named(anything=True)
    return Named((cls,)) if is_message_type(cls) else Named(others=(hint,))


def _all_of(hints: Iterable[Any]) -> Named:
    found = Named()
    for hint in hints:
        found |= named(hint)
    return found


def annotations_of(declared: Any, names: Mapping[str, Any]) -> dict[str, Any]:
    """The annotations of a function or class, each resolved for itself, so that one bad name spoils no other.

    `names`: names around the declaration that its module does not have.
    """
    found: dict[str, Any] = {}
    for one in reversed(inspect.getmro(declared)) if isinstance(declared, type) else (inspect.unwrap(declared),):
        scope, local = _scope_of(one, names)
        found |= {name: _resolved(hint, scope, local) for name, hint in _written(one).items()}
    return found


def _written(declared: Any) -> Mapping[str, Any]:
    if sys.version_info < (3, 14):
        return inspect.get_annotations(declared)
    import annotationlib

    return annotationlib.get_annotations(declared, format=annotationlib.Format.FORWARDREF)


def _scope_of(declared: Any, names: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    if isinstance(declared, type):
        module = sys.modules.get(declared.__module__)
        return dict(vars(module)) if module else {}, {**names, declared.__name__: declared, **vars(declared)}
    return getattr(declared, "__globals__", {}), {**names, **closure_of(declared)}


def closure_of(function: Any) -> dict[str, Any]:
    """What the free names of a function stand for."""
    found: dict[str, Any] = {}
    code = getattr(function, "__code__", None)
    for name, cell in zip(getattr(code, "co_freevars", ()), getattr(function, "__closure__", None) or (), strict=False):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    return found


def _resolved(hint: Any, scope: dict[str, Any], local: dict[str, Any]) -> Any:
    holder: Any = types.SimpleNamespace(__annotations__={"hint": hint})
    try:
        return typing.get_type_hints(holder, scope, local, include_extras=True)["hint"]
    except NameError as error:
        why = f"{error.name!r} is not known there when the app is put together (imported for type checking only?)"
    except Exception as error:  # an annotation is any code
        why = f"{type(error).__name__}: {error}"
    return Unresolved(hint if isinstance(hint, str) else repr(hint), why)


def read(function: Callable[..., Any], names: Mapping[str, Any], *, method: bool = False) -> Signature:
    """A function as its annotations describe it. `method`: skip `self`."""
    hints = annotations_of(function, names)
    parameters = list(inspect.signature(function).parameters.values())[1 if method else 0 :]
    problems = [
        f"{_what(name)}: {hint.text} cannot be resolved: {hint.why}"
        for name, hint in hints.items()
        if isinstance(hint, Unresolved)
    ]
    asks, optional = asked(parameters[1:], hints, problems)
    first = parameters[0].name if parameters else ""
    return Signature(
        first=first,
        takes=named(hints[first]) if first in hints else Named(),
        returns=named(hints["return"]) if "return" in hints else None,
        asks=asks,
        optional=optional,
        problems=tuple(problems),
    )


def _what(name: str) -> str:
    return "the return annotation" if name == "return" else f"parameter {name!r}"


def asked(
    parameters: Iterable[inspect.Parameter], hints: Mapping[str, Any], problems: list[str]
) -> tuple[dict[str, Any], frozenset[str]]:
    """The types that parameters ask for, and which of them have a default; what is wrong is added to `problems`."""
    asks: dict[str, Any] = {}
    optional: set[str] = set()
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.default is not parameter.empty:
            optional.add(parameter.name)
        if parameter.kind is parameter.POSITIONAL_ONLY:
            problems.append(f"parameter {parameter.name!r} is positional only: what is asked for is given by name")
        elif parameter.name not in hints and parameter.name not in optional:
            problems.append(f"parameter {parameter.name!r} has no annotation: what is asked for is found by its type")
        elif parameter.name in hints:
            asks[parameter.name] = _plain(hints[parameter.name])
    return asks, frozenset(optional)


def _plain(hint: Any) -> Any:
    """A type without its extras, and without the None of somebody who can do without it."""
    if typing.get_origin(hint) is typing.Annotated:
        return _plain(typing.get_args(hint)[0])
    parts = [part for part in typing.get_args(hint) if part is not type(None)]
    return parts[0] if typing.get_origin(hint) in _UNIONS and len(parts) == 1 else hint


def provided_type(provider: Callable[..., Any], names: Mapping[str, Any]) -> Any:
    """What a provider gives: its return type, what its generator yields, or the class that it is.

    None: it does not say.
    """
    if isinstance(provider, type):
        return provider
    hint = _plain(annotations_of(provider, names).get("return"))
    parts: tuple[Any, ...] = typing.get_args(hint)
    if parts and (inspect.isasyncgenfunction(provider) or inspect.isgeneratorfunction(provider)):
        return parts[0]
    return parts[-1] if parts and typing.get_origin(hint) in _LATER else hint


def place(declared: Any) -> str:
    """Where something was written: `file:line`, or "" if that is not known."""
    several = vars(declared).values() if isinstance(declared, type) else [declared]
    # what a decorator of the standard library added to a class tells nothing of where that is
    own = [one for one in several if callable(one) and getattr(one, "__module__", None) == declared.__module__]
    codes = (getattr(inspect.unwrap(one), "__code__", None) for one in own)
    for code in codes:
        if isinstance(code, types.CodeType) and not code.co_filename.startswith("<"):
            path = os.path.relpath(code.co_filename)
            return f"{code.co_filename if path.startswith(os.pardir) else path}:{code.co_firstlineno}"
    return ""


def text(hint: Any) -> str:
    """An annotation in words."""
    if isinstance(hint, Unresolved):
        return hint.text
    return hint.__qualname__ if isinstance(hint, type) else str(hint)
