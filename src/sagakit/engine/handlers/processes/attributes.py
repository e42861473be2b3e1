"""Attributes: fields of what an instance takes, kept where people look for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

NONE = b"{}"


def gathered(names: Sequence[str], messages: Iterable[Any], known: bytes = NONE) -> bytes:
    """The attributes after these messages, as a JSON object of text and numbers; the newest value counts.

    A field that is None takes its attribute away. What is neither text nor a number is no attribute.
    """
    values: dict[str, Any] = msgspec.json.decode(known)
    before = dict(values)
    for message in messages:
        for name in names:
            try:
                found = getattr(message, name)
            except AttributeError:
                continue
            value = _plain(found)
            if value is not None:
                values[name] = value
            elif found is None:
                values.pop(name, None)
    return known if values == before else msgspec.json.encode(values)


def _plain(value: Any) -> str | int | float | None:
    """Text or a number; None: it is neither."""
    if value.__class__ in (str, int):
        return value
    try:
        plain = msgspec.to_builtins(value)
    except (TypeError, ValueError):
        return None
    if isinstance(plain, float):
        return plain if plain - plain == 0 else None  # JSON has no infinity
    return plain if isinstance(plain, str | int) else None
