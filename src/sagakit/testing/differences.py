"""What was expected and what was found, in words that show the difference at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sagakit.core.messages import field_names


def difference(expected: Sequence[Any], found: Sequence[Any]) -> str:
    """Two lists of messages, one a line; of those that differ in fields alone, the fields."""
    lines: list[str] = []
    for index in range(max(len(expected), len(found))):
        was = expected[index] if index < len(expected) else None
        now = found[index] if index < len(found) else None
        if was == now:
            lines.append(f"              {now!r}")
            continue
        lines += [f"  - expected: {was!r}"] if was is not None else []
        lines += [f"  + found:    {now!r}"] if now is not None else []
        lines += [f"      {field}" for field in _fields(was, now)]
    if not expected:
        lines.insert(0, "  - expected: nothing")
    if not found:
        lines.append("  + found:    nothing")
    return "\n".join(lines)


def _fields(was: Any, now: Any) -> list[str]:
    cls: type[Any] = was.__class__
    if cls is not now.__class__ or was is None:
        return []
    pairs = [(name, getattr(was, name), getattr(now, name)) for name in field_names(cls)]
    return [f"{name}: expected {one!r}, found {other!r}" for name, one, other in pairs if one != other]
