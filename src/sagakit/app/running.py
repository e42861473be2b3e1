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
    """An event that SIGTERM or SIGINT sets.

    A second SIGINT (an impatient Ctrl-C) ends the process. A second SIGTERM changes nothing: whoever stops a group of
    processes, such as make and what it runs, sends it twice.
    """
    loop, told = asyncio.get_running_loop(), asyncio.Event()

    def tell() -> None:
        told.set()
        loop.remove_signal_handler(signal.SIGINT)

    for number in SIGNALS:
        loop.add_signal_handler(number, tell)
    try:
        yield told
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)


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
