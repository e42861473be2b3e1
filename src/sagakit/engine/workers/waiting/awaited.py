"""What other workers wait for: they are told once it happens here, or once it may not come any more.

One who waits for an event is sent the event itself. Until then, nothing is said of a story that goes on towards it:
that is judged as for those who wait here. From its first doubt on, each Commit of the story is news to them, and they
look into the store.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

import msgspec
import structlog

from sagakit.core.cluster.members import Notice
from sagakit.engine.draft import Draft
from sagakit.engine.topology import Topology
from sagakit.engine.watching.reach import Reach
from sagakit.engine.watching.stories import Stories
from sagakit.engine.watching.story import Story, Waiter
from sagakit.engine.watching.tracking import Tracking
from sagakit.engine.workers.across import notices as words
from sagakit.engine.workers.across.notices import Notices
from sagakit.engine.workers.lately import Lately
from sagakit.engine.workers.waiting.answered import Answered

MOST = 100_000
"""Ids that are remembered for others; past that the oldest are forgotten, and found by looking again."""
MOST_BYTES = 3_000
"""Of an event that is sent to who waits for it: a word has room for it twice. A longer one is looked up."""
LATELY = 10_000
"""Stories of which it is known that something of them was committed here just now."""
NEWEST = 256
"""Stories that have come here just now: for these, what was committed of them is kept until somebody waits."""
FEW = 8
"""Commits of one of them that are kept."""

_log = structlog.get_logger("sagakit.watching")
_names = msgspec.json.Decoder(tuple[str, ...]).decode


class Asker(Waiter):
    """One who waits at another worker."""

    __slots__ = ("awaited", "worker")

    def __init__(self, story: Story, until: tuple[type, ...], worker: str, awaited: Awaited) -> None:
        super().__init__(story, until, looking_back=False)
        self.worker = worker
        self.awaited = awaited

    def settle(self) -> None:
        """Nothing more is to be told."""
        self.settled = True
        self.awaited.settled(self.story.correlation_id)

    def answer(self, event: object) -> None:
        """The awaited event has come."""
        self.settle()
        self.awaited.came(self.story.correlation_id, event)

    def fail(self, error: Exception) -> None:
        """It will not come."""
        self.settle()
        self.awaited.failed(self.story.correlation_id, error)

    def doubt(self, reason: Exception | None) -> None:
        """It may not come any more: whoever waits has to look, now and later."""
        self.settle()
        self.awaited.doubted(self.story.correlation_id, self.worker)


class Awaited:
    """Ids of stories and instances that somebody waits for elsewhere."""

    def __init__(self, notices: Notices, topology: Topology) -> None:
        self._notices = notices
        self._codecs = topology.codecs
        self._reach = Reach(topology)
        self._all: dict[str, dict[str, None]] = {}
        """Who wants to know whatever happens."""
        self._waiting: dict[str, dict[tuple[str, tuple[type, ...]], None]] = {}
        """Who waits for which events of a story of which nothing has happened here yet."""
        self._stories = Stories(self._reach, Tracking(lambda: ()))
        """The same, of stories that have begun here."""
        self._newest: dict[str, list[Draft]] = {}
        self._lately = Lately(LATELY)
        self._settled: list[str] = []
        """Stories some of whose waiters were told just now."""
        notices.taken_by(words.WAITS, self._waits)
        notices.taken_by(words.AWAITS, self._awaits)

    # ------------------------------------------------------------------ what happens here

    def committed(self, draft: Draft) -> None:
        """A Commit is durable: tell the workers whom it concerns."""
        ids = dict.fromkeys(_stories_of(draft))
        try:
            self._tell(draft, ids)
        except Exception:  # they find it by another look; a bug in here must not keep the Commit from being settled
            _log.exception("those who wait elsewhere could not be told")
        self._lately.add(ids)

    def _tell(self, draft: Draft, ids: Collection[str]) -> None:
        if self._newest:
            self._keep(ids, draft)
        if self._waiting:
            for id in ids:
                if id in self._waiting:
                    self._begin(id)
        if self._stories.by_id:
            self._judge(draft)
        if self._all:
            self._tell_all(draft, ids)

    def arrived(self, id: str) -> None:
        """Another worker has left something of a story to this one: it may be about to say that somebody waits."""
        if id not in self._newest and id not in self._waiting and id not in self._lately:
            self._newest[id] = []
            if len(self._newest) > NEWEST:
                del self._newest[next(iter(self._newest))]

    def _keep(self, ids: Collection[str], draft: Draft) -> None:
        for id in ids:
            kept = self._newest.get(id)
            if kept is not None:
                kept.append(draft)
                if len(kept) > FEW or len(ids) > 1:
                    del self._newest[id]

    def _begin(self, id: str) -> None:
        story = self._stories.get(id, tracked=False)
        for worker, until in self._waiting.pop(id):
            story.waiters.append(Asker(story, until, worker, self))
            story.awaited.update(until)

    def _judge(self, draft: Draft) -> None:
        self._stories.committed(draft)
        for id in self._settled:
            self._tidy(id)
        self._settled.clear()

    def _tidy(self, id: str) -> None:
        story = self._stories.by_id.get(id)
        if story is not None:
            story.waiters = [waiter for waiter in story.waiters if not waiter.settled]
            self._stories.leave(story)

    def _tell_all(self, draft: Draft, ids: Iterable[str]) -> None:
        for failed in draft.stories:
            if failed.correlation_id in self._all:
                self.failed(failed.correlation_id, failed.error)
        for id in dict.fromkeys((*ids, *(write.row.id for write in draft.commit.instances))):
            for worker in self._all.get(id, ()):
                self._notices.add(words.NEWS, (id,), to=worker)

    def settled(self, id: str) -> None:
        """Somebody who waits for a story was told."""
        self._settled.append(id)

    def came(self, id: str, event: object) -> None:
        """An event of a story that somebody waits for has come."""
        codec, payload, _ = self._codecs.seal(event)
        if len(payload) <= MOST_BYTES:
            word = Answered(id, codec.name, codec.version, msgspec.Raw(payload)).word()
            self._notices.add(words.ANSWERED, (word,))
        else:
            self._notices.add(words.NEWS, (id,))

    def failed(self, id: str, error: Exception) -> None:
        """A story that somebody waits for has come to nothing."""
        self._notices.add_whole(words.FAILED, id, str(error))

    def doubted(self, id: str, worker: str) -> None:
        """What a worker waits for may not come any more."""
        self._notices.add(words.NEWS, (id,), to=worker)
        self._all.setdefault(id, {})[worker] = None

    # ------------------------------------------------------------------ what others want to know

    def gone(self, left: set[str]) -> None:
        """Only these workers are left."""
        for id, workers in list(self._all.items()):
            for worker in [one for one in workers if one not in left]:
                del workers[worker]
            if not workers:
                del self._all[id]
        for id, waiting in list(self._waiting.items()):
            for one in [one for one in waiting if one[0] not in left]:
                del waiting[one]
            if not waiting:
                del self._waiting[id]
        for id, story in list(self._stories.by_id.items()):
            for waiter in story.waiters:
                waiter.settled = waiter.settled or (isinstance(waiter, Asker) and waiter.worker not in left)
            self._tidy(id)

    def _waits(self, notice: Notice) -> None:
        for id in notice.about:
            self._all.setdefault(id, {})[notice.sender] = None
        _forget_oldest(self._all)
        # what has come meanwhile, nobody had told
        self._notices.add(words.NEWS, notice.about, to=notice.sender)

    def _awaits(self, notice: Notice) -> None:
        for word in notice.about:
            id, *names = _names(word)
            codecs = [self._codecs.by_name.get(name) for name in names]
            until = tuple(codec.cls for codec in codecs if codec is not None)
            if len(until) < len(codecs):  # newer code's
                self._all.setdefault(id, {})[notice.sender] = None
            else:
                self._waiting.setdefault(id, {})[notice.sender, until] = None
                kept = self._newest.pop(id, None)
                if kept is not None:  # all that there is to tell
                    self._catch_up(id, kept)
                    continue
            if id in self._lately:
                self._notices.add(words.NEWS, (id,), to=notice.sender)
        _forget_oldest(self._waiting)
        _forget_oldest(self._all)

    def _catch_up(self, id: str, kept: list[Draft]) -> None:
        if kept:
            self._begin(id)
        for draft in kept:
            self._judge(draft)

    def answered(self, id: str, type: str) -> None:
        """Those who wait for an event of this type of a story know it from another worker."""
        codec = self._codecs.by_name.get(type)
        if codec is None:
            return  # nobody can wait for it here
        event = codec.cls
        waiting = self._waiting.get(id)
        if waiting is not None:
            for one in [one for one in waiting if event in one[1]]:
                del waiting[one]
            if not waiting:
                del self._waiting[id]
        story = self._stories.by_id.get(id)
        if story is not None:
            for waiter in story.waiters:
                waiter.settled = waiter.settled or event in waiter.until
            self._tidy(id)


def _forget_oldest(known: dict[str, Any]) -> None:
    while len(known) > MOST:
        del known[next(iter(known))]


def _stories_of(draft: Draft) -> Iterator[str]:
    for message in draft.commit.messages:
        yield message.correlation_id
    for delivery in draft.handled:
        yield delivery.envelope.correlation_id
    for search in draft.commit.search:
        yield search.correlation_id
