"""An engine in a process of its own, for tests that kill it: sagas that nap, and say on stdout when they are awake.

At its end it says how long it was held up at most: what else runs on the machine is no fault of its timers.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from dataclasses import dataclass

from sagakit import App, Engine, Saga


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


BEAT = 0.05
"""Seconds."""
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


class HeldUp:
    """Beats beside the engine, on its loop and through its store; the longest time that a beat took too long."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.seconds = 0.0

    async def watch(self) -> None:
        while True:
            begun = time.monotonic()
            await asyncio.sleep(BEAT)
            await self._engine.store.read_delivery(0)
            self.seconds = max(self.seconds, time.monotonic() - begun - BEAT)


async def main(database: str, *naps: str) -> None:
    terminated = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminated.set)
    async with sleepers.engine(database) as engine:
        for nap in naps:
            await engine.send(Nap(nap, float(nap)))
            await engine.send(Knock(nap), after=float(nap))
        held_up = HeldUp(engine)
        watching = asyncio.create_task(held_up.watch())
        print("ready", flush=True)
        await terminated.wait()
        watching.cancel()
        print(f"held up {held_up.seconds}", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
