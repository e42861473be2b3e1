"""The stories that somebody waits for or watches, kept up to date by each Commit."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable

from sagakit.core.commit import Commit, Delivery, Envelope, Instance
from sagakit.engine.draft import Draft
from sagakit.engine.watching.reach import Reach
from sagakit.engine.watching.story import Story, Waiter
from sagakit.engine.watching.updates import Update, Watcher
from sagakit.engine.watching.verdicts import Handled, failure_of, failure_of_parked, judge
from sagakit.errors import Stopping


class News:
    """What one Commit brings about in one story."""

    __slots__ = ("failure", "handled", "messages")

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.handled: list[Handled] = []
        self.messages: list[Envelope] = []


class Stories:
    """Stories by correlation id. Nothing is kept of a story that nobody asks for."""

    def __init__(self, reach: Reach, in_memory: Callable[[], Iterable[Delivery]]) -> None:
        self._reach = reach
        self._in_memory = in_memory
        self._stories: dict[str, Story] = {}
        self._by_delivery: dict[int, Story] = {}
        self._by_instance: dict[str, list[Story]] = {}
        self._scan: asyncio.Future[None] | None = None
        self._read: asyncio.Future[None] | None = None
        self.ended: str | None = None
        """Why nobody is told anything any more."""
        self.reading = False
        """Whether deliveries wait in the store unread: what is in memory is not all."""

    def __bool__(self) -> bool:
        return bool(self._stories)

    def get(self, correlation_id: str, *, new: bool = False) -> Story:
        """The story of this id; `new`: nothing of it was there before."""
        story = self._stories.get(correlation_id)
        if story is None:
            story = self._stories[correlation_id] = Story(correlation_id, self._reach, new=new)
        return story

    def leave(self, story: Story) -> None:
        """Somebody waits or watches no longer."""
        if story.waiters or story.watchers or self._stories.get(story.correlation_id) is not story:
            return
        del self._stories[story.correlation_id]
        for id in story.deliveries:
            del self._by_delivery[id]
        for id in story.instances:
            sharing = self._by_instance[id]
            sharing.remove(story)
            if not sharing:
                del self._by_instance[id]

    def end(self, why: str) -> None:
        """Those who wait are told nothing more."""
        self.ended = self.ended or why
        for story in self._stories.values():
            for waiter in story.waiters:
                waiter.fail(Stopping(why))

    def end_watches(self, why: str) -> None:
        """Those who watch are told nothing more."""
        for story in self._stories.values():
            for watcher in story.watchers:
                watcher.fail(Stopping(why))

    # ------------------------------------------------------------------ what was there before

    async def scan(self, story: Story) -> None:
        """Find the deliveries of a story that are under way; one look serves all who ask at the same time."""
        if story.scanned or self.reading:
            return
        if self._scan is None:
            self._scan = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(self._look)
        await asyncio.shield(self._scan)

    def read_all(self) -> None:
        """All deliveries are in memory from now on."""
        self.reading = False
        if self._stories:
            self._look()
        if self._read is not None:
            self._read.set_result(None)
            self._read = None

    async def until_read(self, waiter: Waiter) -> None:
        """Wait until all deliveries are in memory, or somebody waits no longer."""
        if self.reading:
            self._read = self._read or asyncio.get_running_loop().create_future()
            await asyncio.wait((self._read, waiter.future), return_when=asyncio.FIRST_COMPLETED)
        await self.scan(waiter.story)

    def _look(self) -> None:
        sought = {story.correlation_id: story for story in self._stories.values() if not story.scanned}
        if sought and not self.reading:
            for delivery in self._in_memory():
                story = sought.get(delivery.envelope.correlation_id)
                if story is not None:
                    self._add(story, delivery)
                    if delivery.state == "parked":
                        story.failure = failure_of_parked(delivery, delivery.error)
            for story in sought.values():
                story.scanned = True
                judge(story)
                self._tell(story, [])
        scan, self._scan = self._scan, None
        if scan is not None and not scan.done():
            scan.set_result(None)

    def found(self, story: Story, row: Instance, failure: Exception | None) -> None:
        """An instance of a story, as the store has it. What a Commit has told of it meanwhile is newer."""
        if row.id not in story.instances:
            self._stands(story, row)
            story.failure = story.failure or failure

    # ------------------------------------------------------------------ what a Commit changes

    def committed(self, draft: Draft) -> None:
        """A Commit is durable: tell those whom it concerns."""
        commit, news = draft.commit, defaultdict[Story, News](News)
        for envelope in commit.messages:
            story = self._stories.get(envelope.correlation_id)
            if story is not None:
                self._message(story, envelope)
                news[story].messages.append(envelope)
        self._deliveries(commit, news)
        self._instances(commit, news)
        for failed in draft.stories:
            story = self._stories.get(failed.correlation_id)
            if story is not None:
                news[story].failure = failed.error
        for story, new in news.items():
            story.failure = new.failure or story.failure
            judge(story, failure=new.failure, handled=new.handled)
            self._tell(story, new.messages)

    def _message(self, story: Story, envelope: Envelope) -> None:
        story.position = envelope.position
        for waiter in story.waiters:
            if envelope.message.__class__ in waiter.until:
                waiter.answer(envelope.message)

    def _deliveries(self, commit: Commit, news: defaultdict[Story, News]) -> None:
        for fence in commit.done:
            story = self._by_delivery.pop(fence.delivery, None)
            if story is not None:
                delivery, reach = story.finish(fence.delivery)
                told, command = news[story], delivery.envelope
                if command.kind == "command" and command.sender is None:  # else its process says what it makes of it
                    told.handled.append(Handled(command.type, reach, _outcome(command, commit)))
        for id in commit.withdrawn:
            story = self._by_delivery.pop(id, None)
            if story is not None:
                story.finish(id)
                news[story]
        for change in commit.changes:
            story = self._by_delivery.get(change.fence.delivery)
            if story is not None:
                delivery = story.change(change.fence.delivery, parked=change.state == "parked")
                if change.state == "parked":
                    news[story].failure = failure_of_parked(delivery, change.error)
        for delivery in commit.deliveries:
            story = self._stories.get(delivery.envelope.correlation_id)
            if story is not None and delivery.state != "scheduled":
                self._add(story, delivery)
                if delivery.state == "parked":
                    news[story].failure = failure_of_parked(delivery, delivery.error)

    def _instances(self, commit: Commit, news: defaultdict[Story, News]) -> None:
        joining: dict[str, Story] = {}
        for reaction in commit.reactions:
            story = self._stories.get(reaction.inputs[0].correlation_id)
            if story is not None:
                joining[reaction.instance.id] = story
        if not joining and not self._by_instance:
            return
        for write in commit.instances:
            id = write.row.id
            concerned = {*self._by_instance.get(id, ()), *((joining[id],) if id in joining else ())}
            for story in concerned:
                self._stands(story, write.row)
                news[story]
        for search in commit.search:
            failure = failure_of(search)
            if failure is not None:
                for story in self._by_instance.get(search.instance, ()):
                    news[story].failure = failure

    def _add(self, story: Story, delivery: Delivery) -> None:
        story.add(delivery)
        self._by_delivery[delivery.id] = story

    def _stands(self, story: Story, row: Instance) -> None:
        if row.id not in story.instances:
            self._by_instance.setdefault(row.id, []).append(story)
        story.stands(row)

    def _tell(self, story: Story, messages: list[Envelope]) -> None:
        if not story.watchers:
            return
        before, story.told = story.told, story.status
        for envelope in messages:
            # only the last update says that there is an end
            status = story.told if envelope is messages[-1] else "running"
            update = Update(status, envelope.type, envelope.message, str(envelope.position))
            _tell_all(story.watchers, envelope.position, update)
        if not messages and story.told != before:
            _tell_all(story.watchers, story.position, Update(story.told, "", None, str(story.position)))


def _outcome(command: Envelope, commit: Commit) -> list[Envelope]:
    """The events of a command; one with a sender is none of them: a process that it started has published it."""
    id = command.id
    return [one for one in commit.messages if one.causation_id == id and one.kind == "event" and one.sender is None]


def _tell_all(watchers: Iterable[Watcher], position: int, update: Update) -> None:
    for watcher in watchers:
        watcher.tell(position, update)
