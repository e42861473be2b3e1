"""Shapes: what is stored must come back as it was, so every type in a message has to be one that can be decoded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import inspect as shape

from sagakit.app.reading.parts import Parts
from sagakit.app.reading.resolve import Unresolved, annotations_of
from sagakit.app.reading.roles import Roles
from sagakit.core.messages import is_message_type
from sagakit.declare import ManagerDeclaration

_KEYS = (
    shape.AnyType,
    shape.StrType,
    shape.IntType,
    shape.FloatType,
    shape.DecimalType,
    shape.UUIDType,
    shape.DateTimeType,
    shape.DateType,
    shape.TimeType,
    shape.EnumType,
    shape.LiteralType,
)
_TAGGED = "make them msgspec Structs with tag=True, which say what they are"


def messages_that_do_not_round_trip(parts: Parts, roles: Roles) -> Iterator[str]:
    """Message classes with a field that could not be read back."""
    names: dict[str, Any] = {}
    for module in parts.modules:
        names |= module.declared.local_names
    for cls in roles.classes():
        for problem in unfit(cls, names):
            yield f"{cls.__module__}.{problem}"


def states_that_do_not_round_trip(parts: Parts) -> Iterator[str]:
    """Process managers whose state cannot be stored, and aggregates whose snapshots cannot."""
    for process in parts.processes:
        if isinstance(process.declared, ManagerDeclaration):
            for problem in unfit_state(process.declared.cls, parts.names_of(process.module)):
                yield f"{process.where}: its state is stored: {problem}"
    for aggregate in parts.aggregates:
        if aggregate.declared.snapshot_every:
            for problem in unfit_state(aggregate.declared.cls, parts.names_of(aggregate.module)):
                yield f"{aggregate.where}: its snapshots are stored: {problem}; or turn them off with snapshot_every=0"


def states_without_a_beginning(parts: Parts) -> Iterator[str]:
    """Aggregates and process managers that cannot be made without arguments."""
    for part in (*parts.aggregates, *parts.processes):
        cls = getattr(part.declared, "cls", None)
        if cls is None:
            continue
        try:
            cls()
        except Exception as error:  # the user's code
            yield f"{part.where}: cannot be made without arguments, as it begins: give each field a default ({error})"


def unfit_state(cls: type, names: Mapping[str, Any]) -> list[str]:
    """What of a class could not be stored and read back as a state."""
    if not is_message_type(cls) or hasattr(cls, "__pydantic_fields__"):
        return [f"{cls.__qualname__} has to be a dataclass or a msgspec Struct"]
    return unfit(cls, names)


def unfit(cls: type, names: Mapping[str, Any]) -> list[str]:
    """What of a class could not be read back, each with the field."""
    if getattr(cls, "__parameters__", ()):
        example = f"class X({cls.__qualname__}[int])"
        return [f"{cls.__qualname__} is generic, and is read back without its parameters: use a subclass ({example})"]
    if hasattr(cls, "__pydantic_fields__"):
        return _unfit_model(cls)
    hints = annotations_of(cls, names)
    lost = [f"{cls.__qualname__}.{name}: {hint.text}: {hint.why}" for name, hint in hints.items() if _is_lost(hint)]
    if lost:
        return lost
    try:
        found = shape.type_info(cls)
    except Exception as error:  # msgspec says which type, but not in which field
        return _unfit_fields(cls, hints) or [f"{cls.__qualname__}: {error}"]
    return [f"{cls.__qualname__}{where}: {what}" for where, what in _odd(found, "", frozenset())]


def _is_lost(hint: Any) -> bool:
    return isinstance(hint, Unresolved)


def _unfit_model(cls: Any) -> list[str]:
    try:
        cls.model_json_schema()
    except Exception as error:  # pydantic has many
        first = str(error).strip().splitlines()[0]
        return [f"{cls.__qualname__}: {first}"]
    return []


def _unfit_fields(cls: type, hints: Mapping[str, Any]) -> list[str]:
    problems: list[str] = []
    for name, hint in hints.items():
        try:
            shape.type_info(hint)
        except NameError as error:
            problems.append(f"{cls.__qualname__}.{name}: a class in it names {error.name!r}, which is not known there")
        except Exception as error:
            mend = f": {_TAGGED}" if "more than one d" in str(error) else ""
            problems.append(f"{cls.__qualname__}.{name}: {str(error).partition(' - ')[0]}{mend}")
    return problems


def _odd(found: Any, where: str, seen: frozenset[type]) -> Iterator[tuple[str, str]]:
    """The types inside a type that cannot be read back, each with its place."""
    if isinstance(found, shape.CustomType):
        yield where, f"{found.cls.__qualname__} cannot be read back: use a dataclass, a Struct or a plain type"
    elif isinstance(found, shape.DictType):
        if not isinstance(found.key_type, (*_KEYS, shape.CustomType)):
            yield where, f"a dict cannot have {_in_words(found.key_type)} as its keys: use str, int or the like"
        yield from _odd(found.key_type, where, seen)
        yield from _odd(found.value_type, f"{where}[...]", seen)
    else:
        cls: type | None = getattr(found, "cls", None)
        if cls is None or cls not in seen:
            inner = seen if cls is None else seen | {cls}
            for part, inside in _inside(found, where):
                yield from _odd(inside, part, inner)


def _inside(found: Any, where: str) -> Iterator[tuple[str, Any]]:
    for field in getattr(found, "fields", ()):
        yield f"{where}.{field.name}", field.type
    for inside in (*getattr(found, "types", ()), *getattr(found, "item_types", ())):
        yield where, inside
    if hasattr(found, "item_type"):
        yield f"{where}[...]", found.item_type


def _in_words(found: Any) -> str:
    return type(found).__name__.removesuffix("Type").lower()
