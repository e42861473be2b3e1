"""What several engines share, drawn from a seed: leases that expire, words that get lost, Commits that come late."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextvars import copy_context

from sagakit.core.cluster.members import Claim, Lease, Notice, Owned, Routes, Unclaimed, Worker
from sagakit.core.commit import Commit, Delivery, Rejected, Subscription
from sagakit.engine.workers.owning.heart import Heart
from sagakit.errors import StoreFailed
from sagakit.ports import Cluster
from sagakit.stores.memory import MemoryStore
from sagakit.testing.simulation.drawn import DrawnStore
from sagakit.testing.simulation.stage import Stage


class LoopHeart(Heart):
    """Beats on the simulated loop: what freezes or kills the engine does so with its heart."""

    def start(self) -> None:
        """Begin to beat."""
        self._beating = asyncio.create_task(self._beat_on(), name="sagakit heart")

    async def stop(self) -> None:
        """Beat no more."""
        self._beating.cancel()
        await asyncio.gather(self._beating, return_exceptions=True)


class LateStore(MemoryStore):
    """Draws the ids of deliveries before it writes them, as a database does: others, with higher ids, may be there
    earlier. It also remembers who has written what."""

    def __init__(self, stage: Stage, life: int, late: Callable[[], Awaitable[None]]) -> None:
        super().__init__(stage.data, shared=True)
        self._stage = stage
        self._life = life
        self._late = late

    async def commit(self, commits: Sequence[Commit]) -> list[Rejected | None]:
        """Write each Commit that matches, with ids from before."""
        data, stage = self.data, self._stage
        first = data.delivered
        data.delivered += sum(len(commit.deliveries) for commit in commits)
        await self._late()
        alive = stage.is_alive(self._life)
        upto, data.delivered = data.delivered, first
        try:
            answers = await super().commit(commits)
        finally:
            data.delivered = upto
        for commit, answer in zip(commits, answers, strict=True):
            if answer is None:
                stage.wrote(self._life, alive, commit)
        return answers


class DrawnCluster:
    """A `Cluster` around that of the store in memory, with latency and faults; leases expire by the simulated time."""

    def __init__(
        self, cluster: Cluster, store: DrawnStore, stage: Stage, life: int, faulty: Callable[[], bool]
    ) -> None:
        self._cluster = cluster
        self._do = store.do
        self._stage = stage
        self._life = life
        self._faulty = faulty
        self._chance = stage.chance(f"words to {life}")
        self._me: Worker | None = None

    async def prepare(self) -> None:
        """Nothing to do in memory."""
        await self._do("prepare", self._cluster.prepare)

    async def join(self, me: Worker, subscriptions: Sequence[Subscription]) -> Routes:
        """Live from now on, for as long as the lease lasts."""

        async def join() -> Routes:
            routes = await self._cluster.join(me, subscriptions)
            self._me = me
            self._stage.lives[me.id] = self._life
            self._renewed()
            return routes

        return await self._do("join", join)

    async def renew(self) -> list[Worker]:
        """The lease lasts anew."""

        if self._life in self._stage.cut_off:
            raise StoreFailed("the heart's own connection is gone")

        async def renew() -> list[Worker]:
            workers = await self._cluster.renew()
            self._renewed()
            return workers

        return await self._do("renew", renew)

    async def expel_expired(self) -> list[str]:
        """Expel those whose time is over."""

        async def expel() -> list[str]:
            stage = self._stage
            now = stage.loop.micros()
            for id in [id for id, until in stage.leases.items() if until < now]:
                stage.data.expire(id)
                del stage.leases[id]
            expelled = await self._cluster.expel_expired()
            for id in expelled:
                stage.expelled(id)
            return expelled

        return await self._do("expel_expired", expel)

    async def leave(self) -> None:
        """Live no more."""

        async def leave() -> None:
            await self._cluster.leave()
            if self._me is not None:
                self._stage.leases.pop(self._me.id, None)
                self._stage.left.add(self._life)
                self._me = None

        await self._do("leave", leave)

    async def workers(self) -> list[Worker]:
        """All who live."""
        return await self._do("workers", self._cluster.workers)

    async def leases(self) -> list[Lease]:
        """Who owns what."""
        return await self._do("leases", self._cluster.leases)

    async def read_unclaimed(self) -> list[Unclaimed]:
        """Consumers that nobody declares and for which deliveries are outstanding."""
        return await self._do("read_unclaimed", self._cluster.read_unclaimed)

    async def claim(self, wanted: Owned) -> list[Claim]:
        """Those that nobody else owns."""
        return await self._do("claim", lambda: self._cluster.claim(wanted))

    async def release(self, given: Owned, *, clean: bool) -> None:
        """These are not this worker's any more."""
        await self._do("release", lambda: self._cluster.release(given, clean=clean))

    async def read_arrivals(self, owned: Owned) -> list[Delivery]:
        """What others have written."""
        return await self._do("read_arrivals", lambda: self._cluster.read_arrivals(owned))

    async def find_delivery(self, position: int) -> Delivery | None:
        """The outstanding delivery to a command's handler."""
        return await self._do("find_delivery", lambda: self._cluster.find_delivery(position))

    async def read_outstanding(self, correlation_id: str) -> list[Delivery]:
        """The outstanding deliveries of a story."""
        return await self._do("read_outstanding", lambda: self._cluster.read_outstanding(correlation_id))

    async def withdrawing(self, message_ids: Collection[str]) -> set[str]:
        """Those of these messages that are still being withdrawn."""
        return await self._do("withdrawing", lambda: self._cluster.withdrawing(message_ids))

    async def read_routes(self) -> Routes:
        """The subscriptions as they are now."""
        return await self._do("read_routes", self._cluster.read_routes)

    # ------------------------------------------------------------------ words

    def listen(self, on_notice: Callable[[Notice], None]) -> None:
        """Some words are lost, some come late; what they lead to is the listener's, not the sender's."""
        mine = copy_context()

        def hear(notice: Notice) -> None:
            profile = self._stage.profile
            if self._chance.random() < profile.deaf:  # also when nothing fails any more: nobody relies on words
                self._stage.note(f"{self._life} does not hear {notice.kind}")
                return
            delay = self._chance.uniform(0.0, profile.slow_words) if self._faulty() else 0.0
            self._stage.loop.call_later(delay, listens, notice, context=mine)

        def listens(notice: Notice) -> None:
            if self._me is not None:
                on_notice(notice)

        self._cluster.listen(hear)

    async def notify(self, notices: Sequence[Notice]) -> None:
        """Send these."""
        await self._cluster.notify(notices)

    def _renewed(self) -> None:
        if self._me is not None:
            self._stage.leases[self._me.id] = self._stage.loop.micros() + self._me.lasts
