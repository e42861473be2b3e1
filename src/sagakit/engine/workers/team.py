"""The engine as one of several on a store. Where one engine owns the store alone there is none of this."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import structlog

from sagakit.core.cluster.members import BESIDE, OPERATOR, WITHDRAW, Notice, Owned, Worker
from sagakit.core.commit import Delivery, Rejected
from sagakit.core.lifecycle import OperatorAsked
from sagakit.core.streams import partition, partition_of
from sagakit.engine.committer import Committer
from sagakit.engine.draft import Draft
from sagakit.engine.handlers.reading import Reader
from sagakit.engine.handlers.runs import Runs
from sagakit.engine.lanes.lane import Lane
from sagakit.engine.lanes.lanes import GRACE, Lanes
from sagakit.engine.limits import Limits
from sagakit.engine.operating.pauses import Pauses
from sagakit.engine.recovery import Recovery
from sagakit.engine.routing import DOOR, Router
from sagakit.engine.time.schedule import Schedule
from sagakit.engine.time.timers import Timers
from sagakit.engine.topology import Topology
from sagakit.engine.watching.watching import Watching
from sagakit.engine.workers.across import notices as words
from sagakit.engine.workers.across.arrivals import Arrivals
from sagakit.engine.workers.across.catching_up import CatchingUp
from sagakit.engine.workers.across.notices import Notices
from sagakit.engine.workers.across.operating import Desk, SharedOperator
from sagakit.engine.workers.across.rerouting import Rerouting
from sagakit.engine.workers.across.routes import Foreign, levels, most_at_once, subscriptions
from sagakit.engine.workers.across.withdrawals import Parts as WithdrawalParts
from sagakit.engine.workers.across.withdrawals import SharedWithdrawing, consumer_of
from sagakit.engine.workers.owning.assignment import declaration
from sagakit.engine.workers.owning.handover import Handover
from sagakit.engine.workers.owning.heart import Heart, Pulse
from sagakit.engine.workers.owning.introduction import introduce
from sagakit.engine.workers.owning.membership import Membership
from sagakit.engine.workers.owning.ownership import Ownership
from sagakit.engine.workers.owning.sharing import LimitSharing
from sagakit.engine.workers.owning.takeover import Takeover, Takeovers
from sagakit.engine.workers.waiting.interest import Interest
from sagakit.engine.workers.waiting.watching import SharedWatching
from sagakit.errors import TerminalError
from sagakit.ports import Chance, Cluster, Store

BEATS = 4
"""Signs of life within the time of a lease."""
POLL = 2_000_000
"""Microseconds between two looks for what notices should have told."""

_log = structlog.get_logger("sagakit.workers")


@dataclass(frozen=True)
class Parts:
    """The parts of an engine that work with others."""

    topology: Topology
    store: Store
    read: Reader
    lanes: Lanes
    runs: Runs
    timers: Timers
    committer: Committer
    limits: Limits
    chance: Chance
    die: Callable[[BaseException], None]


class Team:
    """Joins the parts that several engines on one store need."""

    def __init__(self, cluster: Cluster, engine: Parts) -> None:
        self.cluster = cluster
        self._engine = engine
        self._lanes = engine.lanes
        self.me = Worker(engine.chance.new_id(), lasts=int(engine.limits.lease * 1_000_000))
        """How this worker is known to the others; what is to be said of it is set before it starts."""
        self.works = True
        """Whether it claims anything; if not, it only sends."""
        self.heart_class = Heart
        """What gives its signs of life, if it gives them by itself."""
        self.beats_by_itself = not getattr(cluster, "by_hand", False)
        self.sharing = LimitSharing(engine.topology)
        self.notices = Notices(cluster, engine.die)
        self.ownership = Ownership(self._target)
        self.ownership.read_beside(BESIDE)
        self.foreign = Foreign(engine.topology)
        self.rerouting = Rerouting(cluster, engine.read, self.foreign, engine.committer.submit, engine.die)
        parts = (engine.store, cluster, engine.read, engine.lanes, engine.runs, engine.timers, self.submit)
        self.withdrawing = SharedWithdrawing(WithdrawalParts(*parts))
        self.withdrawing.ended = lambda command_id: self.notices.add(words.OVER, (command_id,))
        engine.runs.undos_apart = True
        self.interest = Interest(self.notices, engine.timers, engine.topology)
        self._pulse = Pulse(cluster, BEATS, engine.limits.lease / BEATS)
        self._heart: Heart | None = None
        self._pausing: asyncio.Task[None] | None = None

    def make_watching(self) -> Watching:
        """What those who wait and watch here are told by."""
        engine = self._engine
        in_memory = engine.lanes.deliveries
        return SharedWatching(engine.topology, engine.store, engine.timers, in_memory, self.cluster, self.interest)

    def join_operator(
        self,
        operator: SharedOperator,
        pauses: Pauses,
        parts: tuple[Router, Store, Chance, Lanes, Callable[[Draft], None], Watching],
    ) -> None:
        """A person's hands reach what others own."""
        self.operator, self._pauses = operator, pauses
        operator.join(
            Desk(*parts, self.ownership.here, self.has_code_for, self.interest.waits, self._engine.limits.lease)
        )

    def has_code_for(self, consumer: str) -> bool:
        """Whether some worker has; as long as it is not known who lives, some may."""
        members = self.membership.members
        return not members or any(one.partition("#")[0] == consumer for worker in members for one in worker.declares)

    def attach(self, recovery: Recovery, schedule: Schedule) -> None:
        """The parts that are made later."""
        engine, cluster, ownership = self._engine, self.cluster, self.ownership
        read, lanes = engine.read, engine.lanes
        self._recovery, self._schedule = recovery, schedule
        self.withdrawing.over_here = recovery.withdrawn
        self.takeovers = Takeovers(
            engine.store, read, ownership, recovery, lanes, engine.timers, engine.limits.page, self._bring
        )
        self.handover = Handover(cluster, read, ownership, lanes, engine.runs, recovery)
        self.arrivals = Arrivals(cluster, read, ownership, self.takeovers, self._arrived)
        within = engine.limits.hand_over_within
        self.membership = Membership(cluster, read, ownership, self.takeovers, self.handover, within)
        # each has a part of the load only, and the store is everybody's: fewer transactions, of more Commits
        engine.committer.gathers = lambda: not self.membership.alone
        self.membership.on_members = self._see
        self.catching_up = CatchingUp(engine.topology, cluster, read, ownership, self.membership, self.arrivals)
        self.rerouting.on_learnt = self.catching_up.others
        self.takeovers.arrivals_pass = self.arrivals.passed
        self.takeovers.through_arrivals = self.arrivals.through
        self.takeovers.on_live = self._live
        self.handover.on_free = self._gave
        self.arrivals.schedule = self.handover.schedule = schedule
        schedule.owned = self._owned_in_schedule
        for part in (self.takeovers, self.arrivals, self.membership):
            part.on_error = engine.die
        self._listen()

    def _listen(self) -> None:
        takers: dict[str, Callable[[Notice], None]] = {
            words.CAME: lambda notice: self._came(notice.about),
            words.WORKERS: lambda notice: self.membership.look(anew=True),
            words.LEAVING: lambda notice: self.membership.leaves(notice.sender),
            words.OVER: self._over,
            words.PAUSES: lambda notice: self._read_pauses(),
            words.STALE: self._stale,
        }
        for kind, taker in takers.items():
            self.notices.taken_by(kind, taker)

    # ------------------------------------------------------------------ living

    async def join(self) -> None:
        """Live from now on."""
        topology, me = self._engine.topology, self.me
        introduce(me, topology.app)
        taking = subscriptions(topology) if self.works else []
        if self.works:
            declared = sorted(levels(topology, (DOOR,)).items())
            me.declares = tuple(declaration(name, level, most_at_once(topology, name)) for name, level in declared)
        self._recovery.begin(topology)
        self.foreign.learn(await self.cluster.join(me, taking))
        self.membership.me = me.id
        self.cluster.listen(self.notices.came)

    async def begin(self) -> None:
        """Claim what is free, and tell the others."""
        self.notices.add(words.WORKERS)
        self.membership.look(anew=True)
        if self.beats_by_itself:
            every = self._engine.limits.lease / BEATS
            self._heart = self.heart_class(self._pulse, every, self.membership.saw, self._engine.die)
            self._heart.start()
            self._poll()

    async def beat(self) -> None:
        """One sign of life, where nobody gives it in a thread: of a clock that is moved by hand."""
        members, expelled = await self.cluster.renew(), await self.cluster.expel_expired()
        self.membership.saw(members, expelled)
        if expelled:
            self.notices.add(words.WORKERS)
        self.arrivals.look()

    def _poll(self) -> None:
        """What no notice has told is found all the same."""
        timers = self._engine.timers
        self.arrivals.look()
        self._read_pauses()
        timers.at(timers.clock.now() + POLL, self._poll)

    async def give_all(self, within: float) -> None:
        """This worker is about to end: everything to the others."""
        self.notices.add(words.LEAVING)
        try:
            await asyncio.wait_for(self.membership.give_all(within), within + 2 * GRACE)
        except TimeoutError:  # the store may be away
            _log.warning("not all was handed over: the others take it over once the lease has expired")

    async def stop(self) -> None:
        """Live no more."""
        if self._heart is not None:
            await self._heart.stop()
        if self._pausing is not None:  # a store that is closed would be asked for ever
            self._pausing.cancel()
        await self.membership.stop()
        await self.takeovers.stop()
        await self.arrivals.stop()
        await self.withdrawing.stop()
        await self.cluster.leave()
        self.notices.add(words.WORKERS)
        await self.notices.stop()

    @property
    def busy(self) -> bool:
        """Whether something is on the way between workers, as far as this one knows."""
        return self.takeovers.busy or self.moving

    @property
    def moving(self) -> bool:
        """The same, without what waits in the store until memory has room."""
        moving = self.membership.busy or self.takeovers.reading or self.handover.busy
        moving = moving or self._pausing is not None or self.withdrawing.busy
        return moving or self.arrivals.busy or self.notices.busy or self.rerouting.busy

    # ------------------------------------------------------------------ Commits

    def submit(self, draft: Draft) -> None:
        """Complete a draft with what other workers have to be told, and write it."""
        for delivery in draft.commit.deliveries:
            if delivery.partition < 0:
                delivery.partition = self._home_of(delivery)
        self.foreign.complete(draft)
        self._engine.committer.submit(draft)

    def settled(self, draft: Draft, result: Rejected | BaseException | None) -> bool:
        """Whether a Commit that was dropped is made again: it was routed by subscriptions that are not all."""
        if isinstance(result, Rejected) and result.what == "routing":
            self.catching_up.others()
            self.rerouting.again(draft)
            return True
        return False

    def committed(self, draft: Draft) -> None:
        """A Commit is durable: tell the others what is theirs."""
        away = dict.fromkeys(str(one.partition) for one in draft.commit.deliveries if not self.ownership.has(one))
        if away:
            self.notices.add(words.CAME, away)
            self.interest.goes_elsewhere(draft)
        self.interest.committed(draft)
        self.takeovers.written()
        if draft.commit.pauses or draft.commit.resumed:
            self.notices.add(words.PAUSES)
        if draft.at_door and draft.held:
            self._let_go(draft)

    def _let_go(self, draft: Draft) -> None:
        """An operator's action that was carried out here has had a hand in an instance of another worker."""
        for lane in draft.held:
            if not self.ownership.is_leased(self.ownership.home_of(lane)):
                self._lanes.forget(lane)
                self.notices.add(words.STALE, (lane.key,))

    def put(self, delivery: Delivery) -> None:
        """A delivery that is durable, into its lane if that is here."""
        if not self.ownership.leaves(delivery) and not self.takeovers.has_read(delivery.id):
            self._bring(delivery)

    def _home_of(self, delivery: Delivery) -> int:
        """Where a new delivery belongs. What has a lane of its own stays with who sent it, or here."""
        envelope = delivery.envelope
        if not delivery.lane.endswith(envelope.id):
            return partition(delivery.lane)
        counted = self.sharing.home_of(delivery)
        if counted is not None:
            return counted
        if envelope.sender is not None:
            return partition(envelope.sender)
        own, home = self.ownership.live.get(delivery.consumer), partition(delivery.lane)
        return home if not own or home in own else sorted(own)[home % len(own)]

    # ------------------------------------------------------------------ lanes

    def keeps_out(self, also: Callable[[str, str], bool] | None) -> Callable[[str, str], bool]:
        """Whether nothing may react in a lane of a process here, at once; `also`: another reason."""
        elsewhere = self.ownership.is_elsewhere
        if also is None:
            return elsewhere
        return lambda consumer, lane_key: elsewhere(consumer, lane_key) or also(consumer, lane_key)

    async def handles(self, lane: Lane) -> bool:
        """Whether the head of a lane is not handled by the engine's own handlers: at least not now."""
        if not lane.queue:
            return False
        if self.handover.busy and self.ownership.is_leaving(self.ownership.home_of(lane)):
            self.handover.leave_lane(lane)
            return True
        delivery = lane.queue[0]
        if delivery.consumer == WITHDRAW:
            self.withdrawing.withdraw(lane, delivery)
            return True
        if delivery.consumer == OPERATOR:
            await self.operator.carry_out(lane, delivery)
            return True
        return bool(delivery.envelope.undoes) and await self.withdrawing.holds(lane, delivery)

    def _bring(self, delivery: Delivery) -> None:
        lane = self._lanes.get(delivery.lane)
        lane.home = self.ownership.home_of_delivery(delivery)
        self._lanes.put(delivery)

    def _arrived(self, delivery: Delivery) -> None:
        self.interest.elsewhere.arrived(delivery.envelope.correlation_id)
        if delivery.consumer in BESIDE or self._recovery.claims(delivery):
            self._bring(delivery)

    def _target(self, delivery: Delivery) -> str:
        """The consumer whose owner a delivery is for."""
        if delivery.consumer not in BESIDE:
            return delivery.consumer
        if delivery.consumer == OPERATOR:
            return msgspec.json.decode(delivery.envelope.payload, type=OperatorAsked).consumer
        return consumer_of(delivery)

    # ------------------------------------------------------------------ what changes

    def _see(self, members: Sequence[Worker]) -> None:
        if len(members) > 1:
            self.catching_up.others()
        self.interest.saw({one.id for one in members})
        self.sharing.saw(self.me.id, members)

    def _came(self, about: Sequence[str]) -> None:
        numbers = {int(one) for one in about}
        if any(not numbers.isdisjoint(own) for own in self.ownership.arriving().values()):
            self.arrivals.look()

    def _over(self, notice: Notice) -> None:
        for command_id in notice.about:
            self.withdrawing.over(command_id)

    def _stale(self, notice: Notice) -> None:
        for key in notice.about:
            lane = self._lanes.find(key)
            if lane is not None and not lane.busy and lane.cache is not None:
                cache, lane.cache = lane.cache, None
                self._lanes.on_evict(cache)

    def _read_pauses(self) -> None:
        if self._pausing is None:
            self._pausing = asyncio.create_task(self._take_pauses(), name="sagakit pauses")

    async def _take_pauses(self) -> None:
        try:
            self._pauses.now(await self._engine.read(self._engine.store.read_pauses))
        except TerminalError as error:
            self._engine.die(error)
        finally:
            self._pausing = None

    def _live(self, takeover: Takeover) -> None:
        self._schedule.gained(suspect=bool(takeover.suspect))
        self.arrivals.look()

    def _gave(self) -> None:
        self.interest.moves()
        self.notices.add(words.WORKERS)

    @property
    def partitions(self) -> dict[str, int]:
        """How many partitions it owns, by its name."""
        return {self.me.name or self.me.host: sum(map(len, self._owned_in_schedule().values()))}

    def _owned_in_schedule(self) -> Owned:
        return self.ownership.live

    def fires(self, delivery: Delivery) -> bool:
        """Whether what is scheduled here is due here."""
        return self.ownership.here(delivery.consumer, partition_of(delivery))
