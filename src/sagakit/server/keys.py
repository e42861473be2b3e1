"""The idempotency key of a request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from litestar import Request
from litestar.exceptions import ClientException

LONGEST = 255


def idempotency_key(request: Request[Any, Any, Any]) -> str | None:
    """The key in `Idempotency-Key` or `X-Idempotency-Key`; None if there is neither. A bad one is a bad request.

    The standard header's value is a quoted string (RFC 8941); clients that leave the quotes out are understood.
    """
    found = {_unquoted(value) for value in _values(request, "idempotency-key")}
    found.update(_values(request, "x-idempotency-key"))
    if len(found) > 1:
        raise ClientException("X-Idempotency-Key and Idempotency-Key give different keys: send one key")
    key = next(iter(found), None)
    if key is not None and not 0 < len(key) <= LONGEST:
        raise ClientException(f"the idempotency key has {len(key)} characters: send 1 to {LONGEST}")
    return key


def _values(request: Request[Any, Any, Any], name: str) -> Sequence[str]:
    return [value.strip() for value in request.headers.getall(name, [])]


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) >= 2 and value[0] == value[-1] == '"' else value
