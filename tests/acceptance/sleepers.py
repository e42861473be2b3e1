"""An engine in a process of its own, for tests that kill it: sagas that nap, and say on stdout when they are awake."""

from __future__ import annotations

import asyncio
import signal
import sys
from dataclasses import dataclass

from sagakit import App, Saga


@dataclass(frozen=True)
class Nap:
    key: str
    seconds: float


@dataclass(frozen=True)
class Woke:
    key: str
    due: float


@dataclass(frozen=True)
class Knock:
    key: str


@dataclass(frozen=True)
class Opened:
    key: str


sleepers = App("sleepers")


@sleepers.saga(key="key")
async def napper(nap: Nap, saga: Saga) -> None:
    due = saga.now.timestamp() + nap.seconds
    await saga.sleep(nap.seconds)
    saga.publish(Woke(nap.key, due))


@sleepers.on
async def say(event: Woke) -> None:
    print(f"woke {event.key}", flush=True)


@sleepers.handles
async def knock(command: Knock) -> Opened:
    print(f"knocked {command.key}", flush=True)
    return Opened(command.key)


async def main(database: str, *naps: str) -> None:
    terminated = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminated.set)
    async with sleepers.engine(database) as engine:
        for nap in naps:
            await engine.send(Nap(nap, float(nap)))
            await engine.send(Knock(nap), after=float(nap))
        print("ready", flush=True)
        await terminated.wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
