"""What somebody here waits for and what may happen at other workers: they are told of it, and say when it has come."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import msgspec

from sagakit.core.cluster.members import Notice
from sagakit.engine.draft import Draft
from sagakit.engine.time.timers import Timers
from sagakit.engine.topology import Topology
from sagakit.engine.workers.across import notices as words
from sagakit.engine.workers.across.notices import Notices
from sagakit.engine.workers.waiting.answered import Answered, read
from sagakit.engine.workers.waiting.awaited import Awaited

Types = tuple[str, ...]
"""Wire names of events; none: whatever happens."""

FIRST_LOOK = 2_000_000
LAST_LOOK = 30_000_000
"""Microseconds between two looks of one who waits, in case a word got lost: each time twice as long."""

_write = msgspec.json.encode


class Interest:
    """Ids of stories and instances that somebody here waits for."""

    def __init__(self, notices: Notices, timers: Timers, topology: Topology) -> None:
        self.elsewhere = Awaited(notices, topology)
        """The same of the others."""
        self._notices = notices
        self._timers = timers
        self._said: dict[str, dict[Types, None]] = {}
        """What the others were told, by id, in the order in which they are told again."""
        self._members: set[str] = set()
        self.awaited: Callable[[], Iterable[str]] = lambda: ()
        """The ids that somebody here waits for."""
        self.asked: Callable[[str], Collection[Types]] = lambda id: ()
        """Which events those wait for who wait here for an id."""
        self.news: Callable[[str], None] = lambda id: None
        """There may be something new of an id that somebody here waits for."""
        self.answered: Callable[[Answered], None] = lambda answered: None
        """An event has come that somebody here may wait for."""
        self.failed: Callable[[str, str], None] = lambda id, reason: None
        """A story that somebody here waits for has come to nothing."""
        notices.taken_by(words.NEWS, self._news)
        notices.taken_by(words.ANSWERED, self._answered)
        notices.taken_by(words.FAILED, self._failed)

    def waits(self, id: str, types: Types = ()) -> None:
        """Somebody here waits for something that may go on elsewhere."""
        said = self._said.get(id)
        if said is None:
            said = self._said[id] = {}
            self._look_later(id, FIRST_LOOK)
        if types not in said:
            said[types] = None
            self._say(id, types)

    def _say(self, id: str, types: Types) -> None:
        if types:
            self._notices.add(words.AWAITS, (_write((id, *types)).decode(),))
        else:
            self._notices.add(words.WAITS, (id,))

    def committed(self, draft: Draft) -> None:
        """A Commit is durable: tell the workers whom it concerns."""
        self.elsewhere.committed(draft)

    def goes_elsewhere(self, draft: Draft) -> None:
        """A Commit has left something to other workers: who waits for its stories wants to know."""
        last = ""
        for delivery in draft.commit.deliveries:
            id = delivery.envelope.correlation_id
            if id != last:
                last = id
                self._goes_elsewhere(id)

    def moves(self) -> None:
        """Others may go on with what went on here: whatever somebody waits for."""
        for id in list(self.awaited()):
            self._goes_elsewhere(id)

    def _goes_elsewhere(self, id: str) -> None:
        for types in self.asked(id):
            self.waits(id, types)

    def saw(self, members: set[str]) -> None:
        """These workers live. Who has come has heard nothing yet."""
        self.elsewhere.gone(members)
        if members - self._members:
            for id, said in self._said.items():
                for types in said:
                    self._say(id, types)
        self._members = members

    def _look_later(self, id: str, pause: int) -> None:
        def look() -> None:
            if self.asked(id):
                self._look_later(id, min(2 * pause, LAST_LOOK))
                self.news(id)
            else:
                del self._said[id]

        self._timers.at(self._timers.clock.now() + pause, look)

    # ------------------------------------------------------------------ being told

    def _news(self, notice: Notice) -> None:
        for id in notice.about:
            if self.asked(id):
                self.news(id)

    def _answered(self, notice: Notice) -> None:
        for word in notice.about:
            answered = read(word)
            self.elsewhere.answered(answered.story, answered.type)
            self.answered(answered)

    def _failed(self, notice: Notice) -> None:
        id, reason = notice.about
        if self.asked(id):
            self.failed(id, reason)
