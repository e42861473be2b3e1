"""Asleep while the engine is killed with -9: what is due then wakes on time, or at once if its time has come."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from tests.acceptance import sleepers

from sagakit.core.queries import DeliveryQuery, InstanceQuery
from sagakit.stores.sqlite.store import SqliteStore

pytestmark = pytest.mark.long

SHORT, LONG = "1", "4"
LATEST = 1.0
"""Seconds that an idle engine may be late."""


class Engine:
    """One engine in a process of its own, and what it has said."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def says(self, *lines: str) -> None:
        """Wait until it has said all of this."""
        assert self.process.stdout is not None
        missing = set(lines)
        async for line in self.process.stdout:
            missing.discard(line.decode().strip())
            if not missing:
                return
        raise AssertionError(f"it has ended, and did not say {missing}")

    async def end(self, number: int) -> None:
        self.process.send_signal(number)
        await self.process.wait()


@asynccontextmanager
async def engine(database: Path, *naps: str) -> AsyncIterator[Engine]:
    words = ("-m", sleepers.__name__, str(database), *naps)
    process = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=asyncio.subprocess.PIPE)
    try:
        yield Engine(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_asleep_when_the_engine_is_killed_awake_on_time_after_the_restart(tmp_path: Path) -> None:
    """The time of the short naps comes at about the restart, that of the long ones while the second engine is idle."""
    database = tmp_path / "sleepers.db"
    async with engine(database, SHORT, LONG) as first:
        await first.says("ready")
        await first.end(signal.SIGKILL)
    async with engine(database) as second:
        await second.says("ready")
        restarted = time.time()
        await second.says(f"woke {LONG}", f"knocked {LONG}")
        await second.end(signal.SIGTERM)
    store = SqliteStore(database)
    await store.open(own=False)
    assert await store.find_deliveries(DeliveryQuery()) == []
    ended = await store.read_instances(InstanceQuery(status="completed"))
    assert {entry.row.key for entry in ended} == {SHORT, LONG}
    log = await store.read_messages()
    await store.close()
    count = Counter(message.type for message in log)
    assert count["sagakit.TimerFired"] == count["sleepers.Woke"] == count["sleepers.Opened"] == 2
    for message in log:
        if message.type == "sleepers.Woke":
            woke, said = message.recorded_at / 1_000_000, msgspec.json.decode(message.payload)
            assert said["due"] <= woke <= max(said["due"], restarted) + LATEST
