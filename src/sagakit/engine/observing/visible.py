"""What an engine shows of itself: whether it is at rest, whether it is ready, and what waits in it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from itertools import chain
from types import MappingProxyType

from sagakit.core.queries import Standing
from sagakit.engine.observing.standing import roles, stuck, system, waiting
from sagakit.engine.observing.store_answers import StoreAnswers
from sagakit.engine.running import Running
from sagakit.errors import StoreFailed, StoreUnusable


class Visible(Running):
    """Answers those who look at an engine."""

    _stuck: Mapping[str, int] = MappingProxyType({})
    """As of late: whoever waits for a person does so also while the store does not answer."""

    @cached_property
    def _answers(self) -> StoreAnswers:
        return StoreAnswers(self.store, self.clock, self._committer)

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

    async def look_ready(self) -> str | None:
        """As `ready`, once the store was asked whether it still answers, which one that hangs does not tell anybody."""
        await self._answers.ask()
        return self.ready()

    def ready(self) -> str | None:
        """None if messages are accepted and handled; else what stands in the way, as far as it is known by now."""
        if self.fatal is not None:
            return f"{type(self.fatal).__name__}: {self.fatal}"
        if self._door.closed is not None:
            return self._door.closed
        if self._recovery.stranded:
            return "nobody claims some messages: " + ", ".join(self._recovery.stranded)
        if self._committer.failure is not None:
            return str(self._committer.failure)
        trouble = self._answers.trouble()
        if trouble is not None:
            return trouble
        return None if self._links is None else self._links.ready()

    async def _close(self, *, clean: bool) -> None:
        self._answers.close()
        await super()._close(clean=clean)

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
        if await self._answers.ask():
            with suppress(StoreFailed, StoreUnusable):  # readiness says that the store is gone
                self._stuck = await stuck(self.store)
        unfinished = self._recovery.unfinished()
        return Standing(
            now=self.clock.now(),
            waiting=waiting(chain(self._lanes.deliveries(), self._schedule.deliveries())),
            unread=unfinished - self._lanes.unfinished,
            unfinished=unfinished,
            bound=self.limits.unfinished,
            running=self._services.calling,
            waiters=self._watching.waiters,
            stuck=self._stuck,
            ready=self.ready() is None,
            limited=self._throttle.waiting,
            partitions={} if self.team is None else self.team.partitions,
            behind={} if self._links is None else self._links.behind(),
        )
