"""Runs trips on an engine that may die at any moment, and tells how all three processes ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.acceptance.orders.running import HastyClock, finish, kill
from tests.acceptance.trips.agency import Agency
from tests.acceptance.trips.messages import BookTrip
from tests.acceptance.trips.processes import MEAL, STAY, TRIP

from sagakit import App
from sagakit.core.queries import InstanceQuery
from sagakit.engine.limits import Limits
from sagakit.errors import StoreFailed
from sagakit.ports import Store
from sagakit.testing.faults import At, FaultyStore, SimulatedCrash
from sagakit.testing.manual import ManualClock, ManualEngine

ID = "trip-1"


@dataclass(frozen=True)
class End:
    """How a trip ended: what the database says of it, and what the world holds."""

    statuses: tuple[str, ...]
    """Status, cause and reason of each process, outermost first; "" for one that was never started."""
    held: tuple[str, ...]
    left: tuple[tuple[str, str], ...]
    """Deliveries that are still there: message type and state."""


@asynccontextmanager
async def mortal(app: App, store: Store, agency: Agency, clock: ManualClock) -> AsyncIterator[ManualEngine]:
    """An engine that starts and stops in order; a simulated crash kills it, and goes on to the caller."""
    before = asyncio.all_tasks()
    limits = Limits(stop_within=5.0)
    topology = app.topology(provide=[Agency])
    engine = ManualEngine(topology, store, clock=clock, provide={Agency: agency}, limits=limits)
    try:
        await engine.start()
        yield engine
        await engine.stop()
        if isinstance(engine.fatal, SimulatedCrash):
            raise engine.fatal
    except SimulatedCrash:
        await kill(engine, before)
        raise


class Client:
    """Books a trip, and may cancel it when an action is under way: each again until it is acknowledged."""

    def __init__(self, agency: Agency, cancel_at: str | None) -> None:
        self._agency = agency
        self._cancel_at = cancel_at
        if cancel_at is not None:
            agency.closes(cancel_at)
        self._booked = self._cancelled = False
        self._engines = 0

    async def go_on(self, engine: ManualEngine) -> None:
        """What is still to be said to an engine that may be a new one."""
        self._engines += 1
        if not self._booked:
            await self._until_acknowledged(engine, lambda: engine.send(BookTrip(ID), idempotency_key=ID))
            self._booked = True
        if self._cancel_at is None:
            return
        if not self._cancelled:
            while not self._agency.runs[self._cancel_at]:
                if engine.fatal is not None:
                    raise engine.fatal
                await asyncio.sleep(0)
            await self._until_acknowledged(engine, lambda: engine.cancel(TRIP, ID, reason="no more"))
            self._cancelled = True  # the action stays under way: giving it up is what ends it
        if self._engines > 1:
            # after a crash it runs again, and alone, for it is suspect: what gives it up comes after it
            self._agency.opens(self._cancel_at)

    async def _until_acknowledged(self, engine: ManualEngine, say: Callable[[], object]) -> None:
        while True:
            try:
                await say()  # type: ignore[misc]
            except StoreFailed:
                await asyncio.sleep(0)
            else:
                return


async def run_trip(
    app: App, make_store: Callable[[], Store], agency: Agency, *faults: At, cancel_at: str | None = None
) -> FaultyStore:
    """One trip from its acknowledgement to its end, with a new engine whenever one dies."""
    clock = HastyClock()
    client = Client(agency, cancel_at)
    first = store = FaultyStore(make_store(), *faults)
    while True:
        try:
            async with mortal(app, store, agency, clock) as engine:
                await client.go_on(engine)
                await finish(engine)
            return first
        except (SimulatedCrash, StoreFailed):  # it died, or could not start or stop: somebody starts it again
            store = FaultyStore(make_store())


async def end_of(make_store: Callable[[], Store], agency: Agency) -> End:
    """How the trip ended."""
    store = make_store()
    await store.open(own=False)
    try:
        statuses: list[str] = []
        for process in (TRIP, STAY, MEAL):
            listed = await store.read_instances(InstanceQuery(type=process, key=ID))
            assert len(listed) <= 1, f"{len(listed)} of {process}"
            search = listed[0].search if listed else None
            statuses.append(f"{search.status} {search.cause} {search.reason}".strip() if search else "")
        left = [(one.envelope.type.rpartition(".")[2], one.state) for one in await store.read_deliveries()]
        return End(tuple(statuses), tuple(agency.held), tuple(sorted(left)))
    finally:
        await store.close()
