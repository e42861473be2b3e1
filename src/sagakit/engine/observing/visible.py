"""What an engine shows of itself: whether it is at rest, whether it is ready, and what waits in it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

from sagakit.core.queries import Standing
from sagakit.engine.observing.standing import roles, stuck, system, waiting
from sagakit.engine.running import Running


class Visible(Running):
    """Answers those who look at an engine."""

    async def start(self) -> None:
        """Open the store and the providers, and go on with what is outstanding."""
        if self.observer is not None:
            self.observer.observe(self)
        await super().start()

    @property
    def idle(self) -> bool:
        """Whether nothing runs, waits to run or waits to be written; what is due later does not count."""
        still = self._lanes.idle and self._committer.idle and self._schedule.idle
        still = still and not self._runs.by_id and not self._recovery.reading
        return still and (self.team is None or not self.team.busy)

    @property
    def quiet(self) -> bool:
        """Whether all that runs are users' handlers: nothing can go on before one of them does."""
        still = self._lanes.working == self._services.calling and not self._lanes.waiting
        still = still and self._committer.idle and self._schedule.idle
        return still and (self.team is None or not self.team.moving)

    @property
    def next_due(self) -> int | None:
        """When the next retry, timer, timeout or wait is due."""
        return self._timers.next_due()

    def ready(self) -> str | None:
        """None if messages are accepted and handled; else what stands in the way."""
        if self.fatal is not None:
            return f"{type(self.fatal).__name__}: {self.fatal}"
        if self._door.closed is not None:
            return self._door.closed
        if self._recovery.stranded:
            return "nobody claims some messages: " + ", ".join(self._recovery.stranded)
        if self._committer.failure is not None:
            return str(self._committer.failure)
        return None if self._links is None else self._links.ready()

    # ------------------------------------------------------------------ what an observer may ask

    @property
    def roles(self) -> Mapping[str, str]:
        """What each consumer is: handler, listener, forwarder, aggregate, saga or process_manager."""
        return roles(self.topology)

    @property
    def system(self) -> str:
        """What its store is: sqlite, postgresql, memory."""
        return system(self.store)

    async def standing(self) -> Standing:
        """What waits, and for how long."""
        unfinished = self._recovery.unfinished()
        return Standing(
            now=self.clock.now(),
            waiting=waiting(chain(self._lanes.deliveries(), self._schedule.deliveries())),
            unread=unfinished - self._lanes.unfinished,
            unfinished=unfinished,
            bound=self.limits.unfinished,
            running=self._services.calling,
            waiters=self._watching.waiters,
            stuck=await stuck(self.store),
            ready=self.ready() is None,
            limited=self._throttle.waiting,
            partitions={} if self.team is None else self.team.partitions,
            behind={} if self._links is None else self._links.behind(),
        )
