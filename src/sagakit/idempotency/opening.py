"""Which fast path a URL means. The adapter is imported only when its URL asks."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from sagakit.errors import TerminalError
from sagakit.idempotency.counted import Counted
from sagakit.idempotency.fast_path import FastPath
from sagakit.idempotency.near import Near
from sagakit.idempotency.settings import Settings
from sagakit.idempotency.shared import Server, Shared


class DriverMissing(TerminalError):
    """The driver is not installed; the text says how to."""


def fast_path(
    url: str | None, settings: Settings | None = None, *, now: Callable[[], float] = time.monotonic
) -> FastPath:
    """The fast path over the server of a URL (`redis://`, `rediss://`, `valkey://`, `valkeys://`, `unix://`).

    None: in this process's memory alone. Nothing is connected before the first request. Raises TerminalError.
    """
    settings, counted = settings or Settings(), Counted()
    near = Near(settings.keep, settings.near_bytes, now)
    server = None if url is None else _server(url, settings)
    shared = None if server is None else Shared(server, settings, counted, now, time.monotonic)
    return FastPath(near, shared, settings, counted)


@asynccontextmanager
async def opened(url: str | None) -> AsyncGenerator[FastPath | None]:
    """The fast path of a URL, closed in the end; None where no URL is given."""
    if not url:
        yield None
        return
    fast = fast_path(url)
    try:
        yield fast
    finally:
        await fast.close()


def _server(url: str, settings: Settings) -> Server:
    try:
        from sagakit.idempotency.redis import RedisServer
    except ImportError as error:
        raise DriverMissing("Redis' driver is not installed: pip install 'sagakit[redis]'") from error
    return RedisServer(url, settings)
