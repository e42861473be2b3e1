"""Sagas asleep, each with a timer: what an engine costs while thousands of them wait. Runs in a process of its own."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from uuid import uuid4

import msgspec
from msgspec import Struct

from sagakit.bench.ended import newest_instance, statuses
from sagakit.bench.machine import memory_mb
from sagakit.bench.orders import ASLEEP, Nap, Sleep, Slept, Woken, bench
from sagakit.bench.sizes import BenchFailed
from sagakit.engine.engine import Engine
from sagakit.telemetry.logs import log_to_stderr

AT_ONCE = 100
NAPS = 20
"""So many sleep for less than a second."""
WOKEN = 10
"""So many are woken at the end: asleep, not lost."""
PATIENCE = 30.0


class Idle(Struct, frozen=True):
    """What it costs."""

    cpu_percent: float
    """Of one core."""
    memory_mb: float
    start_ms: float
    """An engine starts while they are asleep."""
    late_ms: float
    """So late it wakes whose time has come, at worst."""


async def measure_here(db: str, count: int, seconds: float) -> Idle:
    """Put sagas to sleep in this process, and watch it for some seconds."""
    async with bench.engine(db) as engine:
        before = await newest_instance(engine.store)
        keys = [str(uuid4()) for _ in range(count)]
        waiting = iter(keys)
        await asyncio.gather(*(_start(engine, waiting) for _ in range(AT_ONCE)))
        await _check(engine, before, running=count, completed=0)
        begun, cpu_begun = time.perf_counter(), time.process_time()
        await asyncio.sleep(seconds)
        cpu = (time.process_time() - cpu_begun) / (time.perf_counter() - begun)
        memory = memory_mb()
        woken = keys[:WOKEN]
        for key in woken:
            await engine.publish(Woken(key))
        await _check(engine, before, running=count - len(woken), completed=len(woken))
    begun = time.perf_counter()
    async with bench.engine(db) as engine:
        started = time.perf_counter() - begun
        late = await asyncio.gather(*(_nap(engine, 0.2 + number / 50) for number in range(NAPS)))
    return Idle(cpu * 100, memory, started * 1000, max(late) * 1000)


async def measure_idle(db: str, count: int, seconds: float) -> Idle:
    """The same in a process of its own, so that nothing else counts."""
    words = ("-m", "sagakit.bench.asleep", db, str(count), str(seconds))
    process = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=asyncio.subprocess.PIPE)
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:  # interrupted: it writes to files that are removed next
            process.kill()
            await process.wait()
    if process.returncode:
        raise BenchFailed(f"the process with the sagas asleep ended with {process.returncode}")
    return msgspec.json.decode(said, type=Idle)


async def _start(engine: Engine, keys: Iterator[str]) -> None:
    for key in keys:
        await engine.send(Sleep(key))


async def _nap(engine: Engine, seconds: float) -> float:
    """How late a saga was woken, in seconds."""
    slept = await engine.send_and_wait(Nap(str(uuid4()), seconds), until=Slept, timeout=PATIENCE)
    if slept.late < 0:
        raise BenchFailed(f"a saga that slept for {seconds:g} s was woken {-slept.late:g} s too early")
    return slept.late


async def _check(engine: Engine, before: int, *, running: int, completed: int) -> None:
    wanted = {status: count for status, count in (("running", running), ("completed", completed)) if count}
    until = time.perf_counter() + PATIENCE
    while (found := dict(await statuses(engine.store, ASLEEP, before))) != wanted:
        if time.perf_counter() > until:
            raise BenchFailed(f"of the sagas asleep there were to be {wanted}; there are {found}")
        await asyncio.sleep(0.05)


if __name__ == "__main__":
    log_to_stderr(level="warning")
    idle = asyncio.run(measure_here(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
    print(msgspec.json.encode(idle).decode())
