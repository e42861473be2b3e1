"""Those who wait: what an engine costs while thousands of callers wait for sagas, and how soon one of them is told.

python -m sagakit.bench.apart.waiters FILE [COUNT [SECONDS]]
"""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import aclosing
from resource import RUSAGE_SELF, getrusage
from statistics import median
from uuid import uuid4

import msgspec
from msgspec import Struct

from sagakit.bench.machine import memory_mb
from sagakit.bench.orders import ASLEEP, Sleep, Woken, bench
from sagakit.engine.engine import Engine
from sagakit.engine.watching.updates import Update

AT_ONCE = 100
TOLD = 100
"""So many are told, one at a time."""
CALM = 2.0
"""Percent of a core: with less, those who wait have begun."""


class Waiters(Struct, frozen=True):
    """What they cost: half of them watch an instance, half wait for an event of its story."""

    count: int
    memory_kb_each: float
    """Beyond the sagas themselves."""
    idle_cpu_percent: float
    """Of one core."""
    wakeups_per_s: float
    """How often the process woke while nothing happened."""
    told_ms: float
    """From an event's publishing to the one who waits for it, the median."""


async def measure_here(db: str, count: int, seconds: float) -> Waiters:
    """Have callers wait in this process, watch it for some seconds, then tell some of them."""
    async with bench.engine(db) as engine:
        keys = [str(uuid4()) for _ in range(count)]
        stories: list[str] = []
        for first in range(0, count, AT_ONCE):
            sent = await asyncio.gather(*(engine.send(Sleep(key)) for key in keys[first : first + AT_ONCE]))
            stories += [receipt.correlation_id for receipt in sent]
        before = memory_mb()
        waiting = [
            asyncio.create_task(_watch(engine, key) if number % 2 else _wait(engine, story))
            for number, (key, story) in enumerate(zip(keys, stories, strict=True))
        ]
        await _calm()
        memory = memory_mb() - before
        cpu_percent, wakeups = await _idle(seconds)
        told = [await _tell(engine, keys[number], waiting[number]) for number in range(1, min(count, 2 * TOLD), 2)]
        for waiter in waiting:
            waiter.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    kb_each = memory * 1024 / count
    return Waiters(count, round(kb_each, 1), round(cpu_percent, 3), round(wakeups, 2), round(median(told) * 1000, 3))


async def _calm() -> None:
    """Wait until all have looked at what was there before they came."""
    for _ in range(60):
        cpu, _ = await _idle(0.5)
        if cpu < CALM:
            return


async def _idle(seconds: float) -> tuple[float, float]:
    """The share of a core that is used, in percent, and how often the process wakes in a second."""
    begun, cpu, woke = time.perf_counter(), time.process_time(), getrusage(RUSAGE_SELF).ru_nvcsw
    await asyncio.sleep(seconds)
    passed = time.perf_counter() - begun
    return (time.process_time() - cpu) / passed * 100, (getrusage(RUSAGE_SELF).ru_nvcsw - woke) / passed


async def _watch(engine: Engine, key: str) -> Update:
    async with aclosing(engine.watch(ASLEEP, key)) as updates:
        return [update async for update in updates][-1]


async def _wait(engine: Engine, story: str) -> Woken:
    return await engine.wait(until=Woken, correlation_id=story, timeout=3600)


async def _tell(engine: Engine, key: str, waiter: asyncio.Task[object]) -> float:
    begun = time.perf_counter()
    await engine.publish(Woken(key))
    await waiter
    return time.perf_counter() - begun


if __name__ == "__main__":
    file, count, seconds = [*sys.argv[1:], *("10000", "10")[len(sys.argv) - 2 :]]
    print(msgspec.json.encode(asyncio.run(measure_here(file, int(count), float(seconds)))).decode())
