"""What an engine runs on: joins the parts, opens the store, recovers what is outstanding, runs until it is stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Any, ClassVar

import structlog

from sagakit.core.commit import Delivery, Rejected
from sagakit.core.display import log_fields
from sagakit.engine.chance import SystemChance
from sagakit.engine.committer import Committer
from sagakit.engine.doors.answering import Answering
from sagakit.engine.doors.incoming import Incoming
from sagakit.engine.doors.links import Links
from sagakit.engine.draft import Draft
from sagakit.engine.handlers.aggregate_handler import AggregateHandler
from sagakit.engine.handlers.failures import Failures
from sagakit.engine.handlers.notices import Notices
from sagakit.engine.handlers.process_handler import ProcessHandler
from sagakit.engine.handlers.processes.redeclared import Redeclared
from sagakit.engine.handlers.providers import Providers
from sagakit.engine.handlers.reading import Reader
from sagakit.engine.handlers.runs import Runs
from sagakit.engine.handlers.service_handler import ServiceHandler
from sagakit.engine.handlers.withdrawing import Withdrawing
from sagakit.engine.inbox import Door
from sagakit.engine.lanes.lane import Lane
from sagakit.engine.lanes.lanes import GRACE, Lanes
from sagakit.engine.limiting.throttle import Throttle
from sagakit.engine.limits import Limits
from sagakit.engine.operating.acting import Acting
from sagakit.engine.operating.deliveries import DeliveryActions
from sagakit.engine.operating.instances import InstanceActions
from sagakit.engine.operating.operator import Operator
from sagakit.engine.operating.pauses import Pauses
from sagakit.engine.recovery import Recovery
from sagakit.engine.routing import BAD_KEY, Router
from sagakit.engine.time.clock import SystemClock
from sagakit.engine.time.firing import Firing
from sagakit.engine.time.schedule import Schedule
from sagakit.engine.time.timers import Timers
from sagakit.engine.topology import AggregateConsumer, ServiceConsumer, Topology
from sagakit.engine.watching.watching import Watching
from sagakit.engine.workers.across.operating import SharedOperator
from sagakit.engine.workers.team import Parts, Team
from sagakit.errors import StoreUnusable
from sagakit.observer import Observer
from sagakit.ports import Chance, Clock, Store

_log = structlog.get_logger("sagakit.engine")


class Running:
    """Joins the parts: what is accepted is delivered, decided, committed, and led on from there."""

    lanes_class: ClassVar[type[Lanes]] = Lanes
    """What its lanes are made of."""
    processes_class: ClassVar[type[ProcessHandler]] = ProcessHandler
    """What has its process instances react."""

    def __init__(
        self,
        topology: Topology,
        store: Store,
        *,
        clock: Clock | None = None,
        provide: Mapping[Any, object] | None = None,
        limits: Limits | None = None,
        chance: Chance | None = None,
        threads: Executor | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.topology = topology
        self.store = store
        self.clock: Clock = clock or SystemClock()
        self.limits = limits or Limits()
        self.observer = observer
        """Who counts and traces what it does."""
        self.fatal: BaseException | None = None
        """Why this engine can do nothing any more."""
        self._stopped = asyncio.Event()
        self._threads = threads or ThreadPoolExecutor(self.limits.threads, thread_name_prefix="sagakit handler")
        self._chance = chance = chance or SystemChance()
        self._router = Router(topology, self.clock)
        self._timers = Timers(self.clock)
        shared = store.cluster is not None
        handle, settled = (self._handle_shared, self._settled_shared) if shared else (self._handle, self._settled)
        self._lanes = self.lanes_class(handle, self._die, workers=self.limits.at_once, cached=self.limits.cached)
        self._throttle = Throttle(topology, self._lanes, self._timers)
        self._committer = Committer(store, self.clock, settled, self._die, observer)
        self._runs = Runs()
        read, run = Reader(self.clock), self.limits.run
        self.team = self._make_team(read, chance)
        """What it shares with other engines on the store; None: it has the store alone."""
        self._withdrawing = self.team.withdrawing if self.team else Withdrawing(self._lanes, self._runs)
        self._watching = self._make_watching()
        self._submit = submit = self.team.submit if self.team else self._committer.submit
        notices = Notices(self._router)
        self._failures = Failures(self._router, self._lanes, self._timers, submit, chance, notices)
        self._providers = Providers(topology.providers, provide or {})
        self._aggregates = AggregateHandler(self._router, store, read, self._failures, self._runs, submit, run)
        self._services = self._make_services()
        withdraw = self._withdrawing.decide
        self._processes = self.processes_class(self._router, store, read, self._lanes, submit, withdraw, notices, run)
        self._router.processes = self._processes
        self._lanes.on_evict = self._processes.evicted
        timers, lanes, processes, page = self._timers, self._lanes, self._processes, self.limits.page
        self._recovery = Recovery(store, read, timers, lanes, self._failures, processes, self._committer, page)
        self._withdrawing.find_unread = self._recovery.find
        self._recovery.on_reading = self._watching.reading
        self._schedule = self._make_schedule()
        if self.team is not None:
            self.team.attach(self._recovery, self._schedule)
        self._door = Door(self._router, store, chance, submit, self._load, self.limits.unfinished)
        self._door.failure = lambda: self._committer.failure
        self._door.observer = observer
        self._open_doors(read, notices)
        self._links: Links | None = None
        self.operator = self._make_operator(chance)
        """A person's hands: what stands still and why, and what to do about it."""

    def _make_team(self, read: Reader, chance: Chance) -> Team | None:
        cluster = self.store.cluster
        if cluster is None:
            return None
        parts = (self.topology, self.store, read, self._lanes, self._runs, self._timers, self._committer)
        team = Team(cluster, Parts(*parts, self.limits, chance, self._die))
        team.sharing.on_share = self._throttle.share
        return team

    def _make_watching(self) -> Watching:
        if self.team is not None:
            return self.team.make_watching()
        return Watching(self.topology, self.store, self._timers, self._lanes.deliveries)

    def _make_services(self) -> ServiceHandler:
        parts = (self._router, self._aggregates, self._providers, self._failures, self._runs, self._timers)
        services = ServiceHandler(*parts, self._submit, self._threads)
        services.observer, services.ended = self.observer, self._throttle.ended
        return services

    def _open_doors(self, read: Reader, notices: Notices) -> None:
        """The doors for what participants and other services say."""
        door, withdrawing, shared = self._door, self._withdrawing, self.team is not None
        if self.team is not None:
            door.catch_up = self.team.catching_up.catch_up
            self.team.rerouting.give_back = self._settled
        self._answering = Answering(self._router, self.store, read, door, withdrawing, notices, shared=shared)
        self._services.handed_over = self._answering.handed_over
        self._incoming = Incoming(self._door, self.store, read, self._withdrawing)
        self._redeclared = Redeclared(self.topology, self.store, read, self._die)
        self._recovery.on_parked = self._redeclared.found

    def _make_operator(self, chance: Chance) -> Operator:
        self._pauses = Pauses(self.topology, self._lanes)
        self._pauses.on_change = self._paused
        acting = Acting(self._router, self._lanes, chance, self._submit)
        instances = InstanceActions(self.topology, self.store, self._lanes, self._processes, acting)
        deliveries = DeliveryActions(self._router, self.store, self._lanes, instances, acting)
        deliveries.recovery = self._recovery
        instances.is_reading = lambda: self._recovery.reading
        check_open = self._door.check_open
        parts = (self.store, acting, instances, deliveries, self._pauses, self._router, check_open)
        if self.team is None:
            return Operator(*parts, self._throttle.waits_for)
        operator = SharedOperator(*parts, self._throttle.waits_for)
        desk = (self._router, self.store, chance, self._lanes, self._submit, self._watching)
        self.team.join_operator(operator, self._pauses, desk)
        return operator

    def _make_schedule(self) -> Schedule:
        firing = Firing(self._router)
        return Schedule(
            self.store,
            self._timers,
            firing.write,
            lambda delivery: (
                (self.team is None or self.team.fires(delivery)) and self._recovery.claims(delivery, firing.is_taken)
            ),
            self._submit,
            self._processes.abandon,
            lambda: self._load() < self.limits.unfinished,
            self._die,
        )

    # ------------------------------------------------------------------ running

    async def start(self) -> None:
        """Open the store and the providers, and go on with what is outstanding."""
        if self.team is not None:
            await self.team.cluster.prepare()
        clean = await self.store.open(own=self.team is None)
        try:
            await self._providers.open()
            self._timers.start()
            self._committer.start()
            await self._take_time_from_store()
            self._pauses.began(await self.store.read_pauses())
            await self._recover(suspect=not clean)
        except BaseException:
            await self._close(clean=clean)
            raise
        self._lanes.start()
        if self.team is not None:
            await self.team.begin()
        self._redeclared.start(self.operator.act_on_delivery)
        if self._links is not None:
            self._links.start()

    async def _recover(self, *, suspect: bool) -> None:
        if self.team is not None:  # what is outstanding is read as it is claimed
            self._paused()
            await self.team.join()
            await self._schedule.start(suspect=False)
            return
        unclaimed = self.limits.leave_unclaimed
        await self._recovery.start(self.topology, suspect=suspect, leave_unclaimed=unclaimed)
        await self._schedule.start(suspect=suspect)

    async def _take_time_from_store(self) -> None:
        seen, now = await self.store.last_recorded(), self.clock.now()
        if seen > now:
            _log.warning("the clock is behind the newest message: it stands until then", seconds=(seen - now) // 10**6)
            self.clock.has_been(seen)

    async def stop(self) -> None:
        """Accept nothing more, wait for what runs, write it down, and close. What is outstanding goes on later."""
        self._door.closed = "the engine is being stopped"
        began, within = asyncio.get_running_loop().time(), self.limits.stop_within
        if self._links is not None:
            await self._links.stop()
        await self._recovery.stop()
        await self._redeclared.stop()
        if self.team is not None and self.fatal is None:
            await self.team.give_all(within)
        await self._schedule.stop(GRACE)
        ended = await self._lanes.stop(within)
        left = within - (asyncio.get_running_loop().time() - began)
        ended = await self._runs.over(max(left, GRACE)) and ended
        if not ended:
            _log.warning("handlers still run: the next start takes what they handle for suspect")
        await self._committer.drain()
        await self._close(clean=ended and self.fatal is None)

    async def _close(self, *, clean: bool) -> None:
        self._watching.end("the engine has stopped; the outcome may still come")
        await self._schedule.stop(0)
        if self.team is not None:
            await self.team.stop()
        await self._committer.stop()
        await self._timers.stop()
        self._threads.shutdown(wait=False, cancel_futures=True)
        try:
            await self._providers.close()
        finally:
            try:
                await self.store.close(clean=clean)
            except StoreUnusable as error:
                if self.fatal is None:
                    raise
                _log.warning("the store could not be closed", error=str(error))
            finally:
                self._stopped.set()

    def end_watches(self) -> None:
        """Tell all who watch an instance or a story, or wait for its end, to come again: there will be no news."""
        self._watching.end_watches("the engine is being stopped: watch again from your cursor")

    async def stopped(self) -> None:
        """Wait until the engine has stopped, or can do nothing any more."""
        await self._stopped.wait()

    # ------------------------------------------------------------------ the middle

    async def _handle_shared(self, lane: Lane) -> None:
        """A busy lane can go on; it may be another worker's by now."""
        assert self.team is not None
        try:
            if await self.team.handles(lane):
                if lane.ticket is not None:
                    self._throttle.let_go(lane)
                return
        except StoreUnusable as error:
            self._die(error)
        else:
            await self._handle(lane)

    async def _handle(self, lane: Lane) -> None:
        """A busy lane can go on."""
        if not lane.queue:  # what was there was given up meanwhile
            self._recovery.passes(lane)
            self._lanes.release(lane)
            return
        delivery = lane.queue[0]
        if not self._may_begin(lane, delivery):
            self._recovery.passes(lane)
            return
        try:
            if self._recovery.suspects and not await self._recovery.may_run(lane, delivery):
                if lane.ticket is not None and not self._recovery.begins(delivery):
                    self._throttle.let_go(lane)
                return
            consumer = self.topology.consumers[delivery.consumer]
            if lane.key.startswith(BAD_KEY):
                await self._failures.give_up(lane, delivery, self._router.why_no_key(consumer, delivery.envelope))
            elif isinstance(consumer, ServiceConsumer):
                await self._services.handle(lane, consumer)
            elif isinstance(consumer, AggregateConsumer):
                await self._aggregates.handle(lane, consumer)
            else:
                await self._processes.handle(lane, consumer)
        except StoreUnusable as error:
            self._die(error)
        except Exception as error:  # the engine's own bug must not take a worker or a lane with it
            _log.exception("a handling failed inside the engine", **log_fields(delivery.envelope))
            if lane.ticket is not None:
                self._throttle.let_go(lane)
            await self._failures.failed(lane, delivery, error, ())

    def _may_begin(self, lane: Lane, delivery: Delivery) -> bool:
        """Whether nothing holds the head of a lane back; if something does, that wakes it."""
        if self._runs.by_id and self._runs.hold(delivery.envelope, partial(self._lanes.wake, lane)):
            held = True
        else:
            paused = self._pauses.by_place and not self._recovery.is_running(delivery)
            held = bool(paused) and self._pauses.hold(lane, delivery.consumer)
        if held:
            if lane.ticket is not None:
                self._throttle.let_go(lane)
            return False
        return not self._throttle.limited or self._throttle.admits(lane, delivery)

    def _load(self) -> int:
        """What the doors bound: without what waits for a limit, which is bounded for itself."""
        unfinished = self._recovery.unfinished()
        return unfinished if not self._throttle.limited else self._throttle.beside(unfinished, self.limits.unfinished)

    def _paused(self) -> None:
        """Something began to stand still, or goes on."""
        pauses = self._pauses.includes if self._pauses.by_place else None
        self._processes.is_paused = pauses if self.team is None else self.team.keeps_out(pauses)

    def _settled_shared(self, draft: Draft, result: Rejected | BaseException | None) -> None:
        """The same where several engines share the store."""
        team = self.team
        assert team is not None
        if not team.settled(draft, result):
            self._settled(draft, result)
            if result is None:
                team.committed(draft)

    def _settled(self, draft: Draft, result: Rejected | BaseException | None) -> None:
        """A Commit is durable, or was dropped: go on with everything that waited for it."""
        draft.on_settled(draft, result)
        if self._recovery.suspects and not isinstance(result, BaseException):
            self._recovery.settled(draft, result)
        if result is not None:
            self._processes.abandon(draft)
            return
        commit = draft.commit
        self._watching.committed(draft)
        if draft.withdrawn:
            self._withdrawing.carry_out(draft)
        for delivery in commit.deliveries:
            if delivery.state == "scheduled":
                self._schedule.put(delivery)
            elif self.team is not None:
                self.team.put(delivery)
            elif not self._recovery.leave(delivery):
                self._lanes.put(delivery)
        if commit.forgotten:
            self._schedule.forget(commit.forgotten)
        if draft.coming:
            self._processes.came(draft)
        self._processes.settled(draft)
        if self._recovery.reading:
            self._recovery.written(commit)

    def _die(self, error: BaseException) -> None:
        """The store is lost to this engine: nothing can be promised any more."""
        if self.fatal is not None:
            return
        _log.error("the engine cannot go on", error=str(error) or type(error).__name__)
        self.fatal = error
        self._door.closed = f"the engine cannot go on: {error}"
        self._schedule.running = False
        self._lanes.end(self._door.closed)
        self._committer.end(error)
        self._watching.end(self._door.closed)
        self._stopped.set()
