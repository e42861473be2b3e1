"""The server that all gateways share, behind a breaker and within a request's patience."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import structlog
from uuid_utils import uuid4

from sagakit.idempotency.breaker import Breaker
from sagakit.idempotency.counted import Counted
from sagakit.idempotency.record import Record, believed, encode, sealed
from sagakit.idempotency.settings import Settings

_T = TypeVar("_T")
_log = structlog.get_logger("sagakit.idempotency")


class Server(Protocol):
    """What is asked of Redis. Any method may raise anything, or take for ever."""

    place: str
    """Where it is, without secrets."""

    async def claim(self, name: str, value: bytes, lease: float) -> bytes | None:
        """Put it where nothing is, for so many seconds: None. Else what is there."""
        ...

    async def put(self, name: str, value: bytes, keep: float) -> None:
        """Put it there, whatever was."""
        ...

    async def release(self, name: str, value: bytes) -> None:
        """Remove exactly this value."""
        ...

    async def ping(self) -> None:
        """Answer."""
        ...

    async def forget_connections(self) -> None:
        """The server is away: whatever is connected is not to be used again."""
        ...

    async def close(self) -> None:
        """Nothing more will be asked."""
        ...


@dataclass
class Turn:
    """One request's business with the server."""

    name: str
    found: Record | None = None
    """What another request has left."""
    claim: bytes | None = None
    """What this request holds the key with."""
    left: float = 0.0
    """Seconds that it may still wait."""


class Shared:
    """Claims and copies at the server; a call that is not answered in time counts as failed."""

    def __init__(
        self,
        server: Server,
        settings: Settings,
        counted: Counted,
        now: Callable[[], float],
        measured: Callable[[], float],
    ) -> None:
        """`now` moves the breaker; what a request has waited is `measured` in real time."""
        self.breaker = Breaker(settings.failures, settings.rest, now)
        self._server = server
        self._settings = settings
        self._counted = counted
        self._measured = measured
        self._beside: set[asyncio.Task[None]] = set()

    async def begin(self, identity: str, name: str, digest: str) -> Turn:
        """Claim a key, or find what is there; neither where the server is away or not to be believed."""
        turn = Turn(name, left=self._settings.patience)
        claim = encode(sealed(identity, name, digest, token=uuid4().hex))
        done, value = await self._call(turn, lambda: self._server.claim(name, claim, self._settings.lease))
        if done and value is None:
            turn.claim = claim
        elif value is not None:
            turn.found = believed(identity, name, value)
            if turn.found is None:
                self._counted.distrusted += 1
        return turn

    async def finish(self, turn: Turn, answer: Record) -> None:
        """Replace the claim by the answer. A claim that has run out is no matter: every answer of a key is the same."""
        if turn.claim is not None:
            value = encode(answer)
            await self._call(turn, lambda: self._server.put(turn.name, value, self._settings.keep))

    async def give_up(self, turn: Turn) -> None:
        """Let go of the claim, if it is still this request's."""
        claim = turn.claim
        if claim is not None:
            await self._call(turn, lambda: self._server.release(turn.name, claim))

    async def close(self) -> None:
        """Stop the probes and the connections."""
        for task in self._beside:
            task.cancel()
        await asyncio.gather(*self._beside, return_exceptions=True)
        await self._server.close()

    async def _call(self, turn: Turn, call: Callable[[], Awaitable[_T]]) -> tuple[bool, _T | None]:
        """Whether the server answered within the turn's patience, and what."""
        if turn.left <= 0 or not self._allowed():
            self._counted.skipped += 1
            return False, None
        began = self._measured()
        try:
            async with asyncio.timeout(turn.left):
                answer = await call()
        except Exception as error:
            self._failed(error)
            return False, None
        finally:
            turn.left -= self._measured() - began
        self._succeeded()
        return True, answer

    def _allowed(self) -> bool:
        if self.breaker.state == "closed":
            return True
        if self.breaker.probe():
            self._spawn(self._probe())
        return False

    async def _probe(self) -> None:
        """Nobody waits for it: while the server is away, a request costs nothing more than without one."""
        try:
            async with asyncio.timeout(self._settings.patience):
                await self._server.ping()
        except Exception as error:
            self._failed(error)
        else:
            self._succeeded()

    def _succeeded(self) -> None:
        if self.breaker.succeeded():
            self._counted.left_alone = False
            _log.info("the idempotency server is back", server=self._server.place)

    def _failed(self, error: Exception) -> None:
        self._counted.failed += 1
        probed = self.breaker.state == "half_open"
        if not self.breaker.failed():
            return
        self._counted.opened += 1
        self._counted.left_alone = True
        self._spawn(self._server.forget_connections())
        if not probed:  # told once, not at each probe
            why = "it does not answer" if isinstance(error, TimeoutError) else type(error).__name__
            _log.warning("the idempotency server is left alone: the store answers", server=self._server.place, why=why)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._beside.discard(task)
        if not task.cancelled():
            task.exception()  # connections that cannot be closed are gone all the same
