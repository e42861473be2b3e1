"""Requests with an idempotency key, answered from a copy where there is one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from sagakit.core.messages import stable_id
from sagakit.errors import KeyInFlight
from sagakit.idempotency.counted import Counted
from sagakit.idempotency.near import Near
from sagakit.idempotency.record import Record, sealed
from sagakit.idempotency.settings import Settings
from sagakit.idempotency.shared import Shared


class Asked(NamedTuple):
    """A request with a key."""

    identity: str
    """Of the database behind: a copy of another database's answer is never taken."""
    scope: str
    """What is asked for: keys of one scope are told apart from those of another."""
    key: str
    digest: str
    """The same for the same request only: two that the store would tell apart have two digests."""


class FastPath:
    """Answers a repeat from a copy, holds back one that comes while the first is accepted, and passes all else on.

    A copy is made of what the store has acknowledged, never before; nothing here is needed for safety.
    """

    def __init__(self, near: Near, shared: Shared | None, settings: Settings, counted: Counted) -> None:
        self.counted = counted
        self._near = near
        self._shared = shared
        self._longest = settings.longest
        self._in_flight: set[str] = set()

    @property
    def state(self) -> str:
        """`closed`, `open` or `half_open`: the breaker before the server. `memory` where there is no server."""
        return "memory" if self._shared is None else self._shared.breaker.state

    async def once(
        self, asked: Asked, accept: Callable[[], Awaitable[bytes]], known: Callable[[], Awaitable[bool]]
    ) -> bytes:
        """The answer, as JSON, byte for byte the first one.

        `accept` asks the store, and returns once that is durable; what it raises is not copied. `known` tells whether
        the store has accepted the key. Raises KeyInFlight while the first request is being accepted here or elsewhere.
        """
        name = stable_id("idempotency", asked.identity, asked.scope, asked.key)
        copy = self._near.find(name)
        if copy is not None and copy.digest == asked.digest:
            self.counted.near += 1
            return bytes(copy.answer)
        if copy is not None:
            return await self._ask(accept)  # another request: the store says so
        if name in self._in_flight:
            return await self._behind(asked, accept, known)
        self._in_flight.add(name)
        try:
            return await self._first(name, asked, accept, known)
        finally:
            self._in_flight.discard(name)

    async def close(self) -> None:
        """Close the connections."""
        if self._shared is not None:
            await self._shared.close()

    async def _first(
        self, name: str, asked: Asked, accept: Callable[[], Awaitable[bytes]], known: Callable[[], Awaitable[bool]]
    ) -> bytes:
        if self._shared is None:
            answer = await self._ask(accept)
            self._copied(name, asked, answer)
            return answer
        turn = await self._shared.begin(asked.identity, name, asked.digest)
        if turn.found is not None:
            return await self._found(turn.found, asked, accept, known)
        try:
            answer = await self._ask(accept)
        except BaseException:
            await self._shared.give_up(turn)
            raise
        copy = self._copied(name, asked, answer)
        await (self._shared.give_up(turn) if copy is None else self._shared.finish(turn, copy))
        return answer

    async def _found(
        self,
        found: Record,
        asked: Asked,
        accept: Callable[[], Awaitable[bytes]],
        known: Callable[[], Awaitable[bool]],
    ) -> bytes:
        if not found.answered:
            return await self._behind(asked, accept, known)
        if found.digest != asked.digest:
            return await self._ask(accept)
        self.counted.shared += 1
        self._near.add(found)
        return bytes(found.answer)

    async def _behind(
        self, asked: Asked, accept: Callable[[], Awaitable[bytes]], known: Callable[[], Awaitable[bool]]
    ) -> bytes:
        """Somebody else holds the key; but whose holder is gone may have been accepted long ago."""
        if await known():
            return await self._ask(accept)
        self.counted.in_flight += 1
        raise KeyInFlight(f"the first request with the key {asked.key!r} is still being accepted")

    async def _ask(self, accept: Callable[[], Awaitable[bytes]]) -> bytes:
        self.counted.store += 1
        return await accept()

    def _copied(self, name: str, asked: Asked, answer: bytes) -> Record | None:
        """The copy, kept here; None if the answer is too long for one."""
        if len(answer) > self._longest:
            return None
        copy = sealed(asked.identity, name, asked.digest, answer=answer)
        self._near.add(copy)
        return copy
