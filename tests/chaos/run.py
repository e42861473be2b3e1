"""One run: workers, clients and disturbances for so many seconds, then calm, then the audit."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.auditor import Findings, audit, unsettled
from tests.chaos.disturbing import Disturbing
from tests.chaos.ledger import Ledger
from tests.chaos.load import Clients
from tests.chaos.workers import SHIPPING, Worker, started

from sagakit.app.stores import open_store
from sagakit.errors import StoreFailed, StoreUnusable
from sagakit.ports import Store

CLIENTS = 8
SHOWN = 40
"""Orders after which a planted fault must have done harm."""
CALM = 150.0
"""Seconds until everything must have ended once nothing is disturbed any more."""


@dataclass(frozen=True)
class Ran:
    """What came of it."""

    findings: Findings
    kills: int
    done: str
    """What was done to whom, in words."""
    refused: Sequence[str]
    said: str
    """The ends of the workers' logs, if something is wrong."""


async def run(
    url: str,
    folder: Path,
    *,
    seconds: float,
    seed: int,
    count: int = 4,
    pause: float = 0.1,
    fault: str = "",
    valkey: str = "",
    kafka: str = "",
    others: Sequence[Callable[[], None]] = (),
) -> Ran:
    """Have `count` workers serve orders for so many seconds under fire; with a fault, for as long as it takes to show.

    `valkey`, `kafka`: URLs of servers that they use. `others`: what is done to servers meanwhile.
    """
    chance = random.Random(seed)
    ledger = Ledger(folder / "ledger.db")
    environment = {"CHAOS_LEDGER": str(folder / "ledger.db"), "CHAOS_FAULT": fault}
    environment |= {"SAGAKIT_KAFKA": kafka} if kafka else {}
    words = ("--idempotency", valkey) if valkey else ()
    orders = [Worker(f"worker-{number}", url, folder, environment, words=words) for number in range(count)]
    shipping = [Worker("shipping", str(folder / "shipping.db"), folder, environment, app=SHIPPING)] if kafka else []
    with started(*orders, *shipping) as all_workers:
        clients = Clients([one.port for one in orders], folder / "acknowledged", chance, pause)
        disturbing = Disturbing(all_workers, random.Random(seed), others)
        stop_disturbing, stop_sending = asyncio.Event(), asyncio.Event()
        sending = asyncio.create_task(clients.run(CLIENTS, stop_sending))
        while not clients.acknowledged:
            _see_to(all_workers, sending)
            assert all(worker.starts < 5 for worker in all_workers), all_workers[0].said
            await asyncio.sleep(0.05)
        disturbed = None if fault else asyncio.create_task(disturbing.run(stop_disturbing))
        await asyncio.sleep(seconds)
        while fault and len(clients.acknowledged) < SHOWN:
            _see_to(all_workers, sending)
            await asyncio.sleep(0.05)
        stop_disturbing.set()
        if disturbed is not None:
            await disturbed
        stop_sending.set()
        await _calm(url, all_workers, sending)
        store = open_store(url)
        await store.open(own=False)
        try:
            findings = await audit(store, clients.acknowledged, ledger.effects())
        finally:
            await store.close()
        said = "\n".join(f"{one.name}: {one.said}" for one in all_workers) if findings.all else ""
    kills = sum(disturbing.done.values())
    return Ran(findings, kills, ", ".join(f"{n} {what}" for what, n in disturbing.done.items()), clients.refused, said)


async def _calm(url: str, all_workers: Sequence[Worker], sending: asyncio.Task[None]) -> None:
    """Wait until what is left has ended, or cannot."""
    until = time.monotonic() + CALM
    while time.monotonic() < until:
        _see_to(all_workers, sending)
        await asyncio.sleep(0.25)
        if sending.done() and not await _left(open_store(url)):
            return


async def _left(store: Store) -> int:
    try:
        await store.open(own=False)
        try:
            return await unsettled(store)
        finally:
            await store.close()
    except (StoreFailed, StoreUnusable):
        return 1


def _see_to(all_workers: Sequence[Worker], sending: asyncio.Task[None]) -> None:
    for worker in all_workers:
        worker.see_to()
    if sending.done():
        sending.result()
