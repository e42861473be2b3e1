"""What a story has come to where it goes on at several workers: no memory knows all of it, so the store is asked."""

from __future__ import annotations

from collections.abc import Sequence

from sagakit.core.commit import Envelope
from sagakit.engine.topology import Topology
from sagakit.engine.watching.looking_back import LookingBack
from sagakit.engine.watching.reach import Reach
from sagakit.engine.watching.story import Story, Waiter
from sagakit.engine.watching.tracking import Tracking
from sagakit.engine.watching.verdicts import Handled, failure_of, failure_of_parked, judge, refusal
from sagakit.ports import Cluster, Store


class Afar(LookingBack):
    """Looks a whole story up. What changed while it was looked at is noticed by its newest message: then once more."""

    def __init__(self, topology: Topology, store: Store, reach: Reach, tracking: Tracking, cluster: Cluster) -> None:
        super().__init__(topology, store, reach, tracking)
        self._cluster = cluster

    async def answer(self, waiter: Waiter) -> None:
        """Tell one who waits what has come already, or why it cannot come any more."""
        while not waiter.settled:
            story = Story(waiter.story.correlation_id, self._reach)
            story.track()
            handled = await self._look_through(story, waiter)
            if handled is None:
                return
            if not await self._has_moved(story):
                story.waiters = [waiter]
                waiter.looking_back = False
                self.judge(story, waiter, handled)
                return

    def judge(self, story: Story, waiter: Waiter, handled: Sequence[Handled]) -> None:
        """Tell one who waits in vain; also where the first command was handled and has led to nothing at all."""
        ended = self._ended(waiter, handled)
        if not ended and len(handled) == 1 and not handled[0].events and not [*story.deliveries, *story.instances]:
            ended = list(handled)
        judge(story, failure=story.failure or refusal(waiter, ended[-1:]))

    async def catch_up(self, story: Story) -> tuple[Story, Envelope | None]:
        """Learn how a story stands now. Returns what was found, which nobody keeps up to date, and its first message.

        Several may look at the same time, and leave in the middle: each finds what it finds for itself.
        """
        while True:
            now = Story(story.correlation_id, self._reach)
            now.track()
            _, first = await super().catch_up(now)
            if not await self._has_moved(now):
                return now, first

    async def _find(self, story: Story, found: dict[str, bool]) -> None:
        # before the instances: what is handled meanwhile has led to one of them
        for delivery in await self._cluster.read_outstanding(story.correlation_id):
            story.add(delivery)
            if delivery.state == "parked":
                story.failure = failure_of_parked(delivery, delivery.error)
        for id, took in found.items():
            row, search = await self._store.read_instance(id), await self._store.read_search(id)
            if row is not None and search is not None and (took or search.correlation_id == story.correlation_id):
                story.stands(row)
                story.failure = story.failure or failure_of(search)
        story.scanned = story.looked_back = True

    async def _has_moved(self, story: Story) -> bool:
        return bool(await self._store.read_story(story.correlation_id, after=story.position, limit=1))
