"""What the stored values of a class look like and are made by, in words that are the same in every process."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from types import FunctionType
from typing import Any, cast

from msgspec import inspect as shape

_LEFT_OUT = ("default", "default_factory", "extra", "extra_json_schema")
"""What says nothing of a value that is stored whole."""
_NOT_OURS = ("builtins", "msgspec", "pydantic", "typing")


def shape_of(cls: type) -> str:
    """The names and types of the fields of a class, and of those of all classes in it; none if it cannot be stored."""
    try:
        found = shape.type_info(cls)
    except Exception:  # msgspec's own and the annotations'; the checks say what is wrong with it, if that matters
        return cls.__qualname__
    return " ".join(_words(found, set()))


def code_of(cls: type) -> str:
    """The functions of a class and of those that it is derived from, without what only people read.

    Nothing of functions whose source is not there.
    """
    classes = [one for one in cls.__mro__ if one.__module__.partition(".")[0] not in _NOT_OURS]
    functions = [(name, _function(held)) for one in classes for name, held in sorted(vars(one).items())]
    return "\n".join(_source(name, function) for name, function in functions if function is not None)


def _function(held: Any) -> FunctionType | None:
    held = getattr(held, "fget", None) or getattr(held, "__func__", held)
    return held if isinstance(held, FunctionType) else None


def _source(name: str, function: FunctionType) -> str:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    except (OSError, SyntaxError, TypeError):  # what a decorator has generated, say
        return name
    if isinstance(tree, ast.FunctionDef) and ast.get_docstring(tree, clean=False) is not None:
        tree.body = tree.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def _words(found: Any, seen: set[type]) -> Iterator[str]:
    if isinstance(found, tuple):
        for one in cast("tuple[Any, ...]", found):
            yield from _words(one, seen)
    elif isinstance(found, type):
        yield found.__qualname__
    elif isinstance(found, shape.Type | shape.Field):
        yield from _described(found, seen)
    else:
        yield repr(found)


def _described(found: shape.Type | shape.Field, seen: set[type]) -> Iterator[str]:
    yield type(found).__name__
    cls: type[Any] | None = getattr(found, "cls", None)
    if cls is not None:
        yield cls.__qualname__
        if cls in seen:
            return
        seen.add(cls)
    if isinstance(found, shape.EnumType):
        yield from (repr(member.value) for member in found.cls)
    for name in found.__struct_fields__:
        if name != "cls" and name not in _LEFT_OUT:
            yield f"{name}="
            yield from _words(getattr(found, name), seen)
