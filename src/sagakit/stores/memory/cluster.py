"""Several engines on one store in memory: the same rules as in a database, for tests and the simulation."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from copy import copy

from msgspec.structs import replace

from sagakit.core.cluster.members import BESIDE, WITHDRAW, Claim, Lease, Notice, Owned, Routes, Unclaimed, Worker
from sagakit.core.commit import Commit, Delivery, Rejected, Subscription
from sagakit.core.streams import partition_of
from sagakit.errors import LeaseLost, StoreFailed
from sagakit.stores.memory.data import MemoryData, whole


class MemoryCluster:
    """The workers of one `MemoryData`. A lease never expires by itself: `MemoryData.expire` says whose does."""

    by_hand = True
    """Leases need no renewing."""

    def __init__(self, data: MemoryData) -> None:
        self._data = data
        self.me: str | None = None
        """The worker that has joined here."""
        self._routing = 0
        self._read = 0
        """How much of what was written is read."""
        self._loop: asyncio.AbstractEventLoop | None = None

    # ------------------------------------------------------------------ members

    async def prepare(self) -> None:
        """Memory needs nothing."""

    async def join(self, me: Worker, subscriptions: Sequence[Subscription]) -> Routes:
        """Live from now on, and subscribe."""
        data = self._data
        data.time += 1
        self.me, self._read = me.id, len(data.written)
        data.workers[me.id] = replace(me, joined_at=data.time, renewed_at=data.time, expires_at=data.time + me.lasts)
        data.asked[me.id] = {(one.consumer, one.type) for one in subscriptions}
        new = [one for one in subscriptions if (one.consumer, one.type) not in data.subscriptions]
        for one in new:
            data.subscriptions[one.consumer, one.type] = replace(one, since=one.since or len(data.messages))
            data.routed_for[one.consumer, one.type] = me.app
        if me.declares:
            wanted = {one for worker in data.workers for one in data.asked.get(worker, ())}
            for one in [one for one, app in data.routed_for.items() if app == me.app and one not in wanted]:
                del data.subscriptions[one], data.routed_for[one]
        if new or len(data.workers) > 1:  # the others learn of this one with their next Commit
            data.routing += 1
        return await self.read_routes()

    async def renew(self) -> list[Worker]:
        """My lease lasts anew; all who live."""
        mine = self._mine()
        self._data.time += 1
        mine.renewed_at, mine.expires_at = self._data.time, self._data.time + mine.lasts
        return await self.workers()

    async def expel_expired(self) -> list[str]:
        """Expel those whose lease has expired."""
        self._mine()
        expelled = [id for id in self._data.expired if id in self._data.workers]
        self._data.expired.clear()
        for id in expelled:
            self._forget(id)
        return expelled

    async def leave(self) -> None:
        """Live no more."""
        if self.me in self._data.workers:
            self._forget(self.me)
        self._data.listeners.pop(self.me or "", None)

    async def workers(self) -> list[Worker]:
        """All who live."""
        return sorted((copy(one) for one in self._data.workers.values()), key=lambda one: (one.joined_at, one.id))

    def _mine(self) -> Worker:
        mine = self._data.workers.get(self.me or "")
        if mine is None:
            raise LeaseLost(f"the lease of worker {self.me} has expired: others go on with what it owned")
        return mine

    def _forget(self, id: str) -> None:
        del self._data.workers[id]
        self._data.asked.pop(id, None)
        for at, lease in list(self._data.leases.items()):
            if lease.worker == id:
                self._data.leases[at] = replace(lease, worker=None, clean=False)

    # ------------------------------------------------------------------ partitions

    async def leases(self) -> list[Lease]:
        """Who owns what."""
        leases = self._data.leases
        return [replace(lease, clean=lease.clean and lease.worker is None) for _, lease in sorted(leases.items())]

    async def read_unclaimed(self) -> list[Unclaimed]:
        """Consumers that no living worker declares and for which deliveries are outstanding."""
        declared = {one.partition("#")[0] for worker in self._data.workers.values() for one in worker.declares}
        waiting = Counter(one.consumer for one in self._data.deliveries.values())
        return [Unclaimed(*one) for one in sorted(waiting.items()) if one[0] not in (*BESIDE, *declared)]

    async def claim(self, wanted: Owned) -> list[Claim]:
        """Those that nobody else owns."""
        me, leases = self._mine().id, self._data.leases
        claims: list[Claim] = []
        for consumer, partitions in sorted(wanted.items()):
            for partition in sorted(partitions):
                known = leases.get((consumer, partition))
                if known is None or known.worker in (None, me):
                    clean = known is None or known.clean
                    claims.append(Claim(consumer, partition, clean))
                    leases[consumer, partition] = Lease(consumer, partition, me, clean)
        return claims

    async def release(self, given: Owned, *, clean: bool) -> None:
        """These are not mine any more."""
        me, leases = self._mine().id, self._data.leases
        for consumer, partitions in given.items():
            for partition in partitions:
                known = leases.get((consumer, partition))
                if known is not None and known.worker == me:
                    leases[consumer, partition] = Lease(consumer, partition, None, clean)

    # ------------------------------------------------------------------ what others have written

    async def read_arrivals(self, owned: Owned) -> list[Delivery]:
        """What others have written into these partitions."""
        self._mine()
        since, self._read = self._read, len(self._data.written)
        ids = sorted(id for id, by in self._data.written[since:] if by != self.me)
        found = (one for id in ids if (one := self._data.deliveries.get(id)) is not None)
        return [whole(one) for one in found if partition_of(one) in owned.get(one.consumer, ())]

    async def find_delivery(self, position: int) -> Delivery | None:
        """The outstanding delivery to a command's handler."""
        for one in self._data.deliveries.values():
            if one.envelope.position == position and one.consumer != WITHDRAW:
                return whole(one)
        return None

    async def read_outstanding(self, correlation_id: str) -> list[Delivery]:
        """The outstanding deliveries of a story."""
        found = (one for one in self._data.deliveries.values() if one.envelope.correlation_id == correlation_id)
        return [whole(one) for one in found if one.state != "scheduled"]

    async def withdrawing(self, message_ids: Collection[str]) -> set[str]:
        """Those of these messages that are still being withdrawn."""
        found = {one.envelope.id for one in self._data.deliveries.values() if one.consumer == WITHDRAW}
        return found.intersection(message_ids)

    # ------------------------------------------------------------------ routes and Commits

    async def read_routes(self) -> Routes:
        """The subscriptions as they are now."""
        subscriptions = self._data.subscriptions
        self._routing = self._data.routing
        return Routes(self._data.routing, tuple(subscriptions[one] for one in sorted(subscriptions)))

    def check(self) -> None:
        """Raise LeaseLost if nothing can be written any more."""
        self._mine()

    def stale(self, commit: Commit) -> Rejected | None:
        """Whether a Commit was routed by subscriptions that are not all."""
        if commit.routing and commit.routing != self._data.routing:
            return Rejected("conflict", "routing")
        return None

    def wrote(self, deliveries: Iterable[Delivery]) -> None:
        """These are written."""
        assert self.me is not None
        self._data.written.extend((one.id, self.me) for one in deliveries)

    # ------------------------------------------------------------------ notices

    def listen(self, on_notice: Callable[[Notice], None]) -> None:
        """Call this with each notice of others."""
        if self.me is None:
            raise StoreFailed("nobody has joined")
        self._data.listeners[self.me] = on_notice

    async def notify(self, notices: Sequence[Notice]) -> None:
        """Tell the others."""
        loop = asyncio.get_running_loop()
        for id, listener in list(self._data.listeners.items()):
            for notice in notices:
                if id != self.me and notice.to in (None, id):
                    loop.call_soon(listener, replace(notice, sender=self.me or ""))
