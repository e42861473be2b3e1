"""Waiters and watchers of a worker: what concerns them may happen at any other one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Iterable
from contextlib import aclosing
from typing import Any

import structlog

from sagakit.core.commit import Delivery, Envelope
from sagakit.core.streams import instance_id
from sagakit.engine.draft import Draft
from sagakit.engine.time.timers import Timers
from sagakit.engine.topology import ProcessConsumer, Topology
from sagakit.engine.watching.looking_back import LookingBack
from sagakit.engine.watching.story import Story
from sagakit.engine.watching.story_watches import StoryWatches
from sagakit.engine.watching.updates import Update, Watcher
from sagakit.engine.watching.watching import Watching
from sagakit.engine.workers.waiting.afar import Afar
from sagakit.engine.workers.waiting.answered import Answered
from sagakit.engine.workers.waiting.interest import Interest, Types
from sagakit.errors import Refused, TerminalError
from sagakit.ports import Cluster, Store

_log = structlog.get_logger("sagakit.watching")


class SharedStoryWatches(StoryWatches):
    """Follows stories by looking them up."""

    follows = False


class SharedWatching(Watching):
    """Stands on looking things up: what other workers do is in the store, and in nobody's memory here."""

    follows = False

    def __init__(
        self,
        topology: Topology,
        store: Store,
        timers: Timers,
        in_memory: Callable[[], Iterable[Delivery]],
        cluster: Cluster,
        interest: Interest,
    ) -> None:
        self._cluster = cluster
        self._interest = interest
        super().__init__(topology, store, timers, in_memory)
        interest.awaited = lambda: [*self._stories.by_id, *self._of_instances.by_id]
        interest.asked = self._asked
        interest.news = self._news
        interest.answered = self._answered
        interest.failed = self._failed
        self._looks: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        """Where something came while it was looked at."""
        self._told: dict[str, int] = {}
        """Of stories that are watched: the position up to which that was told."""
        self._of_stories.on_caught_up = self._caught_up

    def _make_looking_back(self) -> LookingBack:
        return Afar(self._topology, self._store, self._reach, self._tracking, self._cluster)

    def _make_story_watches(self) -> StoryWatches:
        return SharedStoryWatches(self._stories, self._looking_back)

    def _asked(self, id: str) -> Collection[Types]:
        story = self._stories.by_id.get(id)
        if id in self._of_instances.by_id or (story is not None and story.watchers):
            return ((),)
        return () if story is None else [self._types(waiter.until) for waiter in story.waiters]

    def _types(self, until: tuple[type, ...]) -> Types:
        """The names of events; none of them if one has no name."""
        codecs = [self._topology.codecs.by_class.get(cls) for cls in until]
        names = tuple(codec.name for codec in codecs if codec is not None)
        return names if len(names) == len(codecs) else ()

    # ------------------------------------------------------------------ asking

    async def wait(self, correlation_id: str, until: tuple[type, ...], limit: float) -> Any:
        """An event of a story, which may have come already."""
        self._interest.waits(correlation_id, self._types(until))
        return await super().wait(correlation_id, until, limit)

    async def wait_for_end(self, process: ProcessConsumer, key: object, limit: float, *, begun: bool = True) -> Update:
        """The update that ended an instance. WaitTimeout after so many seconds. `begun`: NotFound if it has not."""
        self._interest.waits(instance_id(process.name, str(key)))
        return await super().wait_for_end(process, key, limit, begun=begun)

    async def watch(self, process: ProcessConsumer, key: object, after: str | None) -> AsyncGenerator[Update]:
        """Where an instance stands, or what came after a cursor; then every update, up to its end."""
        self._interest.waits(instance_id(process.name, str(key)))
        async with aclosing(super().watch(process, key, after)) as updates:
            async for update in updates:
                yield update

    async def watch_story(self, correlation_id: str, after: str | None) -> AsyncGenerator[Update]:
        """How a story stands, or what came after a cursor; then every message, until it has ended."""
        self._interest.waits(correlation_id)
        async with aclosing(super().watch_story(correlation_id, after)) as updates:
            async for update in updates:
                yield update

    # ------------------------------------------------------------------ being told

    def committed(self, draft: Draft) -> None:
        """A Commit of this worker is durable."""
        super().committed(draft)
        for id in dict.fromkeys(message.correlation_id for message in draft.commit.messages):
            story = self._stories.by_id.get(id)
            if story is not None and story.watchers:
                self._look_at(id)
        for delivery in draft.handled:
            story = self._stories.by_id.get(delivery.envelope.correlation_id)
            if story is not None and story.watchers:
                self._look_at(story.correlation_id)

    def _news(self, id: str) -> None:
        story = self._stories.by_id.get(id)
        if story is not None:
            for waiter in story.waiters:
                waiter.doubt(None)
        if (story is not None and story.watchers) or id in self._of_instances.by_id:
            self._look_at(id)

    def _answered(self, answered: Answered) -> None:
        codec = self._topology.codecs.by_name.get(answered.type)
        story = self._stories.by_id.get(answered.story)
        if codec is not None and story is not None and codec.cls in story.awaited:
            try:
                story.answer(codec.decode(bytes(answered.payload), answered.version))
            except TerminalError:  # it does not fit this code's class: who looks it up passes over it
                self._news(answered.story)

    def _failed(self, id: str, reason: str) -> None:
        story = self._stories.by_id.get(id)
        for waiter in () if story is None else story.waiters:
            waiter.fail(Refused(reason))

    def _caught_up(self, story: Story, watcher: Watcher) -> None:
        id = story.correlation_id
        if story.position < self._told.setdefault(id, story.position):  # another one has seen more than this one
            self._told[id] = story.position
            self._again.add(id)
            watcher.forget()
        if id in self._again and id not in self._looks:
            self._look_at(id)

    def _look_at(self, id: str) -> None:
        self._again.add(id)
        if id not in self._looks:
            self._looks[id] = asyncio.create_task(self._look_up(id), name="sagakit look")
            self._looks[id].add_done_callback(lambda task: self._looked_at(id, task))

    def _looked_at(self, id: str, task: asyncio.Task[None]) -> None:
        self._looks.pop(id, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.warning("who watches could not be told", error=str(error))  # the next look tells it
        elif id in self._again and id in self._told:
            self._look_at(id)

    async def _look_up(self, id: str) -> None:
        if id in self._of_instances.by_id:
            self._again.discard(id)
            await self._of_instances.look(id)
        story = self._stories.by_id.get(id)
        if story is None or not story.watchers:
            self._told.pop(id, None)
            self._again.discard(id)
        elif id in self._told:
            self._again.discard(id)
            await self._tell(story)

    async def _tell(self, story: Story) -> None:
        id = story.correlation_id
        told = self._told[id]
        now, _ = await self._looking_back.catch_up(story)
        messages: list[Envelope] = []
        async with aclosing(self._looking_back.read(id, told)) as found:
            async for message in found:
                if message.position <= now.position:
                    self._looking_back.message(message)
                    messages.append(message)
        if self._told[id] != told:  # one has come meanwhile who knows less: the next look tells all of them
            return
        self._told[id] = now.position
        now.watchers, now.told = story.watchers, story.told
        self._tracking.tell(now, messages)
        story.told = now.told
