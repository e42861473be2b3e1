"""Giving up a command that another worker may have: its undo waits until nothing of it runs, whoever runs it.

The Commit that gives it up deletes its delivery and writes one for WITHDRAW, which carries the command, into the
partition that it was in. Whoever owns that cancels the run, waits for its end, and removes it. As long as it is there,
no undo of the command begins anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from sagakit.core.cluster.members import WITHDRAW
from sagakit.core.commit import Delivery, Envelope, Rejected
from sagakit.core.queries import DeliveryQuery
from sagakit.core.streams import partition_of
from sagakit.engine.draft import Draft
from sagakit.engine.handlers.reading import Reader
from sagakit.engine.handlers.runs import Runs
from sagakit.engine.handlers.withdrawing import Withdrawing
from sagakit.engine.lanes.lane import Lane
from sagakit.engine.lanes.lanes import Lanes
from sagakit.engine.time.timers import Timers
from sagakit.engine.workers.across.together import Together
from sagakit.ports import Cluster, Store

LANE = "!w/"
"""The lanes of withdrawals: each for itself. What follows is the consumer of the command, and its id."""
AGAIN = 1_000_000
"""Microseconds after which an undo that is held looks again by itself."""


@dataclass(frozen=True)
class Parts:
    """What withdrawals work with."""

    store: Store
    cluster: Cluster
    read: Reader
    lanes: Lanes
    runs: Runs
    timers: Timers
    submit: Callable[[Draft], None]


class SharedWithdrawing(Withdrawing):
    """Takes commands back, wherever they are."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.lanes, parts.runs)
        self._parts = parts
        self._is_under_way = Together(self._find_under_way)
        self._undos: dict[Lane, str] = {}
        """Lanes whose head is an undo that is held, with the command that it undoes."""
        self.ended: Callable[[str], None] = lambda command_id: None
        """Called with a command once nothing of it runs any more: others are to know."""
        self.over_here: Callable[[str], None] = lambda command_id: None
        """Called with one that is not outstanding any more, either."""

    async def decide(self, draft: Draft, command_id: str) -> None:
        """A reaction gives up a command: its delivery goes with the same Commit, and what runs is to end."""
        commit = draft.commit
        for delivery in commit.deliveries:
            if delivery.envelope.id == command_id and delivery.consumer != WITHDRAW:
                commit.deliveries.remove(delivery)  # sent and given up in one Commit: it never was
                return
        draft.withdrawn.append(command_id)
        given_up = self._here(command_id) or await self._elsewhere(draft, command_id)
        if given_up is not None:
            commit.withdrawn.append(given_up.id)
            lane, at = f"{LANE}{given_up.consumer}/{command_id}", partition_of(given_up)
            commit.deliveries.append(Delivery(given_up.envelope, WITHDRAW, lane, partition=at))

    def carry_out(self, draft: Draft) -> None:
        """The Commit stands: end what runs here."""
        for command_id in draft.withdrawn:
            self._end(command_id)

    def _end(self, command_id: str) -> None:
        run = self._runs.by_id.get(command_id)
        if run is not None and run.withdrawn:  # it was told before: once is enough
            return
        if not self._runs.withdraw(command_id):
            for lane in self._lanes.holding(command_id):
                if not lane.key.startswith(LANE):
                    self._lanes.take_out(lane, command_id)

    def _here(self, command_id: str) -> Delivery | None:
        for lane in self._lanes.holding(command_id):
            for delivery in lane.queue:
                if delivery.envelope.id == command_id and delivery.consumer != WITHDRAW:
                    return delivery
        return None

    async def _elsewhere(self, draft: Draft, command_id: str) -> Delivery | None:
        """Its delivery in the store: found by its place in the log of this story, else by who sent it."""
        read, parts = self._parts.read, self._parts
        for story in dict.fromkeys(one.correlation_id for one in (*_handled(draft), *draft.commit.messages)):
            message = await read(parts.store.read_message, story, command_id)
            if message is not None:
                return await read(parts.cluster.find_delivery, message.position)
        for sender in [lane.key for lane in draft.held]:
            after = 0
            while page := await read(parts.store.find_deliveries, DeliveryQuery(sender=sender, after=after)):
                for delivery in page:
                    if delivery.envelope.id == command_id and delivery.consumer != WITHDRAW:
                        return delivery
                after = page[-1].id
        return None

    # ------------------------------------------------------------------ at the owner

    def withdraw(self, lane: Lane, delivery: Delivery) -> None:
        """A withdrawal is the head of its lane: see to it that nothing of its command runs, then remove it."""
        command_id = delivery.envelope.id
        self._end(command_id)
        if self._runs.afterwards(command_id, lambda: self._lanes.wake(lane)):
            return
        draft = Draft(self._withdrawn, (lane, delivery))
        draft.finish(delivery)
        self._parts.submit(draft)

    def _withdrawn(self, draft: Draft, result: Rejected | BaseException | None) -> None:
        lane, delivery = draft.subject
        if isinstance(result, BaseException):
            return
        self._lanes.remove_head(lane, delivery)
        self._lanes.release(lane)
        self.over_here(delivery.envelope.id)
        self.over(delivery.envelope.id)
        self.ended(delivery.envelope.id)

    # ------------------------------------------------------------------ undos

    async def holds(self, lane: Lane, delivery: Delivery) -> bool:
        """Whether the head of a lane undoes what may still run somewhere: then it is looked at again later."""
        undone = delivery.envelope.undoes
        if not undone:
            return False
        self._undos.pop(lane, None)
        while lane not in self._undos:  # once more if its end was told while the store was asked
            self._undos[lane] = undone
            try:
                held = await self._is_under_way(undone)
            except BaseException:
                self._undos.pop(lane, None)
                raise
            if not held:
                self._undos.pop(lane, None)
                return False
            if not lane.queue or lane.queue[0] is not delivery:  # given up meanwhile
                self._undos.pop(lane, None)
                self._lanes.release(lane)
                return True
        lane.rests = True
        self._parts.timers.at(self._parts.timers.clock.now() + AGAIN, lambda: self._wake(lane))
        self._lanes.came_to_rest(lane)
        return True

    async def _find_under_way(self, commands: Collection[str]) -> Collection[str]:
        return await self._parts.read(self._parts.cluster.withdrawing, commands)

    @property
    def busy(self) -> bool:
        """Whether the store is being asked."""
        return self._is_under_way.busy

    async def stop(self) -> None:
        """Ask the store no more."""
        await self._is_under_way.stop()

    def over(self, command_id: str) -> None:
        """Nothing of a command runs any more: what undoes it may begin."""
        for lane, undone in list(self._undos.items()):
            if undone == command_id:
                self._wake(lane)

    def _wake(self, lane: Lane) -> None:
        if self._undos.pop(lane, None) is not None and lane.rests:
            self._lanes.wake(lane)


def consumer_of(delivery: Delivery) -> str:
    """The consumer whose command a delivery for WITHDRAW takes back."""
    return delivery.lane.removeprefix(LANE).rpartition("/")[0]


def _handled(draft: Draft) -> list[Envelope]:
    return [delivery.envelope for delivery in draft.handled]
