"""What is under way in the stories that have to be followed: where somebody watches, asks after the fact, or doubts."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable

from sagakit.core.commit import Commit, Delivery, Envelope, Instance
from sagakit.core.lifecycle import HANDED_OVER
from sagakit.engine.draft import Draft
from sagakit.engine.watching.story import Story
from sagakit.engine.watching.updates import Update, Watcher
from sagakit.engine.watching.verdicts import Handled, failure_of, failure_of_parked, judge, outcome_in


class News:
    """What one Commit brings about in one story."""

    __slots__ = ("failure", "handled", "messages")

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.handled: list[Handled] = []
        self.messages: list[Envelope] = []


class Tracking:
    """Tracked stories by correlation id, kept up to date by each Commit."""

    def __init__(self, in_memory: Callable[[], Iterable[Delivery]]) -> None:
        self._in_memory = in_memory
        self.by_id: dict[str, Story] = {}
        self._by_delivery: dict[int, Story] = {}
        self._by_instance: dict[str, list[Story]] = {}
        self._scan: asyncio.Future[None] | None = None
        self._read: asyncio.Future[None] | None = None
        self.reading = False
        """Whether deliveries wait in the store unread: what is in memory is not all."""

    def begin(self, story: Story) -> None:
        """Follow a story from now on. What was under way before is found by `scan` and `found`."""
        story.track()
        self.by_id[story.correlation_id] = story

    def end(self, story: Story) -> None:
        """Nobody needs it any more."""
        del self.by_id[story.correlation_id]
        for id in story.deliveries:
            del self._by_delivery[id]
        for id in story.instances:
            sharing = self._by_instance[id]
            sharing.remove(story)
            if not sharing:
                del self._by_instance[id]

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
        if self.by_id:
            self._look()
        if self._read is not None:
            self._read.set_result(None)
            self._read = None

    async def until_read(self) -> None:
        """Wait until all deliveries are in memory."""
        if self.reading:
            self._read = self._read or asyncio.get_running_loop().create_future()
            await asyncio.shield(self._read)

    def _look(self) -> None:
        sought = {story.correlation_id: story for story in self.by_id.values() if not story.scanned}
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
                self.tell(story, [])
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
            story = self.by_id.get(envelope.correlation_id)
            if story is not None:
                news[story].messages.append(envelope)
        self._deliveries(commit, news)
        for story, new in list(news.items()):
            self._answers(story, new)
        self._instances(commit, news)
        for story, new in news.items():
            story.failure = new.failure or story.failure
            judge(story, failure=new.failure, handled=new.handled)
            self.tell(story, new.messages)

    def _deliveries(self, commit: Commit, news: defaultdict[Story, News]) -> None:
        for fence in commit.done:
            story = self._by_delivery.pop(fence.delivery, None)
            if story is not None:
                delivery, reach = story.finish(fence.delivery)
                told, command = news[story], delivery.envelope
                if command.kind == "command" and command.sender is None:  # else its process says what it makes of it
                    self._handled(commit, story, told, command, reach)
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
            story = self.by_id.get(delivery.envelope.correlation_id)
            if story is not None and delivery.state != "scheduled":
                self._add(story, delivery)
                if delivery.state == "parked":
                    news[story].failure = failure_of_parked(delivery, delivery.error)

    def _handled(self, commit: Commit, story: Story, told: News, command: Envelope, reach: frozenset[type]) -> None:
        """A command of no process was handled, or handed over to a participant."""
        if any(one.type == HANDED_OVER and one.causation_id == command.id for one in commit.messages):
            story.hand_over(command.id, reach)
        else:
            told.handled.append(Handled(command.type, reach, outcome_in(commit, command)))

    def _answers(self, story: Story, new: News) -> None:
        """Commands that were handed over have their answers."""
        for envelope in new.messages:
            id = envelope.causation_id
            if id is None or envelope.kind != "event" or envelope.sender is not None:
                continue
            reach = story.answered(id)
            if reach is not None:
                events = [one for one in new.messages if one.causation_id == id and one.sender is None]
                new.handled.append(Handled(envelope.type, reach, events))

    def _instances(self, commit: Commit, news: defaultdict[Story, News]) -> None:
        joining: dict[str, Story] = {}
        for reaction in commit.reactions:
            story = self.by_id.get(reaction.inputs[0].correlation_id)
            if story is not None:
                joining[reaction.instance.id] = story
        if not joining and not self._by_instance:
            return
        for write in commit.instances:
            id = write.row.id
            concerned = (*self._by_instance.get(id, ()), *((joining[id],) if id in joining else ()))
            for story in dict.fromkeys(concerned):  # in the order in which they came
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

    def tell(self, story: Story, messages: list[Envelope]) -> None:
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


def _tell_all(watchers: Iterable[Watcher], position: int, update: Update) -> None:
    for watcher in watchers:
        watcher.tell(position, update)
