"""What annotations must say of the functions and methods that modules declare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sagakit.app.reading.resolve import Signature, place, read, text

A_MESSAGE = "a dataclass, a msgspec Struct or a pydantic model, or a union of them"


def named_place(module: str, name: str, code: Any) -> str:
    """A declaration's name, and where it was written."""
    found = place(code)
    return f"{module}.{name} ({found})" if found else f"{module}.{name}"


def taken(signature: Signature, what: str) -> tuple[type, ...] | str:
    """The messages that the first parameter takes, or what is wrong with it."""
    takes = signature.takes
    if takes.messages and not takes.others and not takes.none and not takes.anything:
        return takes.messages
    if signature.problems:
        return takes.messages
    found = ", ".join(text(hint) for hint in takes.others) or ("None" if takes.none else "no message class")
    return f"its first parameter names {found}: it must name the {what} ({A_MESSAGE})"


def evolved(cls: type[Any], names: Mapping[str, Any]) -> tuple[frozenset[type] | None, list[str]]:
    """The events that `evolve` takes (None: any), and what is wrong with its annotation."""
    signature = read(cls.evolve, names, method=True)
    problems = [one for one in signature.problems if not one.startswith("the return annotation")]
    if signature.takes.anything:
        return None, problems
    if not problems and (not signature.takes.messages or signature.takes.others):
        problems.append("its parameter must be annotated with the events that it takes")
    return frozenset(signature.takes.messages), problems
