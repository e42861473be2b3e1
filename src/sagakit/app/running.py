"""Running until the process is told to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Generator
from contextlib import contextmanager

from sagakit.engine.engine import Engine

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def signalled() -> Generator[asyncio.Event]:
    """An event that SIGTERM or SIGINT sets. The second signal does what it does without us: it ends the process."""
    loop, told = asyncio.get_running_loop(), asyncio.Event()

    def tell() -> None:
        told.set()
        forget()

    def forget() -> None:
        for number in SIGNALS:
            loop.remove_signal_handler(number)

    for number in SIGNALS:
        loop.add_signal_handler(number, tell)
    try:
        yield told
    finally:
        forget()


async def until_told(engine: Engine, told: asyncio.Event) -> None:
    """Return when the process is told to stop; raise what the engine died of, if it dies before."""
    waiting = {asyncio.ensure_future(told.wait()), asyncio.ensure_future(engine.stopped())}
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()
    if engine.fatal is not None:
        raise engine.fatal
