"""A server that tests move by hand, and a store that counts what it is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sagakit.errors import KeyReused
from sagakit.idempotency import Asked, FastPath, Settings
from sagakit.idempotency.counted import Counted
from sagakit.idempotency.near import Near
from sagakit.idempotency.shared import Shared


class Time:
    """A clock that stands still until it is moved."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Shelf:
    """What Redis does, in memory. `trouble` is raised instead; while `hanging` it answers nothing."""

    place = "shelf://"

    def __init__(self, time: Time) -> None:
        self.time = time
        self.values: dict[str, tuple[float, bytes]] = {}
        self.trouble: Exception | None = None
        self.hanging = False
        self.calls: list[str] = []
        self.forgotten = 0
        self.closed = False

    async def claim(self, name: str, value: bytes, lease: float) -> bytes | None:
        await self._called("claim")
        until, found = self.values.get(name, (0.0, b""))
        if until > self.time.now:
            return found
        self.values[name] = (self.time.now + lease, value)
        return None

    async def put(self, name: str, value: bytes, keep: float) -> None:
        await self._called("put")
        self.values[name] = (self.time.now + keep, value)

    async def release(self, name: str, value: bytes) -> None:
        await self._called("release")
        if self.values.get(name, (0.0, b""))[1] == value:
            del self.values[name]

    async def ping(self) -> None:
        await self._called("ping")

    async def forget_connections(self) -> None:
        self.forgotten += 1

    async def close(self) -> None:
        self.closed = True

    async def _called(self, what: str) -> None:
        self.calls.append(what)
        if self.hanging:
            await asyncio.get_running_loop().create_future()
        if self.trouble is not None:
            raise self.trouble


class Books:
    """The store: it alone decides, and counts effects."""

    def __init__(self) -> None:
        self.accepted: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.effects = 0
        self.asked = 0
        self.gate: asyncio.Event | None = None
        self.error: Exception | None = None

    def accept(self, asked: Asked) -> Callable[[], asyncio.Future[bytes]]:
        return lambda: asyncio.ensure_future(self._accept(asked))

    def known(self, asked: Asked) -> Callable[[], asyncio.Future[bool]]:
        async def look() -> bool:
            return (asked.scope, asked.key) in self.accepted

        return lambda: asyncio.ensure_future(look())

    async def _accept(self, asked: Asked) -> bytes:
        self.asked += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        digest, answer = self.accepted.get((asked.scope, asked.key), ("", b""))
        if not digest:
            self.effects += 1
            digest, answer = asked.digest, b'{"number":%d}' % self.effects
            self.accepted[asked.scope, asked.key] = (digest, answer)
        if digest != asked.digest:
            raise KeyReused(asked.key)
        return answer


class Gateway:
    """One process's fast path in front of the store."""

    def __init__(self, shelf: Shelf | None, books: Books, time: Time, settings: Settings | None = None) -> None:
        # what answers here does so at once: a request whose patience ends has met a busy machine
        settings, counted = settings or Settings(patience=60.0), Counted()
        shared = None if shelf is None else Shared(shelf, settings, counted, time, asyncio.get_running_loop().time)
        self.fast = FastPath(Near(settings.keep, settings.near_bytes, time), shared, settings, counted)
        self.counted = counted
        self._books = books

    async def ask(self, key: str = "k-1", digest: str = "d-1", *, identity: str = "db") -> bytes:
        asked = Asked(identity, "place", key, digest)
        return await self.fast.once(asked, self._books.accept(asked), self._books.known(asked))
