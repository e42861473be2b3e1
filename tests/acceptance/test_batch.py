"""A batch of three thousand guests: killed with -9, twice; paused, resumed, and those who were refused run again."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest
from tests.acceptance.kept import ON_KEPT_STORES

from sagakit.bench.batches.group import EVERY, Settle, groups, guest_id
from sagakit.bench.batches.run import PROCESS
from sagakit.core.display import display
from sagakit.core.streams import instance_id
from sagakit.engine.engine import Engine
from sagakit.ports import Store

GUESTS = int(os.environ.get("BATCH_ITEMS", "3000"))
"""100,000 on request."""
ROOT = Path(__file__).parents[2]
KILLED_AT = (GUESTS // 6, GUESTS // 2)
ID = instance_id(PROCESS, "g")
WHO = {"by": "ada", "reason": "they have paid"}

SERVE = f"""
import asyncio, os, signal, sys
from sagakit.bench.batches.group import CheckOutGroup, groups
from sagakit.telemetry.logs import log_to_stderr
from tests.acceptance.test_batch import settled

async def serve(database, guests) -> None:
    async with groups.engine(database) as engine:
        await engine.send(CheckOutGroup("g", {GUESTS}, "aggregates"), idempotency_key="once")
        while await settled(engine.store) < guests:
            await asyncio.sleep(0.02)
        os.kill(os.getpid(), signal.SIGKILL)  # here: whoever looks from elsewhere may look too late

log_to_stderr()
asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
"""


async def settled(store: Store) -> int:
    """Guests that are out, or were refused."""
    return sum(one.count for one in await store.count_items(ID) if one.state in ("done", "failed"))


async def killed_at(database: str, guests: int) -> None:
    """Serve in a process of its own, which is killed with -9 once so many guests are settled."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", SERVE, database, str(guests), cwd=ROOT)
    try:
        assert await process.wait() == -signal.SIGKILL
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


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


@ON_KEPT_STORES
@pytest.mark.timeout(150 if GUESTS <= 3000 else 1000)
async def test_a_batch_survives_two_kills_a_pause_and_finishes_with_a_rerun(kept_url: str) -> None:
    refused = tuple(range(0, GUESTS, EVERY))
    for guests in KILLED_AT:
        await killed_at(kept_url, guests)

    async with groups.engine(kept_url) as engine:
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
