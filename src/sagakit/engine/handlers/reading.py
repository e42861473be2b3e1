"""Reading from the store on behalf of a delivery: a store that fails is nobody's attempt, so it is asked again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

import structlog

from sagakit.engine.committer import FIRST_PAUSE, LONGEST_PAUSE
from sagakit.errors import StoreFailed
from sagakit.ports import Clock

_P = ParamSpec("_P")
_T = TypeVar("_T")

_log = structlog.get_logger("sagakit.reading")


class Reader:
    """Reads until the store answers."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def __call__(self, read: Callable[_P, Awaitable[_T]], *args: _P.args, **named: _P.kwargs) -> _T:
        """What `read` gives. StoreUnusable is raised: no pause helps against that."""
        pause = FIRST_PAUSE
        while True:
            try:
                return await read(*args, **named)
            except StoreFailed as failure:
                _log.warning("the store cannot be read; trying again", error=str(failure))
            await self._clock.pause(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
