"""What the doors offer to those who wait and those who watch. Nobody polls: each Commit tells whom it concerns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from typing import Any

import structlog

from sagakit.core.commit import Delivery
from sagakit.engine.committer import FIRST_PAUSE
from sagakit.engine.draft import Draft
from sagakit.engine.time.timers import Timer, Timers
from sagakit.engine.topology import ProcessConsumer, Topology
from sagakit.engine.watching.instances import InstanceWatches
from sagakit.engine.watching.looking_back import LookingBack
from sagakit.engine.watching.reach import Reach
from sagakit.engine.watching.stories import Stories
from sagakit.engine.watching.story import Waiter
from sagakit.engine.watching.story_watches import StoryWatches
from sagakit.engine.watching.tracking import Tracking
from sagakit.engine.watching.updates import Update
from sagakit.errors import Stopping, StoreFailed, WaitTimeout
from sagakit.ports import Store

MICROSECONDS = 1_000_000

_log = structlog.get_logger("sagakit.watching")


class Watching:
    """Waiters and watchers of one engine."""

    follows = True
    """Whether what is under way in a story can be followed in memory."""

    def __init__(
        self, topology: Topology, store: Store, timers: Timers, in_memory: Callable[[], Iterable[Delivery]]
    ) -> None:
        self._topology, self._store = topology, store
        self._reach = Reach(topology)
        self._timers = timers
        self._tracking = Tracking(in_memory)
        self._stories = Stories(self._reach, self._tracking)
        self._looking_back = self._make_looking_back()
        self._of_stories = self._make_story_watches()
        self._of_instances = InstanceWatches(store, topology.codecs)

    def _make_looking_back(self) -> LookingBack:
        return LookingBack(self._topology, self._store, self._reach, self._tracking)

    def _make_story_watches(self) -> StoryWatches:
        return StoryWatches(self._stories, self._looking_back)

    # ------------------------------------------------------------------ what the engine tells

    def __bool__(self) -> bool:
        return bool(self._stories.by_id or self._of_instances.by_id)

    @property
    def waiters(self) -> int:
        """Who waits for an outcome, or watches."""
        return self._stories.waiters + self._of_instances.watchers

    def committed(self, draft: Draft) -> None:
        """A Commit is durable: tell those whom it concerns."""
        try:
            if self._stories.by_id:
                self._stories.committed(draft)
            if self._of_instances.by_id:
                self._of_instances.committed(draft.commit)
        except Exception:  # a bug in here must not keep the Commit from being settled
            _log.exception("those who wait could not be told")

    def reading(self, reading: bool) -> None:
        """Whether deliveries wait in the store unread."""
        if reading:
            self._tracking.reading = True
        else:
            self._tracking.read_all()

    def end_watches(self, why: str) -> None:
        """Those who watch are told nothing more; those who wait for an event are."""
        self._of_stories.end(why)
        self._of_instances.end(why)

    def end(self, why: str) -> None:
        """Nothing will be told any more."""
        self._stories.end(why)
        self.end_watches(why)

    # ------------------------------------------------------------------ waiting

    def expect(self, correlation_id: str, until: tuple[type, ...], *, new: bool = False) -> Waiter:
        """Wait for an event of a story from now on, until `leave`. `new`: before its first message is sent."""
        if self._stories.ended is not None:
            raise Stopping(self._stories.ended)
        followed = self.follows and (not new or self._tracking.reading)
        story = self._stories.get(correlation_id, tracked=followed)
        if new and story.tracked:  # what is in memory is not all for now: so it is followed from its birth
            story.scanned = story.looked_back = True
        return story.wait(until, looking_back=not new)

    def leave(self, waiter: Waiter) -> None:
        """Nobody waits for this any more."""
        waiter.story.waiters.remove(waiter)
        self._stories.leave(waiter.story)

    async def wait(self, correlation_id: str, until: tuple[type, ...], limit: float) -> Any:
        """An event of a story, which may have come already."""
        waiter = self.expect(correlation_id, until)
        try:
            await self._looking_back.answer(waiter)
            return await self.outcome(waiter, limit)
        finally:
            self.leave(waiter)

    async def outcome(self, waiter: Waiter, limit: float) -> Any:
        """What a waiter is told. WaitTimeout after so many seconds."""

        def late() -> None:
            waiter.fail(WaitTimeout(f"no {waiter.wanted} within {limit:g} s; it may still come"))

        timer, looking = self._in(limit, late), None
        try:
            while not waiter.settled:
                if waiter.doubtful or (waiter.looking_back and looking is None):
                    waiter.doubtful, waiter.looking_back = False, True
                    looking = asyncio.create_task(self._look(waiter), name="sagakit look")
                await waiter.news()
            return waiter.result()
        finally:
            timer.cancel()
            if looking is not None:
                looking.cancel()

    async def _look(self, waiter: Waiter) -> None:
        """Find out whether it may still come."""
        self._stories.get(waiter.story.correlation_id, tracked=self.follows)
        while waiter.looking_back and not waiter.settled:
            await self._tracking.until_read()
            try:
                await self._looking_back.answer(waiter)
            except StoreFailed:
                again = asyncio.Event()
                self._in(FIRST_PAUSE / MICROSECONDS, again.set)
                await again.wait()
            except Exception as error:  # it cannot be found out: better told than waited for
                waiter.fail(error)

    async def wait_for_end(self, process: ProcessConsumer, key: object, limit: float, *, begun: bool = True) -> Update:
        """The update that ended an instance. WaitTimeout after so many seconds. `begun`: NotFound if it has not."""
        watcher = self._of_instances.subscribe(process, key)

        def late() -> None:
            watcher.fail(WaitTimeout(f"{process.name} {str(key)!r} has not ended within {limit:g} s"))

        timer = self._in(limit, late)
        try:
            if not begun:
                await self._of_instances.begins(watcher, process, key)
            async with aclosing(self._of_instances.follow(watcher, process, key, None)) as updates:
                last = await anext(updates)
                async for update in updates:
                    last = update
                return last
        finally:
            timer.cancel()
            watcher.leave()

    def _in(self, limit: float, call: Callable[[], None]) -> Timer:
        return self._timers.at(self._timers.clock.now() + int(limit * MICROSECONDS), call)

    # ------------------------------------------------------------------ watching

    async def watch(self, process: ProcessConsumer, key: object, after: str | None) -> AsyncGenerator[Update]:
        """Where an instance stands, or what came after a cursor; then every update, up to its end."""
        watcher = self._of_instances.subscribe(process, key)
        try:
            async with aclosing(self._of_instances.follow(watcher, process, key, after)) as updates:
                async for update in updates:
                    yield update
        finally:
            watcher.leave()

    async def watch_story(self, correlation_id: str, after: str | None) -> AsyncGenerator[Update]:
        """How a story stands, or what came after a cursor; then every message, until it has ended."""
        watcher = self._of_stories.subscribe(correlation_id)
        try:
            async with aclosing(self._of_stories.follow(watcher, correlation_id, after)) as updates:
                async for update in updates:
                    yield update
        finally:
            watcher.leave()
