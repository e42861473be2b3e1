"""A plan as the arguments of write_1: a column of each kind of row.

The driver looks at each element of an array several times before it writes it. Columns are quicker as one text, which
the server takes apart: numbers as it writes arrays itself, texts joined by a sign that none of them holds. Columns of
nothing are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from secrets import token_hex
from typing import Any, NamedTuple

from msgspec.structs import astuple

from sagakit.stores.postgres.carried import LOGGED
from sagakit.stores.postgres.writing.plan import Plan

_TEXT, _BYTES = "joined", "bytea[]"
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

_TYPES = (*_DONE, _BIG, _TEXT, *_HEADS, *_MESSAGES, *_DELIVERIES, *_STARTED, *_MOVED, *_REACTIONS, *_RARE)
"""How each argument is given, in the order of `arguments`, after the signs."""

_PLAIN = 6
"""The columns of deliveries that all have what a new one has in the others."""


class _Signs(NamedTuple):
    """What stands between the texts of a column, and for none. A column of one empty text is `nothing` twice."""

    between: str = "\x1f"
    nothing: str = "\x1e"


class _Ambiguous(Exception):
    """A text holds a sign."""


def call(words: Sequence[str]) -> str:
    """The statement: after the worker's words, of these types, come `arguments`."""
    mine = [f"${place}::{kind}" for place, kind in enumerate(words, 1)]
    between, nothing = len(mine) + 1, len(mine) + 2
    given = [
        f"CASE ${place}::text WHEN ${nothing}::text || ${nothing}::text THEN ARRAY['']::text[] "
        f"ELSE string_to_array(${place}::text, ${between}::text, ${nothing}::text) END"
        if kind == _TEXT
        else f"${place}::{kind}"
        for place, kind in enumerate(_TYPES, nothing + 1)
    ]
    return f"SELECT write_1({', '.join([*mine, *given])})"


def arguments(plan: Plan) -> list[Any]:
    """What write_1 is given, after the worker's own words."""
    signs = _Signs()
    while True:
        try:
            return [*signs, *_given(plan, signs)]
        except _Ambiguous:  # no text holds what nobody can foresee
            signs = _Signs(signs.between[0] + token_hex(8), signs.nothing[0] + token_hex(8))


def _given(plan: Plan, signs: _Signs) -> list[Any]:
    moved = [
        (number, expected, write.row.definition, write.row.version, write.row.status, write.row.state)
        for number, (expected, write) in sorted(plan.instances.items())
    ]
    return [
        *_columns(sorted(plan.done.items()), _DONE, signs),  # in one order, whoever locks them
        _numbers(sorted(plan.withdrawn)),
        _texts(plan.forgotten, signs),
        *_columns(list(plan.heads.items()), _HEADS, signs),
        *_columns(plan.messages, _MESSAGES, signs),
        *_columns(plan.deliveries, _DELIVERIES, signs, _PLAIN if plan.plain else len(_DELIVERIES)),
        *_columns([astuple(write.row)[:-1] for write in plan.started], _STARTED, signs),
        *_columns(moved, _MOVED, signs),
        *_columns(plan.reactions, _REACTIONS, signs),
        [plan.search[number] for number in sorted(plan.search)],
        sorted(plan.changes),
        plan.inbox,
        [plan.items[place] for place in sorted(plan.items)],
        [astuple(pause) for pause in plan.pauses.values()],
        list(plan.resumed),
        [plan.snapshots[stream] for stream in sorted(plan.snapshots)],
        [(consumer, *moved) for consumer, moved in sorted(plan.checkpoints.items())],
    ]


def _columns(
    rows: Sequence[tuple[Any, ...]], types: Sequence[str], signs: _Signs, given: int | None = None
) -> Iterator[Any]:
    """The rows as columns: the first `given`, and empty ones for the rest."""
    columns = list(zip(*rows, strict=True))[: given or len(types)]
    for kind, column in zip(types, columns, strict=False):
        if column[0] is None and column.count(None) == len(column):
            yield _empty(kind)  # a column that is too short ends in NULLs
        elif kind == _TEXT:
            yield _texts(column, signs)
        else:
            yield column if kind == _BYTES else _numbers(column)
    for kind in types[len(columns) :]:
        yield _empty(kind)


def _empty(kind: str) -> Any:
    return () if kind == _BYTES else "" if kind == _TEXT else "{}"


def _numbers(column: Sequence[Any]) -> str:
    """A column of numbers, or of truth values, as the server reads an array."""
    text = f"{{{','.join(map(str, column))}}}"
    return text.replace("None", "NULL") if None in column else text


def _texts(column: Sequence[str | None], signs: _Signs) -> str:
    """A column of texts, some of which may be none, as the statement takes it apart."""
    between, nothing = signs
    try:
        joined = between.join(column)  # pyright: ignore[reportArgumentType]
        none = 0
    except TypeError:
        none = column.count(None)
        joined = between.join([nothing if text is None else text for text in column])
    if joined.count(between) != max(len(column) - 1, 0) or joined.count(nothing) != none:
        raise _Ambiguous
    return joined or (nothing * 2 if column else "")


assert len(_MESSAGES) == LOGGED
