"""A group checks out: how fast, at what cost for each item, with how large a state; and the re-run of the failed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from sagakit.bench.batches.group import EVERY, WAYS, CheckOutGroup, GroupCheckedOut, Settle, Way, groups, guest_id
from sagakit.bench.machine import memory_mb
from sagakit.bench.sizes import BenchFailed
from sagakit.bench.told import progress
from sagakit.core.display import display
from sagakit.core.streams import instance_id
from sagakit.engine.engine import Engine

SMALLEST = 1_000
PATIENCE = 3_600.0
PROCESS = "groups.check_out_group"


class BatchRound(Struct, frozen=True):
    """What a batch of this size took."""

    way: Way
    items: int
    items_per_s: float
    cpu_us_per_item: float
    """Of all threads of this process."""
    state_bytes: int
    """The most that its instance's state had, as it was seen."""
    history: int
    """Reactions that are kept of it."""
    memory_mb: float
    """Of the whole process, after it."""
    rerun: int
    """Failed items that were run again."""
    rerun_s: float


def sizes_up_to(items: int) -> list[int]:
    """Ten times as many each time."""
    found = [SMALLEST]
    while found[-1] * 10 < items:
        found.append(found[-1] * 10)
    return [*found, items] if found[-1] < items else [items] if items < SMALLEST else found


async def measure_batches(url: str, sizes: Sequence[int], ways: Sequence[Way] = WAYS) -> list[BatchRound]:
    """Batches of these sizes, one after another, on one database."""
    rounds: list[BatchRound] = []
    async with groups.engine(url) as engine:
        for way in ways:
            rounds += [await run_batch(engine, way, items) for items in sizes]
    return rounds


async def run_batch(engine: Engine, way: Way, items: int) -> BatchRound:
    """One batch, and the re-run of what failed. BenchFailed if it does not end as it must."""
    group = f"{way}-{items}"
    with progress(f"{items:,} {way}", items) as shown:
        watching = asyncio.create_task(_watch(engine, group, shown))
        begun, cpu_begun = time.perf_counter(), time.process_time()
        command = CheckOutGroup(group, items, way)
        ended = await engine.send_and_wait(command, until=GroupCheckedOut, timeout=PATIENCE)
        seconds, cpu_seconds = time.perf_counter() - begun, time.process_time() - cpu_begun
        largest = await watching
    expected = tuple(range(0, items, EVERY)) if way == "aggregates" else ()
    _check(ended, items - len(expected), expected)
    memory = memory_mb()
    rerun_s = await _rerun(engine, group, items, expected) if expected else 0.0
    history = await _reactions(engine, group)
    return BatchRound(
        way, items, items / seconds, cpu_seconds * 1e6 / items, largest, history, memory, len(expected), rerun_s
    )


async def _watch(engine: Engine, group: str, shown: Callable[[int], None]) -> int:
    """Show how far it has come; the largest state that is seen on the way."""
    largest = 0
    id = instance_id(PROCESS, group)
    while True:
        row = await engine.store.read_instance(id)
        if row is not None:
            largest = max(largest, len(row.state))
            shown(sum(one.done + one.failed for one in display(row).progress))
            if row.status == "completed":
                return largest
        await asyncio.sleep(0.1)


async def _rerun(engine: Engine, group: str, items: int, failed: Sequence[int]) -> float:
    """Those who were refused pay, and are checked out; nobody else is."""
    waiting = iter(failed)
    await asyncio.gather(*(_settle(engine, group, waiting) for _ in range(50)))
    id = instance_id(PROCESS, group)
    begun = time.perf_counter()
    await engine.operator.act(id, "rerun_failed", by="the bench", reason="they have paid")
    async for _ in engine.watch(PROCESS, group):
        pass  # up to its end
    seconds = time.perf_counter() - begun
    counted = {one.state: one.count for one in await engine.store.count_items(id)}
    if counted != {"done": items}:
        raise BenchFailed(f"after the re-run all {items} were to be out; there are {counted}")
    return seconds


async def _settle(engine: Engine, group: str, guests: Iterator[int]) -> None:
    for guest in guests:
        await engine.send(Settle(guest_id(group, guest)))


async def _reactions(engine: Engine, group: str) -> int:
    return len(await engine.store.read_history(instance_id(PROCESS, group), limit=100_000))


def _check(ended: GroupCheckedOut, done: int, failed: Sequence[int]) -> None:
    if (ended.done, ended.failed) != (done, tuple(failed)):
        raise BenchFailed(f"{done} were to be out and {len(failed)} not; there are {ended.done} and {ended.failed}")
