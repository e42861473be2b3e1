"""`python -m sagakit.demos.subscriptions.provider`: the provider as a process of its own; its first line is its URL."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys

import uvicorn

from sagakit.app.running import signalled
from sagakit.demos.subscriptions.provider.books import Books
from sagakit.demos.subscriptions.provider.service import service
from sagakit.demos.subscriptions.provider.weather import Sky
from sagakit.server.hosts import guarded
from sagakit.server.serve import address_of, bind


async def run(port: int) -> None:
    """Serve until told to stop, or until whoever started it is gone (its stdin ends)."""
    with bind(port) as bound, signalled() as told:
        config = uvicorn.Config(guarded(service(Books(), Sky())), lifespan="off", log_config=None, access_log=False)
        server = uvicorn.Server(config)
        serving = asyncio.ensure_future(server.serve(sockets=[bound]))
        sys.stdout.write(f"{address_of(bound)}\n")
        sys.stdout.flush()
        orphaned = asyncio.ensure_future(asyncio.to_thread(_until_stdin_ends, told, asyncio.get_running_loop()))
        await told.wait()
        server.should_exit = True
        await serving
        orphaned.cancel()


def _until_stdin_ends(told: asyncio.Event, loop: asyncio.AbstractEventLoop) -> None:
    while os.read(0, 1024):
        pass
    loop.call_soon_threadsafe(told.set)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="provider")
    parser.add_argument("--port", type=int, default=0)
    asyncio.run(run(parser.parse_args().port))


if __name__ == "__main__":
    main()
