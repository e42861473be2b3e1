"""Those who watch a story: how it stands, then each of its messages, until nothing of it is under way."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from msgspec.structs import replace

from sagakit.core.commit import Envelope
from sagakit.engine.watching.looking_back import LookingBack
from sagakit.engine.watching.stories import Stories
from sagakit.engine.watching.story import Story
from sagakit.engine.watching.updates import Update, Watcher, place
from sagakit.errors import CursorGone, NotFound, Stopping


class StoryWatches:
    """Follows stories. A cursor is a position in the log."""

    follows = True
    """Whether what is under way in a story can be followed in memory."""

    def __init__(self, stories: Stories, looking_back: LookingBack) -> None:
        self._stories = stories
        self._looking_back = looking_back
        self._ended: str | None = None
        self.on_caught_up: Callable[[Story, Watcher], None] = lambda story, watcher: None

    def end(self, why: str) -> None:
        """Nothing will be told any more."""
        self._ended = self._ended or why
        self._stories.end_watches(why)

    def subscribe(self, correlation_id: str) -> Watcher:
        """Be told of a story from now on, until the watcher leaves."""

        def leave(watcher: Watcher) -> None:
            story.watchers.remove(watcher)
            self._stories.leave(story)

        if self._ended is not None:
            raise Stopping(self._ended)
        story = self._stories.get(correlation_id, tracked=self.follows)
        watcher = Watcher(leave)
        story.watchers.append(watcher)
        return watcher

    async def follow(self, watcher: Watcher, correlation_id: str, after: str | None) -> AsyncGenerator[Update]:
        """How it stands, or what came after a cursor; then every message, up to the end."""
        story = self._stories.get(correlation_id, tracked=self.follows)
        story, first = await self._looking_back.catch_up(story)
        if first is None:
            raise NotFound(f"there is no story {correlation_id!r}")
        self.on_caught_up(story, watcher)
        if after is None:
            seen, status = story.position, story.status
            yield Update(status, "", None, str(seen))
        else:
            seen, status = _check(story, first, after), story.status
            async with aclosing(self._missed(story, seen)) as missed:
                async for update in missed:
                    yield update
                    seen, status = int(update.cursor), update.status
        while status != "ended":
            position, update = await watcher.next()
            if position > seen or (update.event is None and update.status != status):
                skipped, watcher.skipped = watcher.skipped, 0
                yield replace(update, skipped=skipped) if skipped else update
                seen, status = position, update.status

    async def _missed(self, story: Story, seen: int) -> AsyncGenerator[Update]:
        last: Envelope | None = None
        async with aclosing(self._looking_back.read(story.correlation_id, seen)) as messages:
            async for envelope in messages:
                if last is not None:
                    yield self._update("running", last)
                last = envelope
        if last is not None:  # only the last one says that there is an end
            yield self._update(story.status if last.position == story.position else "running", last)

    def _update(self, status: str, envelope: Envelope) -> Update:
        return Update(status, envelope.type, self._looking_back.message(envelope), str(envelope.position))


def _check(story: Story, first: Envelope, after: str) -> int:
    """The position that a cursor names. CursorGone if what came after it cannot be told."""
    position = place(after)
    if position is None:
        why = "is no cursor of a story"
    elif position > story.position:
        why = "is ahead of it"
    elif first.id != story.correlation_id and position < first.position - 1:
        why = f"is no longer kept: the log has it from {first.position} on"
    else:
        return position
    current = Update(story.status, "", None, str(story.position))
    raise CursorGone(
        f"the story is at cursor {current.cursor}, and after={after[:40]!r} {why}: go on from there", current
    )
