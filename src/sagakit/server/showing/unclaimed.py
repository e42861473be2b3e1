"""What waits for code that no living worker has, as readiness and the list of workers name it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from sagakit.core.cluster.members import Unclaimed
from sagakit.engine.engine import Engine

AGE = 10_000_000
"""Microseconds for which an answer is good: probes ask often, and the deliveries of all workers are counted for it."""
PATIENCE = 0.2
"""Seconds that a probe waits for an answer; whoever probes next has it."""

_log = structlog.get_logger("sagakit.server")


def words(one: Unclaimed) -> str:
    """In a sentence."""
    waits = "1 delivery waits" if one.deliveries == 1 else f"{one.deliveries} deliveries wait"
    return f"{waits} for {one.consumer}, which no living worker has code for"


class Unclaimeds:
    """Looked up now and then, while somebody asks."""

    def __init__(self, engine: Engine) -> None:
        self._cluster = engine.store.cluster
        self._clock = engine.clock
        self._known: Sequence[Unclaimed] = ()
        self._at: int | None = None
        self._looking: asyncio.Task[None] | None = None

    async def known(self) -> Sequence[Unclaimed]:
        """As of late. Where one engine owns the store alone there is none: it names that by itself."""
        if self._cluster is None:
            return ()
        if self._looking is None and (self._at is None or self._clock.now() - self._at >= AGE):
            self._looking = asyncio.create_task(self._look(), name="sagakit unclaimed")
        if self._looking is not None:
            await asyncio.wait({self._looking}, timeout=PATIENCE)
        return self._known

    async def _look(self) -> None:
        assert self._cluster is not None
        try:
            self._known = await self._cluster.read_unclaimed()
        except Exception as error:  # a store that is gone is told of elsewhere: this is a hint
            _log.debug("what nobody claims could not be looked up", error=f"{type(error).__name__}: {error}")
        finally:
            self._at, self._looking = self._clock.now(), None
