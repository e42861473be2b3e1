"""Whether the code of a process manager may use Undoing."""

from __future__ import annotations

from collections.abc import Iterator
from types import CodeType
from typing import Any

from sagakit.core.process_manager.answers import Undoing


def mentions_undoing(cls: type[Any]) -> bool:
    """Whether its code may use Undoing: only then its commands are kept, so that state does not grow."""
    seen: set[Any] = set()
    return any(_uses_undoing(method, seen) for one in cls.__mro__ for method in vars(one).values())


def _uses_undoing(function: Any, seen: set[Any]) -> bool:
    """Whether a function, or one that it names, names Undoing."""
    code: CodeType | None = getattr(function, "__code__", None)
    if code is None or code in seen:
        return False
    seen.add(code)
    names = set(_names(code))
    known: dict[str, Any] = getattr(function, "__globals__", {})
    reached = [known.get(name) for name in names] + _closed_over(function)
    return (
        "Undoing" in names or any(one is Undoing for one in reached) or any(_uses_undoing(one, seen) for one in reached)
    )


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names(inner)


def _closed_over(function: Any) -> list[Any]:
    found: list[Any] = []
    for cell in getattr(function, "__closure__", None) or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:  # not assigned yet
            continue
    return found
