"""Asleep while the engine is killed with -9: what is due then wakes on time, or at once if its time has come.

On PostgreSQL the next engine waits for the lease of the killed one: the long naps are longer than that.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from tests.acceptance import sleepers
from tests.acceptance.kept import LEASE, on_kept_stores, reading

from sagakit.core.queries import DeliveryQuery, InstanceQuery

pytestmark = pytest.mark.long

SHORT = "1"
LATEST = {"sqlite": 1.0, "postgresql": 3.0}
"""Seconds that an idle engine may be late; on PostgreSQL, whose server shares the machine with all tests.

What holds up all of its process comes on top of that.
"""


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

    async def end(self, number: int) -> float:
        """Send it a signal and wait for its end; for how many seconds it says that it was held up."""
        self.process.send_signal(number)
        said, _ = await self.process.communicate()
        await self.process.wait()
        return max((float(line.split()[-1]) for line in said.splitlines() if line.startswith(b"held up")), default=0)


@asynccontextmanager
async def engine(database: str, *naps: str) -> AsyncIterator[Engine]:
    words = ("-m", sleepers.__name__, database, *naps)
    process = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=asyncio.subprocess.PIPE)
    try:
        yield Engine(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@on_kept_stores("long", sqlite=["8"], postgresql=["12"])
async def test_asleep_when_the_engine_is_killed_awake_on_time_after_the_restart(kept_url: str, long: str) -> None:
    """The time of the short naps comes at about the restart, that of the long ones while the second engine is idle."""
    async with engine(kept_url, SHORT, long) as first:
        await first.says("ready")
        await first.end(signal.SIGKILL)
    async with engine(kept_url) as second:
        await second.says("ready")
        restarted = time.time()
        await second.says(f"woke {long}", f"knocked {long}")
        held_up = await second.end(signal.SIGTERM)
    async with reading(kept_url) as store:
        kind = "sqlite" if store.cluster is None else "postgresql"
        assert await store.find_deliveries(DeliveryQuery()) == []
        ended = await store.read_instances(InstanceQuery(status="completed"))
        log = await store.read_messages()
    assert {entry.row.key for entry in ended} == {SHORT, long}
    taken_over = restarted if kind == "sqlite" else restarted + LEASE
    count = Counter(message.type for message in log)
    assert count["sagakit.TimerFired"] == count["sleepers.Woke"] == count["sleepers.Opened"] == 2
    for message in log:
        if message.type == "sleepers.Woke":
            woke, said = message.recorded_at / 1_000_000, msgspec.json.decode(message.payload)
            assert said["due"] <= woke <= max(said["due"], taken_over) + LATEST[kind] + held_up
