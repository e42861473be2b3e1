"""One action of an operator: the Commit that records it with all that it changes, and what follows from that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from msgspec import Struct

from sagakit.core.commit import Delivery, DeliveryChange, Envelope, Fence, Rejected
from sagakit.core.lifecycle import OperatorActed
from sagakit.engine.draft import Draft
from sagakit.engine.lanes.lane import Lane
from sagakit.engine.lanes.lanes import Lanes
from sagakit.engine.routing import Router
from sagakit.errors import NotPossible
from sagakit.ports import Chance


class Acted(Struct, frozen=True):
    """An action that was carried out, as it is recorded."""

    message_id: str
    """The id of its message in the log."""
    action: str
    target: str
    status: str = ""
    """The status of the instance that it led to, if it was for one."""
    version: int = 0
    """The version of that instance's row."""


class Act:
    """An action on its way into the store."""

    def __init__(self, envelope: Envelope, lanes: Lanes) -> None:
        self.envelope = envelope
        self.draft = Draft(_settled, self)
        self.draft.at_door = True
        self.draft.commit.messages.append(envelope)
        self.lanes: list[Lane] = []
        """Lanes that are claimed for it, without those whose instance reacts: the draft holds these."""
        self._all = lanes
        self._after: list[Callable[[], None]] = []
        self._else: list[Callable[[], None]] = []
        self.settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # whoever asked may have gone when it fails: that is no lost error
        self.settled.add_done_callback(lambda done: done.cancelled() or done.exception())

    @property
    def acted(self) -> OperatorActed:
        """What is recorded."""
        acted: OperatorActed = self.envelope.message
        return acted

    def afterwards(self, call: Callable[[], None]) -> None:
        """Do this once it is durable."""
        self._after.append(call)

    def otherwise(self, call: Callable[[], None]) -> None:
        """Do this if it is not written after all."""
        self._else.append(call)

    def try_anew(self, delivery: Delivery, messages: Sequence[Envelope] = ()) -> None:
        """A parked delivery begins a new round of attempts; one that waits for the next attempt does not wait.

        `messages`: others, which take the place of those that it had.
        """
        fence, parked = Fence(delivery.id, delivery.attempt), delivery.state == "parked"
        attempt = delivery.attempt + 1 if parked else delivery.attempt
        spent = delivery.attempt if parked else None
        crashes = 0 if parked else delivery.crashes
        first, more = (messages[0], tuple(messages[1:])) if messages else (None, ())
        change = DeliveryChange(fence, "ready", attempt, 0, crashes, delivery.error, spent, first, more)
        self.draft.commit.changes.append(change)

        def tried() -> None:
            delivery.attempt, delivery.crashes = attempt, crashes
            if first is not None:
                delivery.envelope, delivery.more = first, more
            delivery.spent = delivery.spent if spent is None else spent
            if parked:
                self._all.unpark(delivery)
            else:
                delivery.state, delivery.due_at = "ready", 0

        self.afterwards(tried)

    def release(self) -> None:
        """Give back the lanes that were claimed for it."""
        lanes, self.lanes = self.lanes, []
        for lane in lanes:
            self._all.release(lane)

    def settle(self, result: Rejected | BaseException | None) -> None:
        """It is durable, or was dropped."""
        for call in self._after if result is None else self._else:
            call()
        self.release()
        if self.settled.done():  # nobody waits any more
            return
        if isinstance(result, Rejected):
            self.settled.set_exception(NotPossible(f"something else happened at the same time ({result.what}): again"))
        elif result is not None:
            self.settled.set_exception(result)
        else:
            self.settled.set_result(None)


class Acting:
    """Begins and commits actions."""

    def __init__(self, router: Router, lanes: Lanes, chance: Chance, submit: Callable[[Draft], None]) -> None:
        self._router = router
        self._lanes = lanes
        self._chance = chance
        self._submit = submit
        self.before_commit: Callable[[Act], None] | None = None
        """Adds to an action what another worker that asked for it has to be told."""

    def new_id(self) -> str:
        """A new message id."""
        return self._chance.new_id()

    def begin(self, acted: OperatorActed, story: str | None = None, about: str | None = None) -> Act:
        """An action that belongs to a story and is about a message of it."""
        codec, payload, sealed = self._router.topology.codecs.seal(acted)
        id = self._chance.new_id()
        now = self._router.clock.now()
        envelope = Envelope(id, "event", codec.name, payload, story or id, now, codec.version, about, message=sealed)
        return Act(envelope, self._lanes)

    async def claim(self, act: Act, key: str) -> Lane:
        """Claim a lane for an action; one that it has already is its own."""
        for known in act.lanes:
            if known.key == key:
                return known
        lane = await self._lanes.claim(key)
        act.lanes.append(lane)
        return lane

    async def commit(self, act: Act) -> None:
        """Record it; durable when this returns."""
        if self.before_commit is not None:
            self.before_commit(act)
        self._submit(act.draft)
        await asyncio.shield(act.settled)

    def abandon(self, act: Act) -> None:
        """It is not done after all."""
        self._router.processes.abandon(act.draft)
        act.release()


def _settled(draft: Draft, result: Rejected | BaseException | None) -> None:
    act: Act = draft.subject
    act.settle(result)
