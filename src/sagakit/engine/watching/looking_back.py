"""What a story has come to already, for those who ask after the fact."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from typing import Any

from sagakit.core.commit import Envelope
from sagakit.core.lifecycle import ACTED, HANDED_OVER
from sagakit.core.streams import instance_id
from sagakit.engine.topology import ProcessConsumer, Topology
from sagakit.engine.watching.reach import Reach
from sagakit.engine.watching.story import Story, Waiter
from sagakit.engine.watching.tracking import Tracking
from sagakit.engine.watching.verdicts import Handled, failure_of, judge, refusal
from sagakit.errors import TerminalError
from sagakit.ports import Store

STORY_PAGE = 1_000


class LookingBack:
    """Reads a story from the log, and finds its instances."""

    def __init__(self, topology: Topology, store: Store, reach: Reach, tracking: Tracking) -> None:
        self._topology = topology
        self._store = store
        self._reach = reach
        self._tracking = tracking

    async def read(self, correlation_id: str, after: int = 0) -> AsyncGenerator[Envelope]:
        """The messages of a story above a position, page by page."""
        while page := await self._store.read_story(correlation_id, after=after, limit=STORY_PAGE):
            for envelope in page:
                yield envelope
            after = page[-1].position
            if len(page) < STORY_PAGE:
                return

    def message(self, envelope: Envelope) -> Any:
        """The message of an envelope; None if its class is gone, or does not fit any more."""
        if envelope.message is None:
            try:
                envelope.message = self._topology.codecs.decode(envelope.type, envelope.version, envelope.payload)
            except TerminalError:
                return None
        return envelope.message

    async def catch_up(self, story: Story) -> tuple[Story, Envelope | None]:
        """Learn what is under way in a story. Returns the story as it stands, and its first message."""
        await self._tracking.scan(story)
        first: Envelope | None = None
        found: dict[str, bool] = {}
        new = not story.looked_back

        def learn(envelope: Envelope) -> bool:
            nonlocal first
            first = first or envelope
            if new:
                self._note_instances(envelope, found)
            return False

        await self._read_all(story, found, learn)
        return story, first

    async def answer(self, waiter: Waiter) -> None:
        """Tell one who waits what has come already, or why it cannot come any more.

        While deliveries wait in the store unread, nobody can tell what cannot come.
        """
        story = waiter.story
        await self._tracking.scan(story)
        handled = await self._look_through(story, waiter)
        if handled is None or not story.scanned:
            return
        waiter.looking_back = False
        self.judge(story, waiter, handled)

    def judge(self, story: Story, waiter: Waiter, handled: Sequence[Handled]) -> None:
        """Tell one who waits in vain, by what was found."""
        judge(story, failure=story.failure or refusal(waiter, self._ended(waiter, handled)[-1:]))

    def _ended(self, waiter: Waiter, handled: Sequence[Handled]) -> list[Handled]:
        """The ways that have come to their end, in the order in which they did."""
        ended = [one for one in handled if one.events and self._leads_nowhere(one, waiter)]
        return sorted(ended, key=lambda one: one.events[-1].position)

    async def _look_through(self, story: Story, waiter: Waiter) -> Sequence[Handled] | None:
        """The commands of no process in a story, with their events. None if what is awaited has come."""
        found: dict[str, bool] = {}
        handled: dict[str, Handled] = {}

        def learn(envelope: Envelope) -> bool:
            cls = self._reach.class_of(envelope.type)
            if cls in waiter.until and (message := self.message(envelope)) is not None:
                waiter.answer(message)
                return True
            waiter.reachable = waiter.reachable or not self._reach.of_class(cls).isdisjoint(waiter.until)
            self._note(envelope, handled)
            self._note_instances(envelope, found)
            return False

        return None if await self._read_all(story, found, learn) else list(handled.values())

    async def _read_all(self, story: Story, found: dict[str, bool], learn: Callable[[Envelope], bool]) -> bool:
        """Learn from each message of a story, also from those that come meanwhile. True: no more is to be learnt.

        What comes meanwhile is not told by its Commit alone: that tells only what is known of the story by then.
        """
        handed = Handed()
        last, before = 0, -1
        while last > before and (last < story.position or not last):
            before = last
            while page := await self._store.read_story(story.correlation_id, after=last, limit=STORY_PAGE):
                for envelope in page:
                    last = envelope.position
                    story.position = max(story.position, last)
                    if learn(envelope):
                        return True
                    handed.note(envelope)
                if len(page) < STORY_PAGE:
                    break
            self._hand_over(story, handed)
            await self._find(story, found)
        return False

    def _hand_over(self, story: Story, handed: Handed) -> None:
        for command_id, says_so in handed.known.items():
            told = None if says_so is None else self.message(says_so)
            if told is not None:
                cls = self._reach.class_of(told.type)
                story.hand_over(command_id, self._reach.of_class(cls))
            else:
                story.answered(command_id)

    async def _find(self, story: Story, found: dict[str, bool]) -> None:
        for id, took in found.items():
            row, search = await self._store.read_instance(id), await self._store.read_search(id)
            # a command that found its key used has started nothing, and told the instance nothing
            if row is not None and search is not None and (took or search.correlation_id == story.correlation_id):
                self._tracking.found(story, row, failure_of(search))
        story.looked_back = True

    def _note(self, envelope: Envelope, handled: dict[str, Handled]) -> None:
        """Remember a command of no process, and its events."""
        if envelope.kind == "command":
            if envelope.sender is None:
                reach = self._reach.of_class(self._reach.class_of(envelope.type))
                handled[envelope.id] = Handled(envelope.type, reach, [])
        elif envelope.causation_id in handled and envelope.sender is None and envelope.type != ACTED:
            self.message(envelope)
            handled[envelope.causation_id].events.append(envelope)

    def _leads_nowhere(self, one: Handled, waiter: Waiter) -> bool:
        types = [cls for event in one.events if (cls := self._reach.class_of(event.type)) is not None]
        return self._reach.of(types).isdisjoint(waiter.until)

    def _note_instances(self, envelope: Envelope, found: dict[str, bool]) -> None:
        """The instances that a message is from, or for. False: for a command, which it has taken if it started it."""
        if envelope.sender is not None:
            found[envelope.sender.rpartition("/")[2]] = True
        cls = self._reach.class_of(envelope.type)
        if cls is None:
            return
        takers = (*self._topology.takers.get(cls, ()), *self._topology.starters.get(cls, ()))
        for taker in takers:
            if isinstance(taker, ProcessConsumer) and (message := self.message(envelope)) is not None:
                with suppress(Exception):  # the user's key: where it raises, no instance has taken it
                    key = taker.key(message)
                    if key is not None:
                        id = instance_id(taker.name, key)
                        found[id] = found.get(id, False) or envelope.kind == "event"


class Handed:
    """Which commands of no process wait for the answer of a participant, and which have it, as far as was read."""

    def __init__(self) -> None:
        self._commands: set[str] = set()
        self.known: dict[str, Envelope | None] = {}
        """By command what says that it was handed over; None once it is answered, or handled here."""

    def note(self, envelope: Envelope) -> None:
        """This comes next in the log. A command alone says nothing: what follows may be known by its Commit already."""
        id = envelope.causation_id or ""
        if envelope.kind == "command":
            if envelope.sender is None:
                self._commands.add(envelope.id)
        elif id not in self._commands:
            return
        elif envelope.type == HANDED_OVER:
            self.known[id] = envelope
        elif envelope.sender is None and envelope.type != ACTED:
            self.known[id] = None
