"""A plan as the arguments of write_1: a column of each kind of row.

The driver looks at each element of an array several times before it writes it. Columns of numbers are quicker as text,
which the server reads as an array; columns of nothing are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec.structs import astuple

from sagakit.stores.postgres.carried import LOGGED
from sagakit.stores.postgres.writing.plan import Plan

_TEXT, _BYTES = "text[]", "bytea[]"
_INT, _BIG, _BOOL = "text::integer[]", "text::bigint[]", "text::boolean[]"

_DONE = (_BIG, _INT)
_HEADS = (_TEXT, _INT)
_MESSAGES = (
    _TEXT, _TEXT, _TEXT, _BYTES, _TEXT, _BIG, _INT, _TEXT, _TEXT, _TEXT, _TEXT, _TEXT, _INT, _INT,
)  # fmt: skip
_DELIVERIES = (
    _BIG, _TEXT, _TEXT, _INT, _BOOL, _INT, _TEXT, _BIG, _INT, _INT, _TEXT, _BYTES, _TEXT, _TEXT, _TEXT, _INT,
)  # fmt: skip
_STARTED = (_TEXT, _TEXT, _TEXT, _INT, _INT, _TEXT, _BYTES)
_MOVED = (_BIG, _INT, _INT, _INT, _TEXT, _BYTES)
_REACTIONS = (_BIG, _INT, _BIG, _INT, _BIG, _INT)
_RARE = (
    "searched[]", "changed_delivery[]", "kept_inbox[]", "kept_item[]", "kept_pause[]", "ended_pause[]",
    "kept_snapshot[]", "moved_checkpoint[]",
)  # fmt: skip

TYPES = (*_DONE, _BIG, _TEXT, *_HEADS, *_MESSAGES, *_DELIVERIES, *_STARTED, *_MOVED, *_REACTIONS, *_RARE)
"""How each argument is given, in the order of `arguments`."""

_PLAIN = 6
"""The columns of deliveries that all have what a new one has in the others."""


def arguments(plan: Plan) -> list[Any]:
    """What write_1 is given, after the worker's own words."""
    moved = [
        (number, expected, write.row.definition, write.row.version, write.row.status, write.row.state)
        for number, (expected, write) in sorted(plan.instances.items())
    ]
    return [
        *_columns(sorted(plan.done.items()), _DONE),  # in one order, whoever locks them
        _numbers(sorted(plan.withdrawn)),
        plan.forgotten,
        *_columns(list(plan.heads.items()), _HEADS),
        *_columns(plan.messages, _MESSAGES),
        *_columns(plan.deliveries, _DELIVERIES, _PLAIN if plan.plain else len(_DELIVERIES)),
        *_columns([astuple(write.row)[:-1] for write in plan.started], _STARTED),
        *_columns(moved, _MOVED),
        *_columns(plan.reactions, _REACTIONS),
        [plan.search[number] for number in sorted(plan.search)],
        sorted(plan.changes),
        plan.inbox,
        [plan.items[place] for place in sorted(plan.items)],
        [astuple(pause) for pause in plan.pauses.values()],
        list(plan.resumed),
        [plan.snapshots[stream] for stream in sorted(plan.snapshots)],
        [(consumer, *moved) for consumer, moved in sorted(plan.checkpoints.items())],
    ]


def _columns(rows: Sequence[tuple[Any, ...]], types: Sequence[str], given: int | None = None) -> Iterator[Any]:
    """The rows as columns: the first `given`, and empty ones for the rest."""
    if not rows:
        return iter([_empty(kind) for kind in types])
    columns = list(zip(*rows, strict=True))[: given or len(types)]
    found = [
        # a column that is too short ends in NULLs
        _empty(kind) if column.count(None) == len(column) else _numbers(column) if kind.startswith("text:") else column
        for kind, column in zip(types, columns, strict=False)
    ]
    return iter([*found, *[_empty(kind) for kind in types[len(columns) :]]])


def _empty(kind: str) -> Any:
    return "{}" if kind.startswith("text:") else ()


def _numbers(column: Sequence[Any]) -> str:
    """A column of numbers, or of truth values, as the server reads an array."""
    text = f"{{{','.join(map(str, column))}}}"
    return text.replace("None", "NULL") if None in column else text


assert len(_MESSAGES) == LOGGED
