"""What a message says, written in one way: the same in every process, whatever the order of its sets and dicts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Set
from dataclasses import MISSING, fields
from functools import cache
from typing import Any, cast, get_origin

import msgspec

DEEPEST = 100
"""What is nested deeper stays as it was written."""

_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder().decode
_EMPTY: tuple[Any, ...] = (list, dict, set, frozenset, tuple)
"""What may be called to see what a field has by itself: it has no effect."""
_NONE: Any = object()
_NOTHING: dict[str, Any] = {}


def in_one_way(message: object, payload: bytes) -> bytes:
    """The payload, made from this very message, with its sets and dicts in order and without what its class gives.

    Without that: else a field that only newer code knows, and that nobody has set, would make another message of it.
    """
    return _encode(_ordered(message, _decode(payload), True, 0))


class _Form:
    """How the values of a class are written."""

    __slots__ = ("given", "is_many", "is_mapping", "is_model", "is_root", "is_set", "is_struct", "names")

    def __init__(self, cls: type[Any]) -> None:
        self.is_model = hasattr(cls, "__pydantic_fields__")
        self.is_root = bool(getattr(cls, "__pydantic_root_model__", False))
        self.is_struct = hasattr(cls, "__struct_fields__")
        self.is_mapping = issubclass(cls, Mapping)
        self.is_set = issubclass(cls, Set)
        self.is_many = issubclass(cls, Collection)
        places = list(_places(cls))
        self.names = {key: name for key, name, _ in places}
        """Of its fields, by their keys in JSON."""
        self.given = {key: given for key, _, given in places if given is not _NONE}
        """What they have by themselves, by the same keys."""


_form = cache(_Form)


def _places(cls: Any) -> Iterator[tuple[str, str, Any]]:
    if hasattr(cls, "__pydantic_fields__"):
        for name, one in cls.__pydantic_fields__.items():
            yield one.serialization_alias or name, name, _NONE if one.is_required() else _given(one, None)
    elif hasattr(cls, "__struct_fields__"):
        for one in msgspec.structs.fields(cls):
            yield one.encode_name, one.name, _given(one, msgspec.NODEFAULT)
    elif hasattr(cls, "__dataclass_fields__"):
        for one in fields(cls):
            yield one.name, one.name, _given(one, MISSING)


def _given(field: Any, none: object) -> Any:
    """What a field has by itself; `none` is what stands for nothing."""
    if field.default_factory is not none:
        factory = field.default_factory
        return factory() if (get_origin(factory) or factory) in _EMPTY else _NONE
    return _NONE if field.default is none else field.default


def _ordered(value: Any, plain: Any, spare: bool, depth: int) -> Any:
    """`plain`, the JSON of `value`, which alone tells what is a set. `spare`: what classes give is left out."""
    if depth > DEEPEST or not (plain.__class__ is dict or plain.__class__ is list):
        return plain
    depth += 1
    form = _form(value.__class__)
    if form.is_root:
        return _ordered(value.root, plain, False, depth)
    if plain.__class__ is list:
        return _list(value, form, plain, spare, depth)
    if form.is_mapping:
        return _mapping(value, plain, spare, depth)
    return _object(value, form, plain, spare, depth)


def _list(value: Any, form: _Form, plain: list[Any], spare: bool, depth: int) -> list[Any]:
    parts = _parts(value, form, plain)
    if parts is None:
        return plain
    found = [_ordered(part, one, spare, depth) for part, one in zip(parts, plain, strict=True)]
    return sorted(found, key=_encode) if form.is_set else found  # by their bytes: what it holds need not be comparable


def _mapping(value: Mapping[Any, Any], plain: dict[str, Any], spare: bool, depth: int) -> dict[str, Any]:
    if len(value) != len(plain):
        return plain
    pairs = zip(plain.items(), value.values(), strict=True)
    return {key: _ordered(part, one, spare, depth) for (key, one), part in pairs}


def _parts(value: Any, form: _Form, plain: list[Any]) -> Collection[Any] | None:
    """What the elements of a list were made of, one by one; None where nobody knows."""
    if form.is_struct:  # array_like: its tag first, if it has one
        held = [getattr(value, name) for name in form.names.values()]
        held[:0] = [None] * (len(plain) - len(held))
    elif form.is_many:
        held = cast("Collection[Any]", value)
    else:
        return None
    return held if len(held) == len(plain) else None


def _object(value: Any, form: _Form, plain: dict[str, Any], spare: bool, depth: int) -> dict[str, Any]:
    names, given = form.names, form.given if spare else _NOTHING
    inner = spare and not form.is_model  # in a model, what is given may tell which class of several it is
    found: dict[str, Any] = {}
    for key, one in plain.items():
        if key in given:
            held, default = getattr(value, names[key], _NONE), given[key]
            if held.__class__ is default.__class__ and held == default:
                continue
        nested = one.__class__ is dict or one.__class__ is list
        found[key] = _ordered(getattr(value, names.get(key, key), None), one, inner, depth) if nested else one
    return found
