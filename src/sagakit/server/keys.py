"""The idempotency key of a request, and the one answer that all requests with it get."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from litestar import Request
from litestar.exceptions import ClientException

from sagakit.engine.engine import Engine
from sagakit.idempotency import Asked, FastPath

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


class Once:
    """The answers of one door of an engine, from the fast path where there is one and it has them.

    Doors whose answers differ have different names, else one would give the other's.
    """

    def __init__(self, door: str, engine: Engine, fast: FastPath | None) -> None:
        self._door = door
        self._engine = engine
        self._fast = fast
        self._database: str | None = None

    async def answer(
        self, command: type, key: str | None, digest: str, accept: Callable[[], Awaitable[bytes]]
    ) -> bytes:
        """What `accept` answers once the command is durable; for a repeat the first answer, byte for byte.

        Requests with one digest are one request to the engine too. Raises KeyInFlight, and what `accept` raises.
        """
        if self._fast is None or key is None:
            return await accept()
        database = self._database or await self._identity()
        if database is None:
            return await accept()
        scope = self._engine.topology.codecs.by_class[command].name

        async def known() -> bool:
            return await self._engine.store.read_inbox(scope, key) is not None

        return await self._fast.once(Asked(database, f"{self._door} {scope}", key, digest), accept, known)

    async def _identity(self) -> str | None:
        """The id of the first message that was ever recorded: no other database has it. None before that."""
        first = await self._engine.store.read_messages(limit=1)
        self._database = first[0].id if first else None
        return self._database


def _values(request: Request[Any, Any, Any], name: str) -> Sequence[str]:
    return [value.strip() for value in request.headers.getall(name, [])]


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) >= 2 and value[0] == value[-1] == '"' else value
