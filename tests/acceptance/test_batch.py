"""A batch of three thousand guests: killed with -9, twice; paused, resumed, and those who were refused run again."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sagakit.bench.batches.group import EVERY, Settle, groups, guest_id
from sagakit.bench.batches.run import PROCESS
from sagakit.core.display import display
from sagakit.core.streams import instance_id
from sagakit.engine.engine import Engine
from sagakit.stores.sqlite import SqliteStore

GUESTS = int(os.environ.get("BATCH_ITEMS", "3000"))
"""100,000 on request."""
KILLED_AT = (GUESTS // 6, GUESTS // 2)
ID = instance_id(PROCESS, "g")
WHO = {"by": "ada", "reason": "they have paid"}

SERVE = f"""
import asyncio, sys
from sagakit.bench.batches.group import CheckOutGroup, groups

async def serve() -> None:
    async with groups.engine(sys.argv[1]) as engine:
        await engine.send(CheckOutGroup("g", {GUESTS}, "aggregates"), idempotency_key="once")
        print("open", flush=True)
        await engine.stopped()

asyncio.run(serve())
"""


@asynccontextmanager
async def looking(database: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(database)
    await store.open(own=False)
    try:
        yield store
    finally:
        await store.close()


async def settled(store: SqliteStore) -> int:
    """Guests that are out, or were refused."""
    return sum(one.count for one in await store.count_items(ID) if one.state in ("done", "failed"))


async def killed_at(database: Path, guests: int) -> None:
    """Serve in a process of its own, and kill it once so many guests are settled."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVE, str(database), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout
        assert await process.stdout.readline() == b"open\n"
        while process.returncode is None:
            async with looking(database) as store:
                if await settled(store) >= guests:
                    break
            await asyncio.sleep(0.02)
    finally:
        process.kill()
        assert await process.wait() == -signal.SIGKILL


async def out(engine: Engine) -> Counter[str]:
    """How often each guest was checked out, as the log has it."""
    found: Counter[str] = Counter()
    codec = engine.topology.codecs.named("groups.CheckedOut")
    after = 0
    while page := await engine.store.read_messages(after=after, limit=10_000):
        found.update(codec.decode(one.payload).guest_id for one in page if one.type == codec.name)
        after = page[-1].position
    return found


async def paused_and_resumed(engine: Engine) -> None:
    await engine.operator.pause("instance", ID, by="ada", reason="the night shift asks for it")
    before = -1
    while before != (now := sum(one.count for one in await engine.store.count_items(ID))):
        before = now  # what runs ends; nothing more is sent then
        await asyncio.sleep(0.1)
    assert before < GUESTS
    await engine.operator.resume("instance", ID, by="ada", reason="the night is over")


@pytest.mark.timeout(50 if GUESTS <= 3000 else 1000)
async def test_a_batch_survives_two_kills_a_pause_and_finishes_with_a_rerun(tmp_path: Path) -> None:
    database = tmp_path / "group.db"
    refused = tuple(range(0, GUESTS, EVERY))
    for guests in KILLED_AT:
        await killed_at(database, guests)

    async with groups.engine(str(database)) as engine:
        row = await engine.store.read_instance(ID)
        assert row is not None
        (progress,) = display(row).progress
        assert progress.total == GUESTS
        assert KILLED_AT[1] <= progress.done + progress.failed < GUESTS
        await paused_and_resumed(engine)
        async for update in engine.watch(PROCESS, "g"):
            progress = update.progress[0]
        assert (progress.done, progress.failed, progress.state) == (GUESTS - len(refused), len(refused), "ended")

        for guest in refused:
            await engine.send(Settle(guest_id("g", guest)))
        await engine.operator.act(ID, "rerun_failed", **WHO)
        async for update in engine.watch(PROCESS, "g"):
            progress = update.progress[0]
        assert (progress.done, progress.failed) == (GUESTS, 0)

        counts = await out(engine)
        row = await engine.store.read_instance(ID)
        history = await engine.store.read_history(ID, limit=10_000)
        assert not await engine.store.read_deliveries()
    assert len(counts) == GUESTS
    assert set(counts.values()) == {1}, "checked out once, though the engine was killed"
    assert row is not None
    assert len(row.state) < 1_000
    assert len(history) < 10 + GUESTS // 500
