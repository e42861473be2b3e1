"""Partitions that go to another worker: nothing new begins, what runs ends or is cancelled, then they are free."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from sagakit.core.cluster.members import Owned
from sagakit.engine.handlers.reading import Reader
from sagakit.engine.handlers.runs import Runs
from sagakit.engine.lanes.lane import Lane
from sagakit.engine.lanes.lanes import GRACE, Lanes
from sagakit.engine.recovery import Recovery
from sagakit.engine.time.schedule import Schedule
from sagakit.engine.workers.owning.ownership import Home, Ownership
from sagakit.ports import Cluster

GLANCE = 0.005
"""Seconds between two looks at what still runs."""

_log = structlog.get_logger("sagakit.workers")


class Handover:
    """Empties lanes, and gives their partitions back."""

    def __init__(
        self, cluster: Cluster, read: Reader, ownership: Ownership, lanes: Lanes, runs: Runs, recovery: Recovery
    ) -> None:
        self._cluster = cluster
        self._read = read
        self._ownership = ownership
        self._lanes = lanes
        self._runs = runs
        self._recovery = recovery
        self.schedule: Schedule | None = None
        self._suspect: set[Home] = set()
        self.on_free: Callable[[], None] = lambda: None
        self._under_way = 0

    @property
    def busy(self) -> bool:
        """Whether something is being handed over."""
        return bool(self._under_way)

    def leave_lane(self, lane: Lane) -> None:
        """Nothing of this lane stays here."""
        if self._recovery.give(lane):
            self._suspect.add(self._ownership.home_of(lane))
        self._lanes.forget(lane)

    async def give(self, given: Owned, within: float) -> None:
        """Hand these over. What still runs after so many seconds is cancelled: that is no attempt."""
        self._under_way += 1
        try:
            await self._give(given, within)
        finally:
            self._under_way -= 1

    async def _give(self, given: Owned, within: float) -> None:
        self._suspect |= self._ownership.unread(given)
        self._ownership.hand_over(given)
        if self.schedule is not None:
            self.schedule.lost()
        loop = asyncio.get_running_loop()
        until = loop.time() + within
        waiting = {(consumer, number) for consumer, numbers in given.items() for number in numbers}
        homes = ((lane, self._ownership.home_of(lane)) for lane in self._lanes.all())
        lanes = {lane: home for lane, home in homes if home in waiting}
        while waiting:
            lanes = self._leave_free(lanes)
            free = waiting.difference(lanes.values(), self._counted_on())
            if free:
                await self._release(free)
                waiting -= free
            elif loop.time() >= until:
                await self._interrupt(lanes)
                until = loop.time() + max(within, GRACE)  # whoever runs on all the same is looked at again
            else:
                await asyncio.sleep(GLANCE)

    def _leave_free(self, lanes: dict[Lane, Home]) -> dict[Lane, Home]:
        left: dict[Lane, Home] = {}
        for lane, home in lanes.items():
            if self._lanes.find(lane.key) is not lane:
                continue
            if self._lanes.is_free(lane) or self._recovery.waits_for_turn(lane):
                self.leave_lane(lane)
            else:
                left[lane] = home
        return left

    def _counted_on(self) -> set[Home]:
        firing = () if self.schedule is None else self.schedule.firing()
        return {self._ownership.home_of_delivery(one) for one in firing}

    async def _interrupt(self, lanes: dict[Lane, Home]) -> None:
        self._leave_waiting(lanes)
        stopped = self._lanes.interrupt(lanes)
        if not stopped:
            return
        _log.warning("what runs is cancelled: its partition goes to another worker", handlers=len(stopped))
        handled = {lane: lane.queue[0].envelope.id for lane in stopped.values() if lane.queue}
        await asyncio.wait(stopped, timeout=GRACE)
        for worker, lane in stopped.items():
            if lane not in handled or self._lanes.find(lane.key) is not lane:
                continue
            runs_on = self._lanes.is_handled_by(lane, worker)
            if not runs_on and not worker.cancelled():
                continue  # it has answered all the same: the Commit of that is under way, and frees its lane
            if runs_on or self._runs.runs(handled[lane]):  # in a thread: it ends when it ends
                self._suspect.add(lanes[lane])
            self.leave_lane(lane)

    def _leave_waiting(self, lanes: dict[Lane, Home]) -> None:
        """What waits for an attempt of its own that nobody can end goes without: as after a crash, that may still run.

        An undo goes nowhere before its do has ended.
        """
        for lane, home in lanes.items():
            if self._lanes.find(lane.key) is lane and lane.queue:
                run = self._runs.by_id.get(lane.queue[0].envelope.id)
                if run is not None and run.left_behind:
                    self._suspect.add(home)
                    self.leave_lane(lane)

    async def _release(self, homes: set[Home]) -> None:
        for clean in (True, False):
            part: dict[str, set[int]] = {}
            for consumer, number in homes:
                if ((consumer, number) not in self._suspect) is clean:
                    part.setdefault(consumer, set()).add(number)
            if part:
                await self._read(self._release_part, part, clean)
        for consumer, number in homes:
            self._ownership.gave(consumer, number)
        self._suspect -= homes
        self.on_free()

    async def _release_part(self, part: Owned, clean: bool) -> None:
        await self._cluster.release(part, clean=clean)
