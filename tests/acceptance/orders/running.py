"""Runs orders on an engine that may die at any moment, and tells how they ended."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from zlib import crc32

from tests.acceptance.orders.messages import PlaceOrder
from tests.acceptance.orders.processes import PROCESS, order_app
from tests.acceptance.orders.world import World

from sagakit.core.queries import InstanceQuery
from sagakit.engine.limits import Limits
from sagakit.engine.topology import Topology
from sagakit.errors import StoreFailed
from sagakit.ports import Store
from sagakit.testing.faults import At, FaultyStore, SimulatedCrash
from sagakit.testing.manual import ManualClock, ManualEngine

ORDER = "order-1"


@dataclass(frozen=True)
class End:
    """How an order ended: what the database says of it, and what the world holds."""

    status: str
    cause: str
    reason: str
    story: tuple[str, ...]
    """The types of the messages, in the order of the log."""
    held: tuple[str, ...]
    """What the world holds of the order."""
    left: tuple[tuple[str, str], ...]
    """Deliveries that are still there: message type and state."""


def topology(way: str) -> Topology:
    return order_app(way).topology(provide=[World])


EACH_OF = int(os.environ.get("SAGAKIT_TEST_EACH_OF", "8"))
"""On a server, where a run takes a hundred times as long, one place in so many; others in other tests. 1: each."""


def places(kind: str, operations: Sequence[str], what: str) -> list[tuple[int, str | None]]:
    """Where a fault strikes in a test of `what`: at every operation; on a disk, where the rest changes nothing, at
    every commit; on a server at some of them."""
    if kind == "memory":
        return [(number, None) for number in range(1, len(operations) + 1)]
    commits = range(1, operations.count("commit") + 1)
    if kind == "postgresql":
        commits = commits[crc32(what.encode()) % EACH_OF :: EACH_OF]
    return [(number, "commit") for number in commits]


async def kill(engine: ManualEngine, before: set[asyncio.Task[None]]) -> None:
    """The process is dead: nothing of this engine runs on."""
    own = asyncio.all_tasks() - before
    for task in own:
        task.cancel()
    await asyncio.gather(*own, return_exceptions=True)


class HastyClock(ManualClock):
    """A clock on which whoever sleeps wakes at once: nothing has to be waited for, and time passes all the same."""

    async def sleep_until(self, due: int) -> None:
        await asyncio.sleep(0)
        self.set(due)


async def finish(engine: ManualEngine) -> None:
    """Let everything run to its end, retries included."""
    await engine.settle()
    while engine.next_due is not None:
        await engine.settle()


@asynccontextmanager
async def mortal(way: str, store: Store, world: World, clock: ManualClock) -> AsyncIterator[ManualEngine]:
    """An engine that starts and stops in order; a simulated crash kills it, and goes on to the caller."""
    before = asyncio.all_tasks()
    limits = Limits(stop_within=5.0)
    engine = ManualEngine(topology(way), store, clock=clock, provide={World: world}, limits=limits)
    try:
        await engine.start()
        yield engine
        await engine.stop()
        if isinstance(engine.fatal, SimulatedCrash):
            raise engine.fatal
    except SimulatedCrash:
        await kill(engine, before)
        raise


async def place_order(engine: ManualEngine, order_id: str = ORDER) -> None:
    """What a client does: send under a key of its own, again until it is acknowledged."""
    while True:
        try:
            await engine.send(PlaceOrder(order_id), idempotency_key=order_id)
        except StoreFailed:
            await engine.settle()
        else:
            return


async def run_order(way: str, make_store: Callable[[], Store], world: World, *faults: At) -> FaultyStore:
    """One order from its acknowledgement to its end, with a new engine whenever one dies.

    Its client sends it until it is acknowledged, and never again.
    """
    clock = HastyClock()
    first = store = FaultyStore(make_store(), *faults)
    acknowledged = False
    while True:
        try:
            async with mortal(way, store, world, clock) as engine:
                if not acknowledged:
                    await place_order(engine)
                    acknowledged = True
                await finish(engine)
            return first
        except (SimulatedCrash, StoreFailed):  # it died, or could not start or stop: somebody starts it again
            store = FaultyStore(make_store())


async def end_of(make_store: Callable[[], Store], world: World, order_id: str = ORDER) -> End:
    """How the order ended."""
    store = make_store()
    await store.open(own=False)
    try:
        listed = await store.read_instances(InstanceQuery(type=PROCESS, key=order_id))
        assert len(listed) == 1, f"{len(listed)} processes for one order"
        search = listed[0].search
        story = [message.type for message in await store.read_story(search.correlation_id)]
        left = [(one.envelope.type, one.state) for one in await store.read_deliveries()]
        assert listed[0].row.status == search.status
        return End(
            search.status,
            search.cause,
            search.reason,
            tuple(name.rpartition(".")[2] for name in story),
            tuple(world.held[order_id]),
            tuple(sorted((name.rpartition(".")[2], state) for name, state in left)),
        )
    finally:
        await store.close()
