"""A long log, and hundreds of instances that stand still in every way: the command copies it, and they go on."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest
from tests.stores.copying.walks import KINDS, Begin, World, set_going, stand_still, statuses, walks

from sagakit.app.stores import open_store
from sagakit.bench.history import fill
from sagakit.core.commit import Envelope
from sagakit.engine.limits import Limits
from sagakit.stores.copying.tables import TABLES
from sagakit.testing.manual import ManualClock, ManualEngine, engine

MESSAGES = 100_000
EACH = 50
ONCE = {
    "walks.Begun": len(KINDS) + 1,
    "walks.Called": 3,  # by those that retry, by those that ran, and by the test for those that wait
    "walks.Rang": 6,
    "sagakit.BatchEnded": 1,
    "sagakit.TimerFired": 1,
}
"""How many events there are for each number, if nothing is lost and nothing is done twice."""


async def filled(path: Path) -> int:
    """Write orders that have ended; answers how many messages there are."""
    store = open_store(str(path))
    await store.open()
    *_, written = [count async for count in fill(store, MESSAGES)]
    await store.close()
    return written


async def copied(source: str, target: str) -> Any:
    """What the command says in JSON."""
    words = ("-m", "sagakit", "copy", source, target, "--json")
    process = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert process.returncode == 0
    return msgspec.json.decode(out)


def rows_of(path: Path) -> dict[str, int]:
    """How many rows a file has in each table."""
    file = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return {table.name: file.execute(f"SELECT count(*) FROM {table.name}").get for table in TABLES}
    finally:
        file.close()


@asynccontextmanager
async def opened(url: str, world: World, clock: ManualClock) -> AsyncIterator[ManualEngine]:
    limits = Limits(stop_within=0.1)
    async with engine(walks(world), store=open_store(url), clock=clock, limits=limits) as running:
        yield running


@pytest.mark.long
@pytest.mark.timeout(360)
async def test_a_hundred_thousand_messages_and_what_runs_among_them(tmp_path: Path, postgres_url: str) -> None:
    source, back, clock, before = tmp_path / "shop.db", tmp_path / "back.db", ManualClock(), World()
    ended = await filled(source)
    async with opened(str(source), before, clock) as running:
        await stand_still(running, EACH)
        for number in range(EACH):
            await running.send(Begin(f"runs-{number}"))
        await running.advance(seconds=1)

    there = await copied(str(source), postgres_url)
    assert {one["table"]: one["rows"] for one in there["tables"]} == rows_of(source)
    assert (await copied(postgres_url, str(back)))["tables"] == there["tables"], "the same digests"

    after = World()
    after.broken = False
    async with opened(postgres_url, after, clock) as running:
        await set_going(running, EACH)
        found, log = await statuses(running), list[Envelope]()
        while page := await running.store.read_messages(after=log[-1].position if log else ended, limit=10_000):
            log += page
        left = await running.store.read_deliveries()
    assert Counter(found.values()) == {"completed": (len(KINDS) + 1) * EACH}
    assert not left
    assert len(before.rings) == len(after.rings) == 3 * EACH
    assert len(set(before.rings + after.rings)) == 6 * EACH
    assert not before.calls
    assert sorted(after.calls) == sorted(f"{kind}-{number}" for kind in ("retries", "runs") for number in range(EACH))
    events = Counter(one.type for one in log if one.kind == "event")
    assert {type: count / EACH for type, count in events.items() if type in ONCE} == ONCE
