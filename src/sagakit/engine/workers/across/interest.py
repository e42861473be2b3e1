"""Who waits for news of what other workers do: they are told whom it concerns, and tell when there is something new."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sagakit.core.cluster.members import Notice
from sagakit.engine.draft import Draft
from sagakit.engine.time.timers import Timers
from sagakit.engine.workers.across import notices as words
from sagakit.engine.workers.across.notices import Notices

MOST = 100_000
"""Ids that are remembered for others; past that the oldest are forgotten, and found by looking again."""
FIRST_LOOK = 2_000_000
LAST_LOOK = 30_000_000
"""Microseconds between two looks of one who waits, in case a word got lost: each time twice as long."""


class Interest:
    """Ids of stories and instances that somebody waits for, here and elsewhere."""

    def __init__(self, notices: Notices, timers: Timers) -> None:
        self._notices = notices
        self._timers = timers
        self._here: dict[str, int] = {}
        """What somebody here waits for that goes on elsewhere, with the time to the next look."""
        self._others: dict[str, dict[str, None]] = {}
        """What others wait for, by whom."""
        self.is_awaited: Callable[[str], bool] = lambda id: False
        """Whether somebody here waits for an id."""
        self.news: Callable[[str], None] = lambda id: None
        """There may be something new of an id that somebody here waits for."""
        self.failed: Callable[[str, str], None] = lambda id, reason: None
        """A story that somebody here waits for has come to nothing."""
        notices.taken_by(words.WAITS, self._waits)
        notices.taken_by(words.NEWS, self._news)
        notices.taken_by(words.FAILED, self._failed)

    # ------------------------------------------------------------------ here

    def waits(self, id: str) -> None:
        """Somebody here waits for something that may go on elsewhere."""
        if id not in self._here:
            self._here[id] = FIRST_LOOK
            self._notices.add(words.WAITS, (id,))
            self._look_later(id)

    def goes_elsewhere(self, draft: Draft) -> None:
        """A Commit has left something to other workers: who waits for its stories wants to know."""
        for delivery in draft.commit.deliveries:
            id = delivery.envelope.correlation_id
            if id not in self._here and self.is_awaited(id):
                self.waits(id)

    def _look_later(self, id: str) -> None:
        def look() -> None:
            if self.is_awaited(id):
                self._here[id] = min(2 * self._here[id], LAST_LOOK)
                self._look_later(id)
                self.news(id)
            else:
                del self._here[id]

        self._timers.at(self._timers.clock.now() + self._here[id], look)

    # ------------------------------------------------------------------ elsewhere

    def committed(self, draft: Draft) -> None:
        """A Commit is durable: tell the workers whom it concerns."""
        if not self._others:
            return
        for failed in draft.stories:
            if failed.correlation_id in self._others:
                self._notices.add_whole(words.FAILED, failed.correlation_id, str(failed.error))
        for id in dict.fromkeys(_concerned(draft)):
            for worker in self._others.get(id, ()):
                self._notices.add(words.NEWS, (id,), to=worker)

    def gone(self, living: Iterable[str]) -> None:
        """Only these workers are left."""
        left = set(living)
        for id, waiting in list(self._others.items()):
            for worker in [one for one in waiting if one not in left]:
                del waiting[worker]
            if not waiting:
                del self._others[id]

    def _waits(self, notice: Notice) -> None:
        for id in notice.about:
            self._others.setdefault(id, {})[notice.sender] = None
        while len(self._others) > MOST:
            del self._others[next(iter(self._others))]
        # what has come meanwhile, nobody had told
        self._notices.add(words.NEWS, notice.about, to=notice.sender)

    def _news(self, notice: Notice) -> None:
        for id in notice.about:
            if self.is_awaited(id):
                self.news(id)

    def _failed(self, notice: Notice) -> None:
        id, reason = notice.about
        if self.is_awaited(id):
            self.failed(id, reason)


def _concerned(draft: Draft) -> Iterable[str]:
    commit = draft.commit
    for message in commit.messages:
        yield message.correlation_id
    for delivery in draft.handled:
        yield delivery.envelope.correlation_id
    for search in commit.search:
        yield search.correlation_id
    for write in commit.instances:
        yield write.row.id
