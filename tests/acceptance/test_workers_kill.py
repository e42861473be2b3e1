"""`sagakit run --workers 2`, one of which is killed or frozen: the other goes on, and nothing is lost or done twice."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import httpx
import pytest
from tests.acceptance.packers import ALL, Hall
from tests.chaos.auditor import audit, instances, unsettled
from tests.chaos.ledger import Ledger
from tests.chaos.load import Clients
from tests.servers.ports import free_port

from sagakit.app.stores import open_store
from sagakit.core.cluster.members import Worker
from sagakit.core.queries import InstanceQuery
from sagakit.ports import Store

ROOT = Path(__file__).parents[2]
EACH = 40
"""Orders that are acknowledged before a worker is killed, while it is away, and after that."""
PARCELS = 24

pytestmark = pytest.mark.timeout(400)

_T = TypeVar("_T")


async def until(find: Callable[[], Awaitable[_T]]) -> _T:
    """What is found, once it is."""
    async with asyncio.timeout(120):
        while True:
            if found := await find():
                return found
            await asyncio.sleep(0.05)


class Workers:
    """Two of them, and who looks at their database."""

    def __init__(self, process: asyncio.subprocess.Process, store: Store, log: Path) -> None:
        self.process = process
        self.store = store
        self._log = log

    async def both(self, but: Worker | None = None) -> list[Worker]:
        """Two that live, with a half each, once it is so; `but`: one that is not to be one of them."""
        cluster = self.store.cluster
        assert cluster is not None

        async def found() -> list[Worker]:
            alive = [one for one in await cluster.workers() if but is None or one.id != but.id]
            owners = [one.worker for one in await cluster.leases()]
            shares = sorted(owners.count(one.id) for one in alive)
            return alive if len(shares) == 2 and sum(shares) == len(owners) and shares[0] > shares[1] * 0.9 else []

        return await until(found)

    async def expelled(self, worker: Worker) -> None:
        """Wait until nobody takes it for alive."""
        cluster = self.store.cluster
        assert cluster is not None

        async def is_gone() -> bool:
            return worker.id not in [one.id for one in await cluster.workers()]

        await until(is_gone)

    @property
    def said(self) -> str:
        return self._log.read_text(errors="replace")


@asynccontextmanager
async def running(app: str, url: str, port: int, folder: Path, **environment: str) -> AsyncGenerator[Workers]:
    log, store = folder / "log", open_store(url)
    assert store.cluster is not None
    await store.cluster.prepare()
    await store.open(own=False)
    words = ("run", app, "--db", url, "--port", str(port), "--workers", "2")
    with log.open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sagakit", *words), cwd=ROOT, env=os.environ | environment, stdout=said, stderr=said
        )
    try:
        yield Workers(process, store, log)
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    finally:
        print(log.read_text(errors="replace")[-4000:])  # shown if the test fails
        await store.close()
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_one_is_killed_among_orders_and_the_other_goes_on(postgres_url: str, tmp_path: Path) -> None:
    ledger, port = Ledger(tmp_path / "ledger.db"), free_port()
    clients = Clients([port], tmp_path / "acknowledged", random.Random(1), pause=0.02)
    stop = asyncio.Event()

    async def acknowledged(more: int) -> None:
        goal = len(clients.acknowledged) + more

        async def are() -> bool:
            return len(clients.acknowledged) >= goal

        await until(are)

    async with running(
        "tests.chaos.orders:app", postgres_url, port, tmp_path, CHAOS_LEDGER=str(tmp_path / "ledger.db")
    ) as workers:
        victim, other = await workers.both()
        sending = asyncio.create_task(clients.run(8, stop))
        await acknowledged(EACH)
        await until(lambda: unsettled(workers.store))  # it is in the middle of work
        os.kill(victim.pid, signal.SIGKILL)
        done = len(await ended(workers.store))
        await acknowledged(EACH)

        async def more_have_ended() -> bool:
            return len(await ended(workers.store)) > done

        await until(more_have_ended)
        os.kill(other.pid, 0)  # the other one lives on
        await workers.expelled(victim)
        await workers.both(but=victim)
        await acknowledged(EACH)
        stop.set()
        await sending

        async def settled() -> bool:
            return not await unsettled(workers.store)

        await until(settled)
        findings = await audit(workers.store, clients.acknowledged, ledger.effects())
    assert findings.all == []
    assert findings.settled == findings.acknowledged == len(clients.acknowledged) >= 3 * EACH
    assert clients.refused == []


async def ended(store: Store) -> list[object]:
    return [*await instances(store, status="completed"), *await instances(store, status="compensated")]


@pytest.mark.parametrize("deaf", ["", "deaf"], ids=["told by its heart", "told by its Commit"])
async def test_what_a_frozen_one_commits_once_its_lease_is_over_is_dropped(
    postgres_url: str, tmp_path: Path, deaf: str
) -> None:
    hall, port = Hall(tmp_path), free_port()
    environment = {"PACKERS": str(tmp_path), "DEAF": deaf}
    async with running("tests.acceptance.packers:packers", postgres_url, port, tmp_path, **environment) as two:
        zombie, other = await two.both()
        parcels = {f"parcel-{number}" for number in range(PARCELS)}
        await sent(port, parcels)

        async def all_at_work() -> bool:
            return hall.at_work(zombie.pid) | hall.at_work(other.pid) == parcels

        await until(all_at_work)
        its = hall.at_work(zombie.pid)
        assert its, "some are in its hands"
        os.kill(zombie.pid, signal.SIGSTOP)
        try:
            await two.expelled(zombie)

            async def with_the_other() -> bool:
                return bool(hall.at_work(other.pid) & its)  # one of them: what may have crashed it runs alone

            await until(with_the_other)
            hall.let_go(zombie.pid)  # it finishes what it had, and commits that, as soon as it wakes
        finally:
            os.kill(zombie.pid, signal.SIGCONT)
        await two.both(but=zombie)
        hall.let_go(ALL)

        async def settled() -> bool:
            return await count_ended(two.store) == PARCELS

        await until(settled)
        packers = await packed_by(two.store)
        assert "has expelled this engine" in two.said
    assert {parcel: len(who) for parcel, who in packers.items()} == dict.fromkeys(parcels, 1)
    assert [parcel for parcel in its if packers[parcel] == [zombie.pid]] == []
    effects = hall.packed.effects()
    assert sorted(effect.order_id for effect in effects) == sorted(parcels), "once by key, whoever has packed it"


async def sent(port: int, parcels: set[str]) -> None:
    url = f"http://127.0.0.1:{port}/api/v1/commands/packers.SendParcel"
    async with httpx.AsyncClient(timeout=60) as client:
        for parcel in sorted(parcels):
            answer = await client.post(url, json={"parcel": parcel}, headers={"Idempotency-Key": parcel})
            assert answer.status_code == 202, answer.text


async def count_ended(store: Store) -> int:
    return len(await store.read_instances(InstanceQuery(status="completed", limit=PARCELS + 1)))


async def packed_by(store: Store) -> dict[str, list[int]]:
    """Who has packed each parcel, as the log has it."""
    found: dict[str, list[int]] = {}
    after = 0
    while page := await store.read_messages(after=after):
        for one in page:
            if one.type == "packers.Packed":
                said = json.loads(one.payload)
                found.setdefault(said["parcel"], []).append(said["by"])
        after = page[-1].position
    return found
