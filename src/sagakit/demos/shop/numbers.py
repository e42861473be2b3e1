"""JSON whose numbers keep their digits: decimal inside, never float."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

DIGITS_BEFORE, DIGITS_AFTER = 12, 2


class InvalidJson(ValueError):
    """The text is no JSON that may be taken."""


def read_json(body: bytes) -> Any:
    """The value of a JSON text (UTF-8); every number in it is a Decimal. Raises InvalidJson."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise InvalidJson(f"byte {error.start} of the body is not UTF-8") from None
    try:
        return json.loads(
            text, parse_int=Decimal, parse_float=Decimal, parse_constant=_refuse, object_pairs_hook=_object
        )
    except InvalidJson:
        raise
    except json.JSONDecodeError as error:
        raise InvalidJson(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    except InvalidOperation:
        raise InvalidJson("a number is beyond all bounds") from None
    except RecursionError:
        raise InvalidJson("it is nested too deeply") from None


def in_bounds(amount: Decimal) -> bool:
    """Whether an amount has at most 12 digits before the point and 2 after it, as it is written."""
    if not amount:
        return True
    exponent = amount.as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -DIGITS_AFTER and amount.adjusted() < DIGITS_BEFORE


def _refuse(constant: str) -> NoReturn:
    raise InvalidJson(f"{constant} is no JSON number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidJson(f"the name {twice[:40]!r} stands twice in one object")
    return found
