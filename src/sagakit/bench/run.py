"""Everything in one go: the floor and the engine by turns, sagas one at a time, sagas asleep."""

from __future__ import annotations

import asyncio
import time
from statistics import median

from sagakit.app.stores import open_store
from sagakit.bench.asleep import measure_idle
from sagakit.bench.batches.run import measure_batches
from sagakit.bench.ended import check_ends, newest_instance
from sagakit.bench.figures import Figures
from sagakit.bench.grounds import Floor, Ground, ground
from sagakit.bench.history import fill
from sagakit.bench.load import Load, run_alone, run_many
from sagakit.bench.machine import machine, versions
from sagakit.bench.orders import bench
from sagakit.bench.sizes import Sizes
from sagakit.bench.told import progress
from sagakit.engine.engine import Engine

WARM_UP = 200


def measure(sizes: Sizes, db: str | None = None) -> Figures:
    """Run it all. `db`: a new file or schema, kept."""
    return asyncio.run(_measure(sizes, db))


async def _measure(sizes: Sizes, db: str | None) -> Figures:
    async with ground(db) as on:
        return await _measure_on(on, sizes)


async def _measure_on(on: Ground, sizes: Sizes) -> Figures:
    if sizes.history:
        await _fill(on.url, sizes.history)
    async with on.floor() as floor, bench.engine(on.url) as engine:
        floors, loads = await _by_turns(floor, engine, sizes)
        with progress("one at a time"):
            alone = await run_alone(engine, sizes.alone, sizes.alone_within)
    small, large = await measure_batches(on.beside("batches"), sizes.batches, ("aggregates",))
    with progress(f"{sizes.asleep:,} asleep"):
        idle = await measure_idle(on.url, sizes.asleep, sizes.idle_for)
    sagas_per_s, floor_per_s = median(load.sagas_per_s for load in loads), median(floors)
    return Figures(
        sagas_per_s=round(sagas_per_s, 1),
        floor_sagas_per_s=round(floor_per_s, 1),
        ratio=round(sagas_per_s / floor_per_s, 4),
        latency_p50_ms=round(_at(alone, 0.50), 3),
        latency_p99_ms=round(_at(alone, 0.99), 3),
        cpu_ms_per_saga=round(median(load.cpu_ms_per_saga for load in loads), 4),
        batch_items_per_s=round(large.items_per_s, 1),
        batch_cpu_us_per_item=round(large.cpu_us_per_item, 2),
        batch_growth=round(large.cpu_us_per_item / small.cpu_us_per_item, 3),
        idle_cpu_percent=round(idle.cpu_percent, 3),
        idle_memory_mb=round(idle.memory_mb, 1),
        asleep_start_ms=round(idle.start_ms, 2),
        timer_late_ms=round(idle.late_ms, 3),
        rounds=len(loads),
        alone=len(alone),
        sizes=sizes,
        machine=machine(),
        versions=versions(on),
    )


async def _fill(url: str, history: int) -> None:
    store = open_store(url)
    await store.open()
    try:
        with progress("filling the log", history) as shown:
            async for written in fill(store, history):
                shown(written)
    finally:
        await store.close()


async def _by_turns(floor: Floor, engine: Engine, sizes: Sizes) -> tuple[list[float], list[Load]]:
    floors: list[float] = []
    loads: list[Load] = []
    before = await newest_instance(engine.store)
    with progress("floor and engine by turns", sizes.rounds) as shown:
        warm = min(WARM_UP, sizes.sagas)
        await floor.run(warm)
        await run_many(engine, warm, sizes.concurrency)
        until = time.perf_counter() + sizes.rounds_within
        while len(loads) < sizes.rounds and (not loads or time.perf_counter() < until):
            floors.append(await floor.run(sizes.sagas))
            loads.append(await run_many(engine, sizes.sagas, sizes.concurrency))
            shown(len(loads))
    counts = [warm, *[sizes.sagas] * len(loads)]
    refused = sum(count // 10 for count in counts)
    await check_ends(engine.store, after=before, completed=sum(counts) - refused, compensated=refused)
    return floors, loads


def _at(values: list[float], part: float) -> float:
    """The value below which that part of the sorted values lies."""
    return values[min(len(values) - 1, int(len(values) * part))]
