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
from typing import Any, cast

from sagakit.core.messages import is_message_type

_SEVERAL = (list, tuple, set, frozenset, collections.abc.Iterable, collections.abc.Collection, collections.abc.Sequence)
_LATER = (collections.abc.Awaitable, collections.abc.Coroutine)
_ANY_MESSAGE = {"_DataclassLike", "_StructLike", "_ModelLike"}


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

    def and_(self, other: Named) -> Named:
        """What both name."""
        return Named(
            tuple(dict.fromkeys(self.messages + other.messages)),
            self.none or other.none,
            self.anything or other.anything,
            self.others + other.others,
        )


@dataclass(frozen=True)
class Signature:
    """A function as its annotations describe it."""

    first: str
    """The name of the parameter that takes the message; "" if there is none."""
    takes: Named
    returns: Named | None
    """None: the function does not say."""
    asks: Mapping[str, Any]
    """The other parameters that must be given, by name."""
    optional: frozenset[str]
    """Those of `asks` that have a default."""
    problems: tuple[str, ...]


def named(hint: Any) -> Named:
    """Take an annotation apart, down to the message classes in it."""
    if hint is None or hint is type(None):
        return Named(none=True)
    if isinstance(hint, Unresolved):
        return Named(others=(hint,))
    if hasattr(hint, "__value__"):  # type X = ...
        return named(hint.__value__)
    origin: Any = typing.get_origin(hint)
    arguments: tuple[Any, ...] = typing.get_args(hint)
    if origin is typing.Annotated:
        return named(arguments[0])
    if origin is typing.Union or origin is types.UnionType or origin in _SEVERAL:
        return _all_of(argument for argument in arguments if argument is not ...)
    if origin in _LATER:
        return named(arguments[-1])
    cls = origin or hint
    if getattr(cls, "__module__", "") == "sagakit.core.messages" and getattr(cls, "__name__", "") in _ANY_MESSAGE:
        return Named(anything=True)
    if is_message_type(cls):
        return Named((cls,))
    return Named(others=(hint,))


def _all_of(hints: Iterable[Any]) -> Named:
    found = Named()
    for hint in hints:
        found = found.and_(named(hint))
    return found


def annotations(declared: Any, names: Mapping[str, Any]) -> dict[str, Any]:
    """The annotations of a function or class, each resolved for itself, so that one bad name spoils no other.

    `names`: names around the declaration that its module does not have.
    """
    found: dict[str, Any] = {}
    classes = reversed(inspect.getmro(declared)) if isinstance(declared, type) else [inspect.unwrap(declared)]
    for one in classes:
        scope, local = _scope_of(one, names)
        for name, hint in _written(one).items():
            found[name] = _resolved(hint, scope, local)
    return found


def _written(declared: Any) -> Mapping[str, Any]:
    if sys.version_info >= (3, 14):
        from annotationlib import Format, get_annotations  # pyright: ignore

        return cast(Any, get_annotations)(declared, format=cast(Any, Format).FORWARDREF)
    return inspect.get_annotations(declared)


def _scope_of(declared: Any, names: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    if isinstance(declared, type):
        module = sys.modules.get(declared.__module__)
        return dict(vars(module)) if module else {}, {**names, declared.__name__: declared, **vars(declared)}
    closure: dict[str, Any] = {}
    for name, cell in zip(declared.__code__.co_freevars, declared.__closure__ or (), strict=False):
        try:
            closure[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    return declared.__globals__, {**names, **closure}


def _resolved(hint: Any, scope: dict[str, Any], local: dict[str, Any]) -> Any:
    holder = types.SimpleNamespace(__annotations__={"hint": hint})
    try:
        return typing.get_type_hints(cast(Any, holder), scope, local, include_extras=True)["hint"]
    except NameError as error:
        why = f"the name {error.name!r} is not known where it is declared: import it, outside of `if TYPE_CHECKING`"
    except Exception as error:  # an annotation is any code
        why = f"{type(error).__name__}: {error}"
    return Unresolved(hint if isinstance(hint, str) else repr(hint), why)


def read(function: Callable[..., Any], names: Mapping[str, Any], *, method: bool = False) -> Signature:
    """A function as its annotations describe it. `method`: skip `self`."""
    hints = annotations(function, names)
    parameters = list(inspect.signature(function).parameters.values())[1 if method else 0 :]
    problems = [
        f"{_what(name)}: {hint.text!r} cannot be resolved: {hint.why}"
        for name, hint in hints.items()
        if isinstance(hint, Unresolved)
    ]
    if not parameters:
        return Signature("", Named(), _returns(hints), {}, frozenset(), tuple(problems))
    first, *others = parameters
    asks, optional = _asked(others, hints, problems)
    takes = named(hints[first.name]) if first.name in hints else Named()
    return Signature(first.name, takes, _returns(hints), asks, optional, tuple(problems))


def _asked(
    parameters: list[inspect.Parameter], hints: Mapping[str, Any], problems: list[str]
) -> tuple[dict[str, Any], frozenset[str]]:
    asks: dict[str, Any] = {}
    optional: set[str] = set()
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.default is not parameter.empty:
            optional.add(parameter.name)
        if parameter.name in hints:
            asks[parameter.name] = plain(hints[parameter.name])
        elif parameter.name not in optional:
            problems.append(f"parameter {parameter.name!r} has no annotation: what it asks for is found by type")
    return asks, frozenset(optional)


def plain(hint: Any) -> Any:
    """An annotation without its extras."""
    return typing.get_args(hint)[0] if typing.get_origin(hint) is typing.Annotated else hint


def _returns(hints: Mapping[str, Any]) -> Named | None:
    return named(hints["return"]) if "return" in hints else None


def _what(name: str) -> str:
    return "the return annotation" if name == "return" else f"parameter {name!r}"


def provided_type(function: Callable[..., Any], names: Mapping[str, Any]) -> Any:
    """What a provider gives: its return type, what its generator yields, or the class that it is."""
    if isinstance(function, type):
        return function
    hint = plain(annotations(function, names).get("return"))
    arguments: tuple[Any, ...] = typing.get_args(hint)
    generates = inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function)
    if (generates or typing.get_origin(hint) in _LATER) and arguments:
        return arguments[0] if generates else arguments[-1]
    return hint


def place(declared: Any) -> str:
    """Where something was written: `file:line`, or "" if that is not known."""
    code: Any = getattr(declared, "__code__", None)
    if isinstance(declared, type):
        code = next((value.__code__ for value in vars(declared).values() if inspect.isfunction(value)), None)
    if code is None:
        return ""
    path = os.path.relpath(code.co_filename)
    return f"{code.co_filename if path.startswith('..') else path}:{code.co_firstlineno}"


def text(hint: Any) -> str:
    """An annotation in words."""
    return hint.__qualname__ if isinstance(hint, type) else str(hint)
